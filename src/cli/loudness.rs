//! What is logged: what `RUST_LOG` or `-v` asks for, without the talk of libraries.
//!
//! Libraries know nothing of secrets: at their verbose levels some print whole requests, and with
//! them signatures, or the command that gives credentials. So below a warning only cotec's own
//! events are printed, which hold neither.

use std::fmt;
use std::io::{IsTerminal, stderr};

use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::prelude::*;

use crate::coord::Voice;
use crate::sys::log;

/// How much is said.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Loudness {
    /// Say every move; -vv logs decisions, too
    ///
    /// With -v there is a line for every move of every object and job. -vv logs why requests are
    /// asked again, and the like. RUST_LOG, for example RUST_LOG=cotec::fetch=trace, says more
    /// exactly what is logged.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// Say nothing but what failed
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

impl Loudness {
    /// How much is said, and in which colours.
    pub fn voice(self) -> Voice {
        Voice {
            quiet: self.quiet,
            verbose: self.verbose > 0,
            colours: colours(),
        }
    }

    /// Begins to log to standard error. The answer says how a run is to be told of.
    pub fn init(self) -> Voice {
        let level = match self.verbose {
            0 => "error",
            1 => "info",
            _ => "debug",
        };
        let asked = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
        let told = filter_fn(|event| {
            let name = event.target().split("::").next().unwrap_or_default();
            matches!(name, "cotec" | "cotec_coord") || *event.level() <= tracing::Level::WARN
        });
        let voice = self.voice();
        let lines = tracing_subscriber::fmt::layer()
            .with_ansi(voice.colours)
            .with_timer(TimeAndProcess)
            .with_writer(|| log::Writer)
            .with_filter(told);
        tracing_subscriber::registry()
            .with(lines)
            .with(asked)
            .init();
        voice
    }
}

/// Whether what is written to standard error is coloured: on a terminal that nobody asked to stay
/// plain (<https://no-color.org>).
fn colours() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    stderr().is_terminal() && !plain
}

/// The time, and which process of a run it is.
struct TimeAndProcess;

impl FormatTime for TimeAndProcess {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        SystemTime.format_time(w)?;
        match log::role() {
            "" => Ok(()),
            role => write!(w, " {role}[{}]", std::process::id()),
        }
    }
}
