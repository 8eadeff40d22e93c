//! Uploads: one PUT for a small file, a multipart upload for a large one, many files side by side.
//!
//! [`Uploads`] is for a program that uploads as it goes on: all its files and parts share a number
//! of requests at a time, their pauses when the store is in trouble, and one switch that stops
//! them. Bytes are streamed from the files, each request with a checksum that the store compares.
//! An upload that fails or is stopped removes its parts again; those of a process that was killed
//! are removed by the next upload to the same bucket by the same user.

mod attempts;
mod checksum;
mod left;
mod multipart;
mod piece;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use tokio::sync::{OnceCell, Semaphore, watch};

use super::error::local;
use super::{Algorithm, S3Store, StoreError, state};
use piece::Piece;

/// Requests at a time unless told otherwise.
const PARALLEL: usize = 8;
/// Files up to this size go in one PUT, larger ones in parts of at least this size.
const PART: u64 = 16 << 20;
/// S3 takes no more parts for one object.
const MAX_PARTS: u64 = 10_000;

/// Uploads that share requests, pauses and a switch. Clones are the same.
#[derive(Clone)]
pub struct Uploads {
    inner: Arc<Inner>,
}

struct Inner {
    store: S3Store,
    parallel: usize,
    requests: Semaphore,
    /// Whether the store has refused the first kind of checksum.
    second: AtomicBool,
    /// No request begins before this.
    quiet: Mutex<Instant>,
    sent: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    notes: Option<PathBuf>,
    cleared: OnceCell<usize>,
}

/// An object that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// Bytes.
    pub size: u64,
    /// Parts; 0 for a single PUT.
    pub parts: u64,
    /// The checksum that the store compared each request with.
    pub checksum: Algorithm,
}

/// What shows that a file is still the one that it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
}

impl S3Store {
    /// Uploads `file` as `key`, as [`Uploads::put`] does.
    ///
    /// # Errors
    /// As there.
    pub async fn put(&self, key: &str, file: &Path) -> Result<Uploaded, StoreError> {
        self.uploads(PARALLEL).put(key, file).await
    }

    /// Uploads to this store with up to `parallel` requests at a time (at least 1).
    pub fn uploads(&self, parallel: usize) -> Uploads {
        let parallel = parallel.clamp(1, Semaphore::MAX_PERMITS);
        Uploads {
            inner: Arc::new(Inner {
                store: self.clone(),
                parallel,
                requests: Semaphore::new(parallel),
                second: AtomicBool::new(false),
                quiet: Mutex::new(Instant::now()),
                sent: Arc::default(),
                stop: watch::Sender::new(false),
                notes: state::directory("uploads"),
                cleared: OnceCell::new(),
            }),
        }
    }
}

impl Uploads {
    /// Uploads `file` as `key`. Files of more than 16 MiB go up in parts.
    ///
    /// Dropping the future half way leaves the parts of a large file behind until another process
    /// of this user uploads to the bucket: use [`Uploads::stop`].
    ///
    /// # Errors
    /// `Local` where the file cannot be read, `Altered` where it changes meanwhile, `Stopped` after
    /// [`Uploads::stop`], else as the store answers. The object is then as it was before, or has
    /// just been replaced; its parts are removed, or a warning says why not.
    pub async fn put(&self, key: &str, file: &Path) -> Result<Uploaded, StoreError> {
        let inner = &*self.inner;
        let place = inner.store.key_place(key)?;
        let stamp = Stamp::of(file).await?;
        let uploaded = if stamp.size > PART {
            inner.cleared.get_or_init(|| inner.clear()).await;
            let part = part_size(stamp.size, PART);
            inner.put_parts(key, file, stamp, part, &place).await
        } else {
            inner.put_whole(key, file, stamp, &place).await
        };
        match uploaded {
            Err(error) => Err(stamp.cause(file, error).await),
            uploaded => uploaded,
        }
    }

    /// Stops all uploads: those that are not complete end with an error, after their parts were
    /// removed.
    pub fn stop(&self) {
        self.inner.stop.send_replace(true);
    }

    /// Whether they were stopped.
    pub fn stopped(&self) -> bool {
        *self.inner.stop.borrow()
    }

    /// Bytes handed to connections so far; less again when some have to be sent once more.
    pub fn sent(&self) -> u64 {
        self.inner.sent.load(Ordering::Relaxed)
    }

    /// Removes the parts that uploads to this bucket by processes of this user on this machine
    /// left when they were killed; of how many uploads. The first upload in parts does it too.
    pub async fn clear_left(&self) -> usize {
        let inner = &*self.inner;
        *inner.cleared.get_or_init(|| inner.clear()).await
    }
}

impl Inner {
    fn algorithm(&self) -> Algorithm {
        match self.second.load(Ordering::Relaxed) {
            false => checksum::FIRST,
            true => checksum::SECOND,
        }
    }

    /// Uploads in one request.
    async fn put_whole(
        &self,
        key: &str,
        file: &Path,
        stamp: Stamp,
        place: &str,
    ) -> Result<Uploaded, StoreError> {
        let piece = Piece {
            file: file.to_owned(),
            start: 0,
            length: stamp.size,
        };
        let (_, sum) = self.put_piece(key, &[], &piece, place).await?;
        stamp.check(file).await?;
        Ok(Uploaded {
            size: stamp.size,
            parts: 0,
            checksum: sum.algorithm(),
        })
    }
}

impl Stamp {
    async fn of(file: &Path) -> Result<Stamp, StoreError> {
        let meta = tokio::fs::metadata(file)
            .await
            .map_err(local(file, "open"))?;
        Ok(Stamp {
            size: meta.len(),
            modified: meta.modified().ok(),
        })
    }

    /// Errors if the file is not as it was.
    async fn check(self, file: &Path) -> Result<(), StoreError> {
        if Stamp::of(file).await? == self {
            return Ok(());
        }
        Err(StoreError::Altered {
            path: file.to_owned(),
        })
    }

    /// What an upload failed of. A file that changes ends early while it is read, or the store
    /// finds other bytes than were summed up, which looks as if the network had changed them.
    async fn cause(self, file: &Path, error: StoreError) -> StoreError {
        match error {
            StoreError::Local { .. } | StoreError::Unreachable { .. } => {
                self.check(file).await.err().unwrap_or(error)
            }
            error => error,
        }
    }
}

/// Parts of `least` bytes, or of as many whole MiB as it takes for 10,000 of them to do.
fn part_size(size: u64, least: u64) -> u64 {
    size.div_ceil(MAX_PARTS)
        .next_multiple_of(1 << 20)
        .max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_never_too_many() {
        assert_eq!(part_size(PART + 1, PART), PART);
        for size in [1 << 30, 160_000 << 20, 5 << 40, (5 << 40) - 1] {
            let part = part_size(size, PART);
            assert!(
                size.div_ceil(part) <= MAX_PARTS && (PART..=5 << 30).contains(&part),
                "{size}: {part}"
            );
        }
    }
}
