//! What the model keeps of objects, jobs, events and processes.

use std::collections::BTreeSet;

use cotec::values::{EventKind, Fault, JobState, ObjectState, Owner, Role};

#[derive(Clone, Debug)]
pub struct Object {
    pub key: String,
    pub size: u64,
    pub etag: Option<String>,
    pub state: ObjectState,
    pub attempt: u32,
    pub owner: Owner,
    pub landed: BTreeSet<u64>,
    pub fault: Option<Fault>,
    /// Wanted for its jobs only.
    pub for_jobs: bool,
    /// Jobs that have it as an input, once for each time.
    pub jobs: Vec<usize>,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub name: String,
    pub task: u32,
    pub payload: Vec<u8>,
    pub inputs: Vec<usize>,
    pub state: JobState,
    pub attempt: u32,
    pub owner: Owner,
    pub fault: Option<Fault>,
    pub result: Option<Vec<u8>>,
    /// Inputs before this one were seen ready.
    pub watch: usize,
    pub admitted: bool,
}

/// An event without its time. A note's text stands in place of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    pub kind: EventKind,
    pub role: Role,
    pub process: u16,
    pub id: u32,
    pub value: u64,
    pub text: Option<String>,
}

/// A process that has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub owner: Owner,
    pub role: Role,
}
