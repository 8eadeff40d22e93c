//! What is logged: what `RUST_LOG` asks for, without the talk of libraries.
//!
//! Libraries know nothing of secrets: at their verbose levels some print whole requests, and with
//! them signatures, or the command that gives credentials. So below a warning only cotec's own
//! events are printed, which hold neither.

use std::io::stderr;

use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// Logs to standard error; errors only unless `RUST_LOG` says otherwise.
pub fn init() {
    let asked = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("error"));
    let told = filter_fn(|event| {
        let name = event.target().split("::").next().unwrap_or_default();
        matches!(name, "cotec" | "cotec_coord") || *event.level() <= tracing::Level::WARN
    });
    tracing_subscriber::registry()
        .with(fmt::layer().with_writer(stderr).with_filter(told))
        .with(asked)
        .init();
}
