//! Inputs that a job reads before they are complete.
//!
//! What is read of a landing file has not been compared with the store's checksums yet. So a hash
//! of it is kept, and when the object is complete and verified the same bytes are read again.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_128;

use crate::raster::Source;
use crate::table::{Outcome, SlotId, Table, TableError};
use crate::values::{ByteRange, ObjectState, staged};

/// How long an object may be between its landing file and its final place.
const BETWEEN: Duration = Duration::from_millis(1);

/// What was read of landing files: input, offset, length, hash.
#[derive(Debug, Default)]
pub(super) struct Early(Mutex<Vec<(usize, u64, usize, u128)>>);

impl Early {
    fn note(&self, input: usize, offset: u64, bytes: &[u8]) {
        let read = (input, offset, bytes.len(), xxh3_128(bytes));
        (self.0.lock().unwrap_or_else(PoisonError::into_inner)).push(read);
    }

    /// Whether nothing was read of landing files.
    pub fn is_empty(&self) -> bool {
        (self.0.lock().unwrap_or_else(PoisonError::into_inner)).is_empty()
    }

    /// Whether what was read stands in the inputs, all of which are in staging now; `path` says
    /// where.
    pub fn holds(&self, path: impl Fn(usize) -> Option<PathBuf>) -> bool {
        let read = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        read.iter().all(|(input, offset, len, hash)| {
            bytes.resize(*len, 0);
            let file = path(*input).and_then(|path| File::open(path).ok());
            file.is_some_and(|file| {
                file.read_exact_at(&mut bytes, *offset).is_ok() && xxh3_128(&bytes) == *hash
            })
        })
    }
}

/// An input, as far as it has landed. It may be used by several threads.
pub struct Partial<'a> {
    table: &'a Table,
    staging: &'a Path,
    bucket: &'a str,
    input: usize,
    slot: SlotId,
    key: &'a str,
    early: &'a Early,
    /// The file, and which: that of an attempt, or the final one.
    open: Mutex<Option<(Option<u32>, Arc<File>)>>,
}

impl<'a> Partial<'a> {
    /// Input number `input` of a job, with its slot and its key.
    pub(super) fn new(
        table: &'a Table,
        (staging, bucket): (&'a Path, &'a str),
        (input, slot, key): (usize, SlotId, &'a str),
        early: &'a Early,
    ) -> Partial<'a> {
        Partial {
            table,
            staging,
            bucket,
            input,
            slot,
            key,
            early,
            open: Mutex::new(None),
        }
    }

    /// The size of the whole object in bytes.
    ///
    /// # Errors
    /// The table's.
    pub fn len(&self) -> Result<u64, TableError> {
        self.table.size(self.slot)
    }

    /// Whether the object has no bytes at all.
    ///
    /// # Errors
    /// The table's.
    pub fn is_empty(&self) -> Result<bool, TableError> {
        Ok(self.len()? == 0)
    }

    /// Waits until all bytes of a range have landed, and reads them.
    ///
    /// # Errors
    /// Why the object failed, that the run is over, or the system's.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let range = ByteRange::new(offset, offset.saturating_add(bytes.len() as u64));
        loop {
            let outcome = (self.table).wait_range(self.slot, range, None);
            self.came(outcome)?;
            let state = self.table.object_state(self.slot);
            if state.map_err(io::Error::other)? == Some(ObjectState::Ready) {
                return self.file(None)?.read_exact_at(bytes, offset);
            }
            let attempt = (self.table.object_attempt(self.slot)).map_err(io::Error::other)?;
            match self.file(Some(attempt)) {
                Ok(file) => {
                    file.read_exact_at(bytes, offset)?;
                    self.early.note(self.input, offset, bytes);
                    return Ok(());
                }
                // It is on its way to its final place.
                Err(e) if e.kind() == io::ErrorKind::NotFound => std::thread::sleep(BETWEEN),
                Err(e) => return Err(e),
            }
        }
    }

    /// Waits until the object is in staging, and gives its path.
    ///
    /// # Errors
    /// As [`Partial::read_at`].
    pub fn complete(&self) -> io::Result<PathBuf> {
        self.came(self.table.wait(self.slot, None))?;
        Ok(self.path())
    }

    fn path(&self) -> PathBuf {
        let (root, bucket) = (self.staging, self.bucket);
        staged::find(root, staged::staged_path(root, bucket, self.key))
    }

    fn came(&self, outcome: Result<Outcome, TableError>) -> io::Result<()> {
        match outcome.map_err(io::Error::other)? {
            Outcome::Ready => Ok(()),
            Outcome::Failed(fault) => {
                let key = self.key;
                Err(io::Error::other(format!(
                    "its input {key:?} failed: {fault}"
                )))
            }
            Outcome::TimedOut => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// The file of an attempt, or the final one.
    fn file(&self, attempt: Option<u32>) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((which, file)) = open.as_ref()
            && *which == attempt
        {
            return Ok(Arc::clone(file));
        }
        let (root, bucket) = (self.staging, self.bucket);
        let file = match attempt {
            None => File::open(self.path()),
            Some(attempt) => File::open(staged::landing_path_of_key(root, bucket, self.key))
                .or_else(|_| File::open(staged::landing_path(root, self.slot.0, attempt))),
        };
        let file = Arc::new(file?);
        *open = Some((attempt, Arc::clone(&file)));
        Ok(file)
    }
}

impl Source for Partial<'_> {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        self.len().map_err(io::Error::other)
    }

    fn whole(&self) -> io::Result<PathBuf> {
        self.complete()
    }
}
