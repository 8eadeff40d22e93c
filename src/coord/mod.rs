//! The coordinator: creates the table, forks the others, watches them, reports.
//!
//! It has one thread for life, because it forks again whenever a child dies.

mod children;
mod config;
mod dry;
mod events;
mod exit;
mod exporter;
mod exporting;
mod forks;
mod journal;
mod json;
mod native;
mod observe;
mod overdue;
mod plain;
mod postponed;
mod recorder;
mod run;
#[cfg(feature = "embedded")]
mod sample;
mod schema;
mod sink;
mod standing;
mod summary;
mod supervise;
#[cfg(feature = "cli")]
mod terminal;
mod voice;

pub use config::{DEFAULT_GRACE, Output, Record, RunConfig, RunError};
pub use events::move_line;
pub use exit::ExitCode;
pub use json::JsonObserver;
pub use native::{NativeConfig, run as run_native};
pub use observe::{Happening, Observer, Progress, What};
pub use plain::PlainObserver;
pub use run::run;
pub use schema::events_schema;
pub use summary::{HeldBack, ResultRecord, Summary};
#[cfg(feature = "cli")]
pub use terminal::TerminalObserver;
pub use voice::Voice;
