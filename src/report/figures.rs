//! What is counted in a story, for all parts of the page.

use std::collections::BTreeSet;

use crate::values::{JobState, Role};

use super::story::{JobSpan, Story, WaitSpan};

/// Counts and sums of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Jobs that are done, those included that an earlier run has done.
    pub done: u64,
    /// Jobs that an earlier run has done.
    pub earlier: u64,
    /// Jobs that failed.
    pub failed: u64,
    /// Jobs that had not ended when the run did.
    pub left: u64,
    /// Objects that failed.
    pub objects_failed: u64,
    /// Objects that were in staging before the run.
    pub objects_staged: u64,
    /// Bytes that came from the store.
    pub fetched: u64,
    /// Bytes of objects that were in staging before the run.
    pub staged: u64,
    /// Requests that were tried again.
    pub retries: u64,
    /// Seconds that processors waited for data while they ran.
    pub waited_running: f64,
    /// Seconds that jobs ran.
    pub ran: f64,
    /// Seconds from the first request to the end of the last.
    pub downloading: f64,
}

impl Figures {
    /// The figures of a story.
    pub fn of(story: &Story) -> Figures {
        let mut figures = Figures::default();
        for job in &story.jobs {
            match job.state {
                JobState::Done => figures.done += 1,
                JobState::Failed => figures.failed += 1,
                _ => figures.left += 1,
            }
            figures.earlier += u64::from(job.earlier);
            figures.ran += job.ran().unwrap_or(0.0);
        }
        let (mut begun, mut ended) = (f64::INFINITY, 0.0_f64);
        for object in &story.objects {
            figures.fetched += object.fetched;
            figures.retries += u64::from(object.retries);
            if object.fault.is_some() {
                figures.objects_failed += 1;
            } else if object.ended.is_some() && object.fetched == 0 && object.size > 0 {
                figures.objects_staged += 1;
                figures.staged += object.size;
            }
            if object.fetched > 0
                && let (Some(from), Some(to)) = (object.begun, object.ended)
            {
                begun = begun.min(from);
                ended = ended.max(to);
            }
        }
        for part in &story.parts {
            begun = begun.min(part.begun);
            ended = ended.max(part.ended);
        }
        figures.downloading = (ended - begun).max(0.0);
        let waited = waits_of_workers(story).map(|(_, wait)| wait.ended - wait.begun);
        figures.waited_running = waited.sum::<f64>().min(figures.ran);
        figures
    }

    /// Bytes a second while there was something to download.
    pub fn rate(&self) -> f64 {
        match self.downloading > 0.0 {
            true => self.fetched as f64 / self.downloading,
            false => 0.0,
        }
    }
}

impl JobSpan {
    /// Seconds from its registration until its inputs were there.
    pub fn waited_for_data(&self) -> Option<f64> {
        let ready = self.ready.or(self.runs.first().map(|run| run.begun))?;
        (!self.earlier).then(|| (ready - self.registered).max(0.0))
    }

    /// Seconds from when its inputs were there until a worker began for the first time.
    pub fn waited_for_a_worker(&self) -> Option<f64> {
        let begun = self.runs.first()?.begun;
        Some((begun - self.ready?).max(0.0))
    }

    /// Seconds that workers spent on it, all times together.
    pub fn ran(&self) -> Option<f64> {
        let seconds = self.runs.iter().map(|run| (run.ended - run.begun).max(0.0));
        (!self.runs.is_empty()).then(|| seconds.sum())
    }

    /// Whether it has to be looked at.
    pub fn has_failed(&self) -> bool {
        self.state == JobState::Failed
    }
}

/// The waits of processors. The planner waits, too, for what it has to read.
pub fn waits_of_workers(story: &Story) -> impl Iterator<Item = (usize, &WaitSpan)> {
    let workers = story.processes.iter().filter(|p| p.role == Role::Worker);
    let workers: BTreeSet<u16> = workers.map(|process| process.number).collect();
    let waits = story.waits.iter().enumerate();
    waits.filter(move |(_, wait)| workers.contains(&wait.process))
}
