//! From the table's events to what an observer is told.

use crate::table::{JobId, SlotId, Table, TableError};
use crate::values::{Event, EventKind, Fault, JobState, ObjectState};
use crate::watch::{job_result, why_job_failed};

use super::observe::{Happening, What};
use super::voice::detail;

/// The line in which the verbose are told of a move: when, who, what. `None` for events that are no
/// moves of objects or jobs, or are told otherwise. `begun_ns` is when the run began.
///
/// # Errors
/// The table is damaged.
pub fn move_line(
    table: &Table,
    begun_ns: u64,
    event: &Event,
) -> Result<Option<String>, TableError> {
    Ok(happening(table, begun_ns, event)?.as_ref().and_then(detail))
}

/// Looks up the names behind an event. Details of a run are for its recorder alone: `None`.
pub(super) fn happening(
    table: &Table,
    begun_ns: u64,
    event: &Event,
) -> Result<Option<Happening>, TableError> {
    let fault = || Fault::from_bits(event.value as u32);
    let object = |state, fetched, fault| -> Result<What, TableError> {
        let slot = SlotId(event.id);
        let (key, size) = (table.key(slot)?, table.size(slot)?);
        let verified = match state {
            // None if it was evicted meanwhile.
            ObjectState::Ready => table.object_verified(slot)?,
            _ => None,
        };
        Ok(What::Object {
            verified,
            state,
            key,
            size,
            fetched,
            fault,
        })
    };
    let job = |state: JobState, fault: Option<Fault>| -> Result<What, TableError> {
        let job = JobId(event.id);
        let result = if state.ended() {
            job_result(table, job)?
        } else {
            None
        };
        let why = match fault.filter(|_| state == JobState::Failed) {
            Some(fault) => {
                let said = result.as_ref().and_then(|r| r.error.as_deref());
                Some(why_job_failed(table, fault, said)?)
            }
            None => None,
        };
        let inputs = match event.kind {
            EventKind::JobWaiting => {
                let inputs = table.job_inputs(job)?.into_iter();
                Some(
                    inputs
                        .map(|slot| table.key(slot))
                        .collect::<Result<_, _>>()?,
                )
            }
            _ => None,
        };
        let attempt = table.job(job)?.map_or(0, |view| view.attempt);
        let name = table.job_name(job)?;
        Ok(What::Job {
            state,
            name,
            attempt,
            inputs,
            result: result.map(Box::new),
            fault,
            why,
        })
    };
    let what = match event.kind {
        EventKind::ObjectWanted => object(ObjectState::Wanted, None, None)?,
        EventKind::ObjectFetching => object(ObjectState::Fetching, None, None)?,
        EventKind::ObjectReady => object(ObjectState::Ready, Some(event.value), None)?,
        EventKind::ObjectFailed => object(ObjectState::Failed, None, fault())?,
        EventKind::ObjectEvicted => object(ObjectState::Evicted, None, None)?,
        EventKind::JobWaiting => job(JobState::Waiting, None)?,
        EventKind::JobReady => job(JobState::Ready, None)?,
        EventKind::JobRunning => job(JobState::Running, None)?,
        EventKind::JobDone => job(JobState::Done, None)?,
        EventKind::JobFailed => job(JobState::Failed, fault())?,
        EventKind::JobHandedOn => What::HandedOn {
            name: table.job_name(JobId(event.id))?,
        },
        EventKind::JobPostponed => job(JobState::Waiting, fault())?,
        EventKind::JobUploading => job(JobState::Uploading, None)?,
        EventKind::UploadBegun => What::UploadBegun {
            name: table.job_name(JobId(event.id))?,
        },
        EventKind::Planned => What::Planned {
            products: event.id.into(),
            jobs: event.value,
        },
        EventKind::Note => What::Note {
            text: table.note_text(event)?,
            error: event.id != 0,
        },
        EventKind::Retry => {
            let fault = fault().ok_or(TableError::Corrupt {
                what: "fault",
                value: event.value,
            })?;
            What::Retry {
                key: table.key(SlotId(event.id))?,
                fault,
            }
        }
        EventKind::Joined
        | EventKind::PartBegun
        | EventKind::PartAnswered
        | EventKind::PartEnded
        | EventKind::Waited
        | EventKind::Setting
        | EventKind::CommandBegun
        | EventKind::CommandEnded => return Ok(None),
    };
    Ok(Some(Happening {
        at: event.at_ns.saturating_sub(begun_ns) as f64 / 1e9,
        process: (event.role.name(), event.process),
        what,
    }))
}
