//! The planner, from a job file and a bucket to jobs.
#![cfg(feature = "run")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod fake;
mod real;
mod synthetic;
