//! What is known of a run when it is over: when everything began and ended.
//!
//! All times are seconds since the run began.

use std::path::PathBuf;

use crate::store::EndpointProfile;
use crate::values::order::Order;
use crate::values::{Fault, JobState, Role};

/// A whole run.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// How it ended: `done`, `some-failed`, `usage`, `store`, `local` or `interrupted`.
    pub outcome: String,
    /// When it began, in seconds since the epoch.
    pub begun_unix: u64,
    /// Wall time.
    pub seconds: f64,
    /// The bucket and where it is, without secrets.
    pub store: String,
    /// Whether the products are the synthetic sample.
    pub synthetic: bool,
    /// The directory of the results.
    pub out: PathBuf,
    /// Processes that ran jobs at the same time.
    pub workers: usize,
    /// Cores that the run could use.
    pub cores: usize,
    /// The number of connections, if the user has set it.
    pub connections_set: Option<usize>,
    /// What the endpoint allows this user.
    pub allowed: EndpointProfile,
    /// In which order jobs began.
    pub order: Order,
    /// Whether the bytes in staging were limited, so that the replay (which knows no limit) may
    /// be off.
    pub staging_limited: bool,
    /// Names of the tasks, by their numbers.
    pub tasks: Vec<String>,
    /// What held the run back.
    pub held_back: HeldBack,
    /// All processes, those included that died.
    pub processes: Vec<ProcessSpan>,
    /// All objects, by their slots.
    pub objects: Vec<ObjectSpan>,
    /// All parts of objects that were asked for, in the order of their ends.
    pub parts: Vec<PartSpan>,
    /// All jobs, by their numbers.
    pub jobs: Vec<JobSpan>,
    /// Waits inside of processors for objects, in the order of their ends.
    pub waits: Vec<WaitSpan>,
    /// What the controller allowed, and since when.
    pub settings: Vec<Setting>,
    /// Sentences that were shown to the user, with their times.
    pub notes: Vec<Note>,
    /// Events that were overwritten before they were read, or left out because there were too
    /// many: what they tell is missing above.
    pub lost: u64,
}

/// How long what was waited for. Seconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeldBack {
    /// With an object being fetched.
    pub download: f64,
    /// With a job running.
    pub processing: f64,
    /// With both.
    pub hidden: f64,
    /// With fewer jobs running than workers, because inputs were missing.
    pub waiting_for_data: f64,
    /// With all workers busy and further jobs ready.
    pub waiting_for_workers: f64,
}

/// A process of the run.
#[derive(Clone, Debug)]
pub struct ProcessSpan {
    /// Its number, as in the records of events. One that died may have had the number of another.
    pub number: u16,
    /// Its process id.
    pub pid: u32,
    /// What it was for.
    pub role: Role,
    /// When it joined.
    pub begun: f64,
}

/// An object of the run.
#[derive(Clone, Debug, Default)]
pub struct ObjectSpan {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that came from the store; 0 if staging had it.
    pub fetched: u64,
    /// When it was registered.
    pub wanted: f64,
    /// When the downloader took it last, if it did.
    pub begun: Option<f64>,
    /// When it was complete or given up.
    pub ended: Option<f64>,
    /// Why it failed.
    pub fault: Option<Fault>,
    /// Requests for it that were tried again.
    pub retries: u32,
}

/// A part of an object.
#[derive(Clone, Copy, Debug)]
pub struct PartSpan {
    /// Its object.
    pub slot: u32,
    /// The line, that is, the connection at work, that brought it; from 0.
    pub line: u16,
    /// When it was asked for.
    pub begun: f64,
    /// When the head of the answer was there.
    pub answered: Option<f64>,
    /// When its last byte had landed, or it was given up.
    pub ended: f64,
    /// Bytes that landed.
    pub bytes: u64,
}

/// A job of the run.
#[derive(Clone, Debug)]
pub struct JobSpan {
    /// Its name: `task/product`.
    pub name: String,
    /// The number of its task.
    pub task: u32,
    /// The slots of its inputs.
    pub inputs: Vec<u32>,
    /// How it stands at the end.
    pub state: JobState,
    /// When it was registered.
    pub registered: f64,
    /// When its inputs were ready, before it ran for the first time.
    pub ready: Option<f64>,
    /// Each time that it ran; the last one is what counts.
    pub runs: Vec<RunSpan>,
    /// When its results were handed to the uploader, and when that was over.
    pub upload: Option<(f64, f64)>,
    /// Why it failed.
    pub fault: Option<Fault>,
    /// Why it failed, in a sentence, with what to do.
    pub error: Option<String>,
    /// The files of its result, absolute; quick-looks end with `.png`.
    pub outputs: Vec<PathBuf>,
    /// The addresses of those that are in a store.
    pub uploaded: Vec<String>,
    /// Whether an earlier run has done it.
    pub earlier: bool,
}

/// One time that a job ran.
#[derive(Clone, Copy, Debug)]
pub struct RunSpan {
    /// The number of the process.
    pub worker: u16,
    /// When it began.
    pub begun: f64,
    /// When its worker was done with it; the end of the run if it never was.
    pub ended: f64,
}

/// A wait of a process for an object.
#[derive(Clone, Copy, Debug)]
pub struct WaitSpan {
    /// The number of the process.
    pub process: u16,
    /// The object.
    pub slot: u32,
    /// When it began.
    pub begun: f64,
    /// When it was over.
    pub ended: f64,
}

/// What the controller allowed.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Since when.
    pub at: f64,
    /// Connections at most.
    pub connections: u32,
    /// Bytes of a part.
    pub part_bytes: u64,
}

/// A sentence for the user.
#[derive(Clone, Debug)]
pub struct Note {
    /// When.
    pub at: f64,
    /// The sentence.
    pub text: String,
    /// Whether it says why something failed.
    pub error: bool,
}
