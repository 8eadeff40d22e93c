//! The job file: what it means, and what a wrong one is answered with.
#![cfg(feature = "run")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod destinations;
mod errors;
mod format;
mod groups;
mod parameters;
