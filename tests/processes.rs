//! The table between real processes: forked here, killed here.
//!
//! Each case runs in a process of its own with one thread (a process with several cannot be
//! forked), within a time limit, and its end is printed as the standard test runner does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "processes/cases.rs"]
mod cases;
#[path = "processes/forks.rs"]
mod forks;
#[path = "processes/helpers.rs"]
mod helpers;
#[path = "processes/runner.rs"]
mod runner;

use std::process::ExitCode;

fn main() -> ExitCode {
    runner::main(cases::CASES)
}
