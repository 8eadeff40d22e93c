//! The sub-commands of `cotec`, one per file.

pub mod completions;
pub mod get;
pub mod ls;
pub mod man;
pub mod put;
pub mod schema;
pub mod stat;

use cotec::store::ErrorKind;

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
