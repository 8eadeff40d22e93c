//! What an observer of a run is told.

use crate::values::{Event, Fault, JobState, ObjectState, Verified};
use crate::watch::Why;
use crate::work::JobResult;

use super::summary::Summary;
use crate::watch::Tally;

/// Something that happened, with its names.
#[derive(Clone, Debug)]
pub struct Happening {
    /// Seconds since the run began.
    pub at: f64,
    /// The role of the process that did it, and its number.
    pub process: (&'static str, u16),
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// The run began.
    Started {
        /// Processes that run jobs.
        workers: usize,
        /// The bucket and where it is, without secrets.
        store: String,
    },
    /// An object changed its state.
    Object {
        /// To which state.
        state: ObjectState,
        /// Its key.
        key: String,
        /// Its size in bytes.
        size: u64,
        /// Bytes fetched for it, when it became ready.
        fetched: Option<u64>,
        /// How it was verified, when it became ready.
        verified: Option<Verified>,
        /// Why it failed.
        fault: Option<Fault>,
    },
    /// A job changed its state.
    Job {
        /// To which state.
        state: JobState,
        /// Its name.
        name: String,
        /// How often it was claimed.
        attempt: u32,
        /// The keys of its inputs, when it was registered.
        inputs: Option<Vec<String>>,
        /// Its outcome, when it ended.
        result: Option<Box<JobResult>>,
        /// Why it failed, or why it is to be run again.
        fault: Option<Fault>,
        /// The same in words, where it failed.
        why: Option<Why>,
    },
    /// The worker of a job died and the job can be claimed again.
    HandedOn {
        /// Its name.
        name: String,
    },
    /// The results of a job begin to be uploaded.
    UploadBegun {
        /// Its name.
        name: String,
    },
    /// A request is tried again.
    Retry {
        /// The object's key.
        key: String,
        /// What went wrong.
        fault: Fault,
    },
    /// Everything is registered.
    Planned {
        /// Number of products.
        products: u64,
        /// Number of jobs.
        jobs: u64,
    },
    /// A sentence.
    Note {
        /// The sentence.
        text: String,
        /// Whether it says why something failed.
        error: bool,
    },
    /// A process of the run died.
    Died {
        /// Its role.
        role: &'static str,
        /// Its process id.
        pid: u32,
        /// How it ended.
        how: String,
        /// Whether another takes its place.
        replaced: bool,
    },
    /// The run is over.
    Ended(Box<Summary>),
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Seconds since the run began.
    pub at: f64,
    /// Counts.
    pub tally: &'a Tally,
    /// Bytes fetched from the store so far.
    pub bytes: u64,
    /// Whether everything is registered.
    pub planned: bool,
    /// Processes that run jobs.
    pub workers: usize,
}

/// Somebody who is told. All calls come from the coordinator's one thread; an observer must not
/// start threads.
pub trait Observer {
    /// Whether every move of every object and job is wanted, or only what ends, fails or is said.
    fn wants_all(&self) -> bool {
        false
    }

    /// Something happened.
    fn happening(&mut self, happening: &Happening);

    /// Called about ten times a second.
    fn progress(&mut self, _progress: &Progress<'_>) {}
}

/// Whether an event is only for those who want all.
pub(super) fn is_detail(event: &Event) -> bool {
    use crate::values::EventKind::*;
    matches!(
        event.kind,
        ObjectWanted
            | ObjectFetching
            | ObjectReady
            | ObjectEvicted
            | JobWaiting
            | JobReady
            | JobRunning
            | JobPostponed
            | JobUploading
            | UploadBegun
            | Retry
    )
}
