//! The staging directory: its lock, its landing files, and their move to the final place.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{FallocateFlags, FlockOperation};

use crate::values::staged;

use super::error::FetchError;

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
}

/// A staging directory that belongs to this run, as long as this value or a fork of it lives.
#[derive(Debug)]
pub struct Staging {
    root: PathBuf,
    _lock: File,
}

impl Staging {
    /// Makes the directory if need be, locks it, and clears what an earlier run left half done.
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
        let landing = root.join(staged::LANDING);
        match fs::remove_dir_all(&landing) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(not(e)),
            _ => {}
        }
        fs::create_dir_all(&landing).map_err(not)?;
        Ok(Staging { root, _lock: lock })
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

/// A file that an object's bytes land in.
#[derive(Debug)]
pub(super) struct Landing {
    pub path: PathBuf,
    pub file: Rc<File>,
    /// Whether it holds what an earlier attempt left.
    pub adopted: bool,
}

/// The largest object whose disk space is not reserved: it is written at once, or fails at once.
const SMALL: u64 = 1 << 20;

/// Opens the landing file of an attempt: the one of the attempt before if it is there (its
/// process is dead, or the claim would not have been given), else a new one.
pub(super) fn open_landing(root: &Path, slot: u32, attempt: u32, size: u64) -> io::Result<Landing> {
    let path = staged::landing_path(root, slot, attempt);
    let before = staged::landing_path(root, slot, attempt.saturating_sub(1));
    let adopted = match attempt {
        0 | 1 => false,
        _ => match fs::rename(&before, &path) {
            Ok(()) => true,
            Err(e) if e.kind() == io::ErrorKind::NotFound => false,
            Err(e) => return Err(e),
        },
    };
    let open = || {
        File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
    };
    let file = match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(root.join(staged::LANDING))?;
            open()?
        }
        other => other?,
    };
    if !adopted && size > SMALL {
        reserve(&file, size)?;
    }
    Ok(Landing {
        path,
        file: Rc::new(file),
        adopted,
    })
}

/// Takes the disk space at once where the file system can, so that a full disk is known before
/// the download and not after it.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    // An object larger than what is free would fill the disk for everybody before it fails.
    if let Ok(disk) = rustix::fs::fstatvfs(file)
        && disk.f_blocks > 0
        && disk.f_bfree.saturating_mul(disk.f_frsize) < size
    {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(size),
        Err(e) => Err(e.into()),
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
    fn the_next_attempt_adopts_the_file_of_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let first = open_landing(dir.path(), 3, 1, 2 * SMALL).unwrap();
        assert!(!first.adopted);
        let second = open_landing(dir.path(), 3, 2, 2 * SMALL).unwrap();
        assert!(second.adopted && !first.path.exists());
        assert_eq!(second.file.metadata().unwrap().len(), 2 * SMALL);
        let target = dir.path().join("a/b/c");
        assert_eq!(place(dir.path(), &second.path, &target).unwrap(), target);
        assert!(target.exists());
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

    #[test]
    fn an_object_larger_than_the_disk_takes_none_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let error = open_landing(dir.path(), 1, 1, 1 << 60).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let landing = staged::landing_path(dir.path(), 1, 1);
        assert_eq!(fs::metadata(landing).unwrap().len(), 0);
    }
}
