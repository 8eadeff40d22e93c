//! The worker: claims a job whose inputs are in staging, runs its processor, puts the result in
//! place, and only then says that the job is done.

mod command;
mod formula;
mod job;
mod log;
mod outcome;
mod partial;
mod scratch;
mod space;
mod worker;

pub use job::Job;
pub use outcome::{JobResult, ResultStats, Written};
pub use partial::Partial;
pub use scratch::Scratch;
pub use space::remove_abandoned;
pub use worker::{Native, WorkConfig, run};
