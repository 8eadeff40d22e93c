//! What the tests that run the real command share.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod data;
pub mod processes;
pub mod run;
