//! Looking at a run from outside: which runs of this user there are, and how one stands.
//!
//! Everything here reads: the table is mapped read-only, and no run notices that somebody looks.

mod failed;
mod find;
mod look;

pub use failed::{Why, job_result, why_job_failed};
pub use find::{Found, runs};
pub use look::{Bytes, Failure, Fetching, Jobs, Look, Objects, Process, Watcher};
