//! The downloader: turns wanted slots into bytes in staging.
//!
//! It takes the objects in the order of the jobs, cuts large ones into parts, and lets its
//! connections take the parts one after the other: products, objects and parts overlap, and the
//! first jobs' inputs are complete first. How many connections and how large parts is found while
//! downloading.
//!
//! - `pool` is the process: it makes the `engine`, and ends it with the run.
//! - `agenda` says which object comes next: those that no job waits for, then job by job.
//! - `limited` keeps staging within its limit; `survey` looks what stands there, `recycle` removes
//!   what nobody needs.
//! - `queue` has what is to be fetched: wanted objects, their `parts`, and those parts that wait
//!   until they may be asked for again.
//! - `engine` has the lines, each a connection at work; `request` is one request, over the
//!   `wire`; `retry` and `backoff` say what a failure means for its part and for all.
//! - `landing` has the files that bytes land in, with a record for the next run; `inspect` holds
//!   what has landed to what is known of it, by [`integrity`] and `manifests`, before it is ready.
//! - `pace` looks ten times a second: connections, silence, and the slowest at the end.

mod agenda;
mod backoff;
mod bell;
mod config;
mod control;
mod doubts;
mod engine;
mod error;
mod inspect;
pub mod integrity;
mod landed;
mod landing;
mod limited;
mod manifests;
mod meter;
mod object;
mod pace;
mod part;
mod parts;
mod pool;
mod queue;
mod recycle;
mod request;
mod retry;
mod staging;
mod survey;
mod verify;
mod wire;

pub use config::{FetchConfig, SpaceConfig};
pub use control::{Bounds, Control, Seen, Setting, Sign};
pub use error::FetchError;
pub use landed::{Landed, LandedRecord};
pub use pool::run;
pub use staging::{Staging, StagingError};
pub use survey::Survey;
