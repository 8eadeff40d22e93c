//! Why a plan could not be made.

use crate::store::{ErrorKind, StoreError};
use crate::task::JobFileError;

/// Why a plan could not be made, or not be finished.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The job file or the command line asks for what is not there.
    #[error(transparent)]
    JobFile(#[from] JobFileError),
    /// The store could not be listed or read.
    #[error("the store could not be listed: {0}")]
    Store(#[from] StoreError),
    /// A metadata object could not be had. From [`PlanSink::metadata`](super::PlanSink::metadata)
    /// this fails the jobs of that product, and the others go on.
    #[error("the metadata {key:?} cannot be used: {reason}")]
    Metadata {
        /// The object's key.
        key: String,
        /// Why not.
        reason: String,
    },
    /// What was planned could not be registered; ends the planning.
    #[error("a job could not be registered: {0}")]
    Register(String),
}

/// Which exit code fits a [`PlanError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanErrorKind {
    /// The command line or the job file: 2.
    JobFile,
    /// The store: 3.
    Store,
    /// This machine: 4.
    Local,
}

impl PlanError {
    /// Which exit code fits.
    pub fn kind(&self) -> PlanErrorKind {
        match self {
            PlanError::JobFile(_) => PlanErrorKind::JobFile,
            PlanError::Store(error) => match error.kind() {
                ErrorKind::Config => PlanErrorKind::JobFile,
                ErrorKind::Local => PlanErrorKind::Local,
                _ => PlanErrorKind::Store,
            },
            PlanError::Metadata { .. } => PlanErrorKind::Store,
            PlanError::Register(_) => PlanErrorKind::Local,
        }
    }
}
