//! The staging directory: its lock, and the move of what has landed to its final place.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::values::{bytes, staged};

use super::error::FetchError;
use super::landing;
use super::survey::Survey;

/// Why a staging directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    /// It cannot be made or written.
    #[error("the staging directory {} cannot be written: {source}; choose another with --staging", path.display())]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another run works in it.
    #[error("another run works in the staging directory {}; wait for it, or choose another with --staging", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// What stands in it leaves nothing of its limit.
    #[error("the staging directory {} may take {}, and {} of it is taken by {what}; remove that, raise --staging-limit, or choose another directory with --staging", path.display(), bytes::text(*limit), bytes::text(*taken))]
    NoRoom {
        /// The directory.
        path: PathBuf,
        /// The limit.
        limit: u64,
        /// Bytes that are taken.
        taken: u64,
        /// By what.
        what: &'static str,
    },
}

/// A staging directory that belongs to this run, as long as this value or a fork of it lives.
#[derive(Debug)]
pub struct Staging {
    root: PathBuf,
    _lock: File,
}

impl Staging {
    /// Makes the directory if need be, locks it, and clears what an earlier run left that no
    /// other can go on with.
    pub fn open(root: &Path) -> Result<Staging, StagingError> {
        let not = |source| StagingError::NotWritable {
            path: root.to_owned(),
            source,
        };
        fs::create_dir_all(root).map_err(not)?;
        let root = fs::canonicalize(root).map_err(not)?;
        let lock = lock(&root.join(staged::LOCK)).map_err(not)?;
        let Some(lock) = lock else {
            return Err(StagingError::InUse { path: root });
        };
        landing::keep_usable(&root).map_err(not)?;
        let _ = fs::remove_dir_all(root.join(staged::SCRATCH));
        Ok(Staging { root, _lock: lock })
    }

    /// Removes what only an interrupted run needs: for the end of one in which all was done.
    pub fn tidy(&self) {
        landing::remove_all(&self.root);
    }

    /// The bytes that jobs may have where the directory has a limit: all but what cotec does not
    /// know, and never removes. With `keep` also but what earlier runs left there.
    pub fn room(&self, limit: u64, keep: bool) -> Result<u64, StagingError> {
        let survey = Survey::take(&self.root).map_err(|source| StagingError::NotWritable {
            path: self.root.clone(),
            source,
        })?;
        let (taken, what) = match keep {
            false => (survey.foreign, "files that are not cotec's"),
            true => (
                survey.foreign + survey.left_bytes(),
                "what stands there, which --keep does not remove",
            ),
        };
        match limit.checked_sub(taken) {
            Some(room @ 1..) => Ok(room),
            _ => Err(StagingError::NoRoom {
                path: self.root.clone(),
                limit,
                taken,
                what,
            }),
        }
    }

    /// Removes the scratch directories.
    pub fn remove_scratch(&self) {
        let _ = fs::remove_dir_all(self.root.join(staged::SCRATCH));
    }

    /// The directory, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// Locks a file, which it makes if need be; `None` if somebody else holds the lock.
fn lock(path: &Path) -> io::Result<Option<File>> {
    loop {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
        // Whoever had it may have removed it at its end, and then this is not the file any more
        // that the next one will find.
        let (mine, there) = (file.metadata()?, fs::metadata(path));
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino())) {
            return Ok(Some(file));
        }
    }
}

/// Moves a complete file to its final place, or near it where another object has that; it is
/// there whole or not at all. Returns where.
pub(super) fn place(root: &Path, landing: &Path, target: &Path) -> Result<PathBuf, FetchError> {
    let blocked = match move_to(landing, target) {
        Ok(()) => return Ok(target.to_owned()),
        Err(error) => error,
    };
    if let FetchError::InTheWay { .. } = blocked {
        for other in staged::elsewhere(root, target) {
            match move_to(landing, &other) {
                Ok(()) => return Ok(other),
                Err(FetchError::InTheWay { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Err(blocked)
}

fn move_to(landing: &Path, target: &Path) -> Result<(), FetchError> {
    let moved = match fs::rename(landing, target) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let made = target.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::rename(landing, target))
        }
        other => other,
    };
    moved.map_err(|source| match in_the_way(target) {
        Some(other) => FetchError::InTheWay {
            path: target.to_owned(),
            other,
            source,
        },
        None => FetchError::staging(target)(source),
    })
}

/// What keeps a file from having this path: a directory there, or a file where one of its
/// directories must be. S3 may hold the keys `a` and `a/b`, and no file system both.
fn in_the_way(target: &Path) -> Option<PathBuf> {
    if target.is_dir() {
        return Some(target.to_owned());
    }
    let directories = target.ancestors().skip(1);
    directories
        .take_while(|path| !path.is_dir())
        .find(|path| path.symlink_metadata().is_ok())
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_kept_out_and_leftovers_go() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("deep/staging");
        let first = Staging::open(&root).unwrap();
        fs::write(staged::landing_path(first.root(), 1, 1), b"x").unwrap();
        assert!(matches!(
            Staging::open(&root),
            Err(StagingError::InUse { .. })
        ));
        drop(first);
        let again = Staging::open(&root).unwrap();
        assert!(!staged::landing_path(again.root(), 1, 1).exists());
    }

    #[test]
    fn a_file_in_the_way_is_a_clear_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, b"").unwrap();
        let error = Staging::open(&file.join("staging")).unwrap_err();
        assert!(error.to_string().contains("--staging"), "{error}");
    }

    #[test]
    fn what_is_in_the_way_stays_and_the_file_comes_near_it() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        let (from, file) = (dir.path().join("from"), root.join("a/b"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, b"first").unwrap();
        for (target, near) in [("a/b/c/d", "a"), ("a", "")] {
            fs::write(&from, target).unwrap();
            let target = root.join(target);
            let placed = place(&root, &from, &target).unwrap();
            assert_eq!(placed.parent(), Some(root.join(near).as_path()));
            assert_eq!(staged::find(&root, target), placed);
        }
        assert_eq!(fs::read(&file).unwrap(), b"first");
        // Where nothing can stand it is named.
        fs::write(&from, b"").unwrap();
        let wall = dir.path().join("wall");
        fs::write(&wall, b"").unwrap();
        let error = place(&wall, &from, &wall.join("a")).unwrap_err();
        let FetchError::InTheWay { other, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(other, wall);
    }
}
