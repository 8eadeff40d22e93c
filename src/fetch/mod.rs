//! The downloader: turns wanted slots into bytes in staging.
//!
//! It walks the slots in the order of their registration, which is the order of the jobs, cuts
//! large objects into parts, and lets a fixed number of connections take the parts one after the
//! other: products, objects and parts overlap, and the first jobs' inputs are complete first.

mod control;
mod error;
pub mod integrity;
mod landed;
mod object;
mod parts;
mod pool;
mod retry;
mod staging;
mod verify;

pub use control::{Bounds, Control, Seen, Setting, Sign, connections_for};
pub use error::FetchError;
pub use landed::{Landed, LandedRecord};
pub use pool::{FetchConfig, run};
pub use staging::{Staging, StagingError};
