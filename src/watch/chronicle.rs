//! From events to the story of a run: when everything began and ended.

use std::collections::HashMap;

use crate::report::{
    HeldBack, JobSpan, Note, ObjectSpan, PartSpan, ProcessSpan, RunSpan, Setting, Story, WaitSpan,
};
use crate::table::{JobId, SlotId, Table, TableError};
use crate::values::event::line_of;
use crate::values::{Event, EventKind, Fault, JobState};

use super::failed::{job_result, why_job_failed};
use super::tally::Tally;

/// The most of anything that is kept: beyond, a run is told in its sums alone.
const MOST: usize = 2_000_000;
/// Sentences that are kept.
const MOST_NOTES: usize = 1000;

/// A part that was asked for.
#[derive(Clone, Copy, Debug)]
struct PartUnderWay {
    slot: u32,
    begun: f64,
    answered: Option<f64>,
}

/// Collects the story of a run.
pub(super) struct Chronicle {
    story: Story,
    begun_ns: u64,
    /// Parts under way, by the process and the line.
    parts: HashMap<(u16, u16), PartUnderWay>,
    /// What had no room.
    left_out: u64,
}

/// The element at `index`, made with those before it if it is not there; `None` beyond what is
/// kept.
fn at<T: Clone>(all: &mut Vec<T>, index: u32, new: impl Fn() -> T) -> Option<&mut T> {
    let index = index as usize;
    if index >= MOST {
        return None;
    }
    if all.len() <= index {
        all.resize_with(index + 1, new);
    }
    all.get_mut(index)
}

fn no_job() -> JobSpan {
    JobSpan {
        name: String::new(),
        task: 0,
        inputs: Vec::new(),
        state: JobState::Waiting,
        registered: 0.0,
        ready: None,
        runs: Vec::new(),
        upload: None,
        fault: None,
        error: None,
        outputs: Vec::new(),
        uploaded: Vec::new(),
        earlier: false,
    }
}

/// Adds what there is room for.
fn keep<T>(all: &mut Vec<T>, most: usize, one: T, left_out: &mut u64) {
    match all.len() < most {
        true => all.push(one),
        false => *left_out += 1,
    }
}

impl Chronicle {
    /// With what is known before the run begins.
    pub fn new(story: Story, begun_ns: u64) -> Chronicle {
        Chronicle {
            story,
            begun_ns,
            parts: HashMap::new(),
            left_out: 0,
        }
    }

    /// Takes an event in.
    pub fn event(&mut self, table: &Table, event: &Event) {
        let now = event.at_ns.saturating_sub(self.begun_ns) as f64 / 1e9;
        let known = match event.kind {
            EventKind::ObjectWanted
            | EventKind::ObjectFetching
            | EventKind::ObjectReady
            | EventKind::ObjectFailed
            | EventKind::Retry => self.object(event, now),
            EventKind::JobWaiting
            | EventKind::JobReady
            | EventKind::JobRunning
            | EventKind::JobDone
            | EventKind::JobFailed
            | EventKind::JobHandedOn
            | EventKind::JobPostponed
            | EventKind::JobUploading => self.job(event, now),
            _ => {
                self.other(table, event, now);
                true
            }
        };
        self.left_out += u64::from(!known);
    }

    fn object(&mut self, event: &Event, now: f64) -> bool {
        let Some(object) = at(&mut self.story.objects, event.id, ObjectSpan::default) else {
            return false;
        };
        match event.kind {
            EventKind::ObjectWanted => {
                if object.begun.is_none() {
                    object.wanted = now;
                }
                object.size = event.value;
            }
            EventKind::ObjectFetching => object.begun = Some(now),
            EventKind::ObjectReady => {
                object.ended = Some(now);
                object.fetched = event.value;
            }
            EventKind::ObjectFailed => {
                object.ended = Some(now);
                object.fault = Fault::from_bits(event.value as u32);
            }
            _ => object.retries += 1,
        }
        true
    }

    fn job(&mut self, event: &Event, now: f64) -> bool {
        let Some(job) = at(&mut self.story.jobs, event.id, no_job) else {
            return false;
        };
        let ends = |job: &mut JobSpan| {
            if let Some(run) = job.runs.last_mut().filter(|run| run.ended.is_infinite()) {
                run.ended = now;
            }
        };
        match event.kind {
            EventKind::JobWaiting => job.registered = now,
            // Later it waits for its next try and not for data.
            EventKind::JobReady if job.runs.is_empty() => job.ready = Some(now),
            EventKind::JobReady => {}
            EventKind::JobRunning => job.runs.push(RunSpan {
                worker: event.process,
                begun: now,
                ended: f64::INFINITY,
            }),
            EventKind::JobUploading => {
                ends(job);
                job.upload.get_or_insert((now, f64::INFINITY));
            }
            _ => {
                ends(job);
                if let Some((_, ended)) = &mut job.upload {
                    *ended = now;
                }
            }
        }
        true
    }

    fn other(&mut self, table: &Table, event: &Event, now: f64) {
        let (story, left_out) = (&mut self.story, &mut self.left_out);
        match event.kind {
            EventKind::Joined => {
                let process = ProcessSpan {
                    number: event.process,
                    pid: event.id,
                    role: event.role,
                    begun: now,
                };
                keep(&mut story.processes, MOST_NOTES, process, left_out);
            }
            EventKind::PartBegun => {
                let part = PartUnderWay {
                    slot: event.id,
                    begun: now,
                    answered: None,
                };
                let line = line_of(event.value).0;
                self.parts.insert((event.process, line), part);
            }
            EventKind::PartAnswered => {
                let line = line_of(event.value).0;
                if let Some(part) = self.parts.get_mut(&(event.process, line)) {
                    part.answered = Some(now);
                }
            }
            EventKind::PartEnded => {
                let (line, bytes) = line_of(event.value);
                let Some(part) = self.parts.remove(&(event.process, line)) else {
                    return;
                };
                let part = PartSpan {
                    slot: part.slot,
                    line,
                    begun: part.begun,
                    answered: part.answered,
                    ended: now,
                    bytes,
                };
                keep(&mut story.parts, MOST, part, left_out);
            }
            EventKind::Waited => {
                let wait = WaitSpan {
                    process: event.process,
                    slot: event.id,
                    begun: now - event.value as f64 / 1e9,
                    ended: now,
                };
                keep(&mut story.waits, MOST, wait, left_out);
            }
            EventKind::Setting => {
                let setting = Setting {
                    at: now,
                    connections: event.id,
                    part_bytes: event.value,
                };
                keep(&mut story.settings, MOST, setting, left_out);
            }
            EventKind::Note => {
                let note = Note {
                    at: now,
                    text: table.note_text(event).unwrap_or_default(),
                    error: event.id != 0,
                };
                keep(&mut story.notes, MOST_NOTES, note, left_out);
            }
            _ => {}
        }
    }

    /// The story, with names and ends from the table, which has the truth of them.
    ///
    /// # Errors
    /// The table is damaged.
    pub fn end(mut self, table: &Table, tally: &Tally, lost: u64) -> Result<Story, TableError> {
        let objects = table.objects_len()?.min(MOST as u32);
        for slot in 0..objects {
            // One that was never finished has no key.
            let Some(view) = table.object(SlotId(slot))? else {
                continue;
            };
            if let Some(object) = at(&mut self.story.objects, slot, ObjectSpan::default) {
                (object.key, object.size, object.fault) = (view.key, view.size, view.fault);
            }
        }
        for number in 0..table.jobs_len()?.min(MOST as u32) {
            let Some(view) = table.job(JobId(number))? else {
                continue;
            };
            let inputs = table.job_inputs(view.job)?;
            let result = job_result(table, view.job)?.unwrap_or_default();
            let fault = view.fault.filter(|_| view.state == JobState::Failed);
            let why = fault.map(|fault| why_job_failed(table, fault, result.error.as_deref()));
            let why = why.transpose()?;
            let Some(job) = at(&mut self.story.jobs, number, no_job) else {
                continue;
            };
            job.inputs = inputs.into_iter().map(|slot| slot.0).collect();
            (job.name, job.task, job.state) = (view.name, view.task, view.state);
            (job.fault, job.error) = (fault, why.map(|why| why.to_string()));
            job.outputs = result.outputs;
            job.uploaded = result.uploaded.into_iter().map(|one| one.url).collect();
            job.earlier = result.earlier;
            for run in &mut job.runs {
                run.ended = run.ended.min(self.story.seconds);
            }
            if let Some((_, ended)) = &mut job.upload {
                *ended = ended.min(self.story.seconds);
            }
        }
        self.story.held_back = HeldBack {
            download: tally.download_seconds,
            processing: tally.processing_seconds,
            hidden: tally.hidden_seconds,
            waiting_for_data: tally.waiting_for_data_seconds,
            waiting_for_workers: tally.waiting_for_workers_seconds,
        };
        self.story.lost = lost + self.left_out;
        Ok(self.story)
    }

    /// How the run ended.
    pub fn ended(&mut self, outcome: &str, seconds: f64) {
        self.story.outcome = outcome.to_owned();
        self.story.seconds = seconds;
    }
}
