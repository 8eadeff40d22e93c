//! Why one object could not be fetched, and what the table keeps of it.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::{ErrorKind, StoreError, Sum};
use crate::values::{ByteRange, Fault, FaultCode, Verified};

/// Why a part could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The store's side.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No connection, or one that was closed before an answer.
    #[error(transparent)]
    Connect(StoreError),
    /// The connection was silent for too long.
    #[error(transparent)]
    Silent(StoreError),
    /// The body ended before the part was complete.
    #[error("the connection ended {missing} bytes before the end of {range}; {}", FaultCode::Unreachable.way_out())]
    Short {
        /// What was asked for.
        range: ByteRange,
        /// How many bytes of it are missing.
        missing: u64,
    },
    /// The body went on after the part was complete.
    #[error("the store sent more than the {range} it was asked for; {}", FaultCode::Protocol.way_out())]
    Long {
        /// What was asked for.
        range: ByteRange,
    },
    /// The bytes are not those that a checksum speaks of.
    #[error("the bytes of the download number {downloads} have {found}, but {} {expected}; {}", says(*by), FaultCode::Corrupt.way_out())]
    Corrupt {
        /// What the bytes should have.
        expected: Sum,
        /// What they have.
        found: Sum,
        /// Who says what they should have.
        by: Verified,
        /// How often the object was downloaded.
        downloads: u32,
    },
    /// The staging directory could not be written.
    #[error("{} cannot be written: {source}; {}", path.display(), FaultCode::Staging.way_out())]
    Staging {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another object's file or directory has the path.
    #[error("{} cannot be written, since {} stands there, from this run or an earlier one ({source}); if it is from an earlier run, remove it or choose another directory with --staging", path.display(), other.display())]
    InTheWay {
        /// The file.
        path: PathBuf,
        /// What stands there.
        other: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FetchError {
    pub(super) fn staging(path: &Path) -> impl FnOnce(io::Error) -> FetchError + '_ {
        |source| FetchError::Staging {
            path: path.to_owned(),
            source,
        }
    }

    /// What to keep in the table after `attempts` requests.
    pub(super) fn fault(&self, attempts: u32) -> Fault {
        match self {
            FetchError::Store(error) | FetchError::Connect(error) | FetchError::Silent(error) => {
                store_fault(error, attempts)
            }
            FetchError::Short { .. } => Fault::new(FaultCode::Unreachable, attempts),
            FetchError::Long { .. } => Fault::new(FaultCode::Protocol, 0),
            FetchError::Corrupt { .. } => Fault::new(FaultCode::Corrupt, attempts),
            FetchError::Staging { source, .. } | FetchError::InTheWay { source, .. } => {
                let errno = source.raw_os_error().unwrap_or(0).unsigned_abs();
                Fault::new(FaultCode::Staging, errno)
            }
        }
    }
}

/// Who says what the bytes should be.
fn says(by: Verified) -> &'static str {
    match by {
        Verified::Manifest => "the product's manifest.safe says",
        Verified::Md5 => "its ETag says",
        _ => "the store says",
    }
}

fn store_fault(error: &StoreError, attempts: u32) -> Fault {
    let status = match error {
        StoreError::Refused { status, .. }
        | StoreError::Throttled { status, .. }
        | StoreError::Server { status, .. } => u32::from(*status),
        _ => 0,
    };
    if matches!(error, StoreError::UsedUp { .. }) {
        return Fault::new(FaultCode::UsedUp, 0);
    }
    match error.kind() {
        ErrorKind::Unreachable => Fault::new(FaultCode::Unreachable, attempts),
        ErrorKind::Refused => Fault::new(FaultCode::Refused, status),
        ErrorKind::NotFound => Fault::new(FaultCode::NotFound, 404),
        ErrorKind::Changed => Fault::new(FaultCode::Changed, 412),
        ErrorKind::Throttled | ErrorKind::Server => Fault::new(FaultCode::Server, status),
        ErrorKind::Protocol | ErrorKind::Config => Fault::new(FaultCode::Protocol, status),
        ErrorKind::Local => Fault::new(FaultCode::Staging, 0),
    }
}
