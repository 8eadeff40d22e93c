//! Looking at a run: which runs of this user there are, how one stands, and what became of it.
//!
//! Everything here reads: no run notices that somebody looks.

mod chrome;
mod chronicle;
mod exporter;
mod failed;
mod find;
mod look;
mod metrics;
mod recorder;
mod tally;
mod trace;

pub use exporter::export;
pub use failed::{Why, job_result, why_job_failed};
pub use find::{Found, runs};
pub use look::{
    Bytes, EndpointLook, Failure, Faults, Fetching, Jobs, Look, Objects, Process, Totals, Watcher,
};
pub use metrics::{About, Metrics};
pub use recorder::{Ending, RecordError, Recording, record};
pub use tally::Tally;
