//! The store: the client, the embedded server, where a bucket is and who asks, `cotec ls` and
//! `cotec put`.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "cli")]
mod cli;
mod client;
mod embedded;
mod faults;
mod keys;
#[path = "../common/listener.rs"]
mod listener;
mod memory;
mod profiles;
mod scripted;
#[path = "../store_common/mod.rs"]
mod store_common;
mod uploads;
