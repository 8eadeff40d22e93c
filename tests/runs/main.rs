//! Whole runs of the real commands: what they compute, what they survive, and how they end.
#![cfg(all(feature = "cli", feature = "embedded"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/exposition.rs"]
mod exposition;
#[path = "../common/gate.rs"]
mod gate;
#[path = "../getin/mod.rs"]
mod getin;
#[path = "../store_common/mod.rs"]
mod store_common;
#[path = "../common/watch.rs"]
mod watch;

mod at_once;
mod big;
mod by_hand;
mod cli;
mod codes;
mod commands;
mod deaths;
mod edges;
mod groups;
mod hostile;
mod integrity;
mod keeper;
mod landed;
mod limited;
mod loudness;
mod metrics;
mod mistakes;
mod order;
mod parameters;
mod points;
mod recorded;
mod records;
mod reference;
mod resume;
mod signals;
mod storm;
mod strangers;
mod uploads;
mod watched;
