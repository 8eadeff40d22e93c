//! Which slot comes next: those that somebody wants besides its jobs, in the order of their
//! registration, then those of the agenda.
//!
//! The agenda is fed from the table: jobs by a cursor over their records, costs from the ring of
//! events. Where events were lost, so are the costs of those jobs, and nothing else.

use std::collections::{HashMap, VecDeque};

use crate::schedule::{Agenda, Next, Order, Room};
use crate::table::{EventReader, JobId, SlotId, Table, TableError};
use crate::values::safe::manifest_of;
use crate::values::{EventKind, JobState, ObjectState};

/// Jobs that the agenda is told of at a time: connections wait meanwhile.
const AT_ONCE: usize = 1024;
/// Of so many running jobs it is remembered since when; more than any machine has workers.
const RUNNING: usize = 4096;

/// The slots to be fetched, one after the other.
#[derive(Debug)]
pub(super) struct Upcoming {
    /// Over the slots.
    cursor: u32,
    /// Manifests of the products whose objects are on their way; they come before all others.
    manifests: VecDeque<SlotId>,
    /// The key of the manifest that was asked for last.
    last: String,
    agenda: Agenda,
    /// Over the job records.
    jobs: u32,
    /// Records that the cursor has passed before they said anything.
    void: Vec<JobId>,
    /// Only where costs matter.
    events: Option<EventReader>,
    /// When running jobs began, in nanoseconds.
    running: HashMap<u32, u64>,
}

impl Upcoming {
    pub fn new(order: Order, workers: usize) -> Upcoming {
        Upcoming {
            cursor: 0,
            manifests: VecDeque::new(),
            last: String::new(),
            agenda: Agenda::new(order, Room::unlimited(), workers),
            jobs: 0,
            void: Vec::new(),
            events: (order == Order::Johnson).then(EventReader::default),
            running: HashMap::new(),
        }
    }

    /// The next slot that may have to be fetched.
    pub fn next(&mut self, table: &Table) -> Result<Option<SlotId>, TableError> {
        if let Some(slot) = self.manifests.pop_front() {
            return Ok(Some(slot));
        }
        if let Some(slot) = self.next_for_others(table)? {
            self.agenda.landed(slot.0);
            return Ok(Some(slot));
        }
        self.learn(table)?;
        loop {
            let more = self.feed(table)?;
            match self.agenda.next_up() {
                Next::Fetch(slot) => {
                    let slot = SlotId(slot);
                    if table.object_state(slot)? == Some(ObjectState::Evicted) {
                        table.want_for_jobs(slot)?;
                    }
                    return Ok(Some(slot));
                }
                Next::Begin(_) => {}
                Next::Nothing if more => {}
                Next::Nothing | Next::Full | Next::Recycle(_) => return Ok(None),
            }
        }
    }

    /// An object was begun, and will be compared with its product's manifest.
    pub fn manifest_of(&mut self, table: &Table, key: &str) -> Result<(), TableError> {
        if let Some((manifest, _)) = manifest_of(key)
            && manifest != self.last
        {
            self.manifests.extend(table.find_object(&manifest)?);
            self.last = manifest;
        }
        Ok(())
    }

    /// Whether anything is wanted, or a job has not begun.
    pub fn has_more(&mut self, table: &Table) -> Result<bool, TableError> {
        let mut cursor = self.cursor;
        let wanted = table.next_wanted(&mut cursor)?.is_some();
        // Looking takes the mark of an earlier slot away, so the cursor that it gave is kept.
        self.cursor = self.cursor.min(cursor.saturating_sub(u32::from(wanted)));
        Ok(wanted)
    }

    /// The next slot that is wanted not for its jobs alone. The agenda is told of those that were
    /// there, or on their way, and are wanted again.
    fn next_for_others(&mut self, table: &Table) -> Result<Option<SlotId>, TableError> {
        while let Some(slot) = table.next_wanted(&mut self.cursor)? {
            if !table.is_for_jobs(slot)? {
                return Ok(Some(slot));
            }
            if table.object_attempt(slot)? > 0 {
                self.agenda.missing(slot.0);
            }
        }
        Ok(None)
    }

    /// Tells the agenda of new jobs; whether there may be more.
    fn feed(&mut self, table: &Table) -> Result<bool, TableError> {
        if !self.agenda.wants_jobs() {
            return Ok(true);
        }
        for job in std::mem::take(&mut self.void) {
            self.take_in(table, job)?;
        }
        let jobs = table.jobs_len()?;
        for _ in 0..AT_ONCE {
            if self.jobs >= jobs || !self.agenda.wants_jobs() {
                break;
            }
            let job = JobId(self.jobs);
            self.jobs += 1;
            self.take_in(table, job)?;
        }
        Ok(self.jobs < jobs)
    }

    fn take_in(&mut self, table: &Table, job: JobId) -> Result<(), TableError> {
        match table.job_state(job)? {
            None => self.void.push(job),
            Some(JobState::Waiting) => {
                let slots = table.job_inputs(job)?;
                let mut inputs = Vec::with_capacity(slots.len());
                for slot in &slots {
                    inputs.push((slot.0, table.size(*slot)?));
                }
                self.agenda.job(job.0, table.job_task(job)?, &inputs);
                for slot in slots {
                    let state = table.object_state(slot)?;
                    if !matches!(
                        state,
                        None | Some(ObjectState::Wanted | ObjectState::Evicted)
                    ) {
                        self.agenda.landed(slot.0);
                    }
                }
            }
            // Its inputs are there, or it has ended.
            Some(_) => {}
        }
        Ok(())
    }

    /// Learns what jobs take from the events since the last look.
    fn learn(&mut self, table: &Table) -> Result<(), TableError> {
        let Some(events) = &mut self.events else {
            return Ok(());
        };
        while let Some(event) = events.next(table)? {
            match event.kind {
                EventKind::JobRunning if self.running.len() < RUNNING => {
                    self.running.insert(event.id, event.at_ns);
                }
                EventKind::JobDone => {
                    if let Some(since) = self.running.remove(&event.id) {
                        let job = JobId(event.id);
                        let mut bytes = 0_u64;
                        for slot in table.job_inputs(job)? {
                            bytes = bytes.saturating_add(table.size(slot)?);
                        }
                        let seconds = event.at_ns.saturating_sub(since) as f64 / 1e9;
                        self.agenda.learn(table.job_task(job)?, bytes, seconds);
                    }
                }
                EventKind::JobFailed | EventKind::JobHandedOn | EventKind::JobPostponed => {
                    self.running.remove(&event.id);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Bytes came at this rate per second while there was enough to do.
    pub fn network(&mut self, bytes_per_second: f64) {
        self.agenda.network(bytes_per_second);
    }
}
