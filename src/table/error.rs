//! What can go wrong with a table.

use crate::sys::mapping::MapError;

/// Errors of the table. None of them leaves the table half changed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// One of the capacities is used up.
    #[error(
        "the table is full: it holds at most {limit} {what}; give the products to several runs"
    )]
    Full {
        /// Which capacity.
        what: &'static str,
        /// Its size.
        limit: u64,
    },
    /// The machine has no memory left for the table.
    #[error("no memory for the table ({what}): {source}; free memory, or raise the limit on it")]
    NoMemory {
        /// Which part of the table wanted to grow.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no table of this version of cotec.
    #[error("not a cotec table: {why}; use the version of cotec that the run has")]
    NotATable {
        /// What is wrong with it.
        why: String,
    },
    /// The file could not be mapped.
    #[error("cannot map the table: {0}")]
    Map(#[from] MapError),
    /// The table holds something that cannot be: another process wrote over it.
    #[error("the table is damaged: {what} {value} cannot be; start the run again")]
    Corrupt {
        /// What was looked at.
        what: &'static str,
        /// What stood there.
        value: u64,
    },
    /// A text is longer than the table takes.
    #[error("{what} of {len} bytes is too long; give it at most {max}")]
    TooLong {
        /// What kind of text.
        what: &'static str,
        /// Its length in bytes.
        len: usize,
        /// The most that is taken.
        max: usize,
    },
    /// A moving operation on a read-only attachment.
    #[error("attached read-only: this operation needs a writable attachment")]
    ReadOnly,
    /// A claiming operation by a process that has not joined.
    #[error("this process has not joined the run: call Table::join first")]
    NotJoined,
    /// The coordinator is gone or has ended the run.
    #[error("the run has ended; start it again to go on")]
    RunEnded,
}

impl TableError {
    pub(crate) fn corrupt(what: &'static str, value: u64) -> TableError {
        TableError::Corrupt { what, value }
    }
}

/// Shorthand of this floor.
pub type Result<T> = std::result::Result<T, TableError>;
