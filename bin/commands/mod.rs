//! The sub-commands of `cotec`, one per file.

pub mod completions;
pub mod get;
pub mod ls;
pub mod man;
pub mod put;
pub mod schema;
pub mod stat;
pub mod wait;

use std::fmt::Display;
use std::io::{Write, stderr};

use cotec::store::ErrorKind;

use crate::Cli;

/// Says what went wrong: where, why, and what to do.
pub fn complain(cli: &Cli, what: impl Display) {
    say(cli, &format!("error: {what}"));
}

/// A line for the person, with the colour of its first word. That nobody reads it any more is no
/// failure.
pub fn say(cli: &Cli, line: &str) {
    let _ = writeln!(stderr(), "{}", cli.voice().paint(line));
}

/// The exit code when a store's error ends the command.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Config => 2,
        ErrorKind::Local => 4,
        ErrorKind::NotFound | ErrorKind::Changed => 1,
        ErrorKind::Unreachable
        | ErrorKind::Refused
        | ErrorKind::Throttled
        | ErrorKind::Server
        | ErrorKind::Protocol => 3,
    }
}
