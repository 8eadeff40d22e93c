//! What the uploader needs, and why it may not go on.

use std::path::PathBuf;

use crate::store::{S3Store, StoreConfig, StoreError, Uploads};
use crate::table::TableError;
use crate::task::JobFile;

/// What the uploader needs besides the table.
pub struct UploadConfig<'a> {
    /// The job file of the run.
    pub jobfile: &'a JobFile,
    /// The store of the inputs; results go to its endpoint with its credentials.
    pub store: &'a StoreConfig,
    /// Where an attempt at a job has written its result.
    pub place: &'a dyn Fn(u32, u32) -> PathBuf,
}

/// Why the uploader cannot go on; a result that cannot be uploaded only fails its job.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The store's settings.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that waits for work.
    #[error("the thread that waits for work ended: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// A bucket that results go to.
pub(super) struct Bucket {
    pub store: S3Store,
    pub uploads: Uploads,
}
