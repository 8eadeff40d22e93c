//! Notes of multipart uploads under way, so that those of killed processes can be found.
//!
//! `$XDG_STATE_HOME/cotec/uploads/<pid>-<start>-<number>`: JSON with the bucket's address, the key
//! and the upload's id, from before its first part until it is completed or aborted. The next
//! upload to the same bucket aborts those whose process is gone. Uploads of other programs and of
//! other machines are left alone.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::sys::proc;

/// A note is not longer.
const MOST: u64 = 64 << 10;

/// What is noted of an upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The bucket's URL.
    pub bucket: String,
    pub key: String,
    pub upload: String,
    pid: u32,
    start: u64,
}

/// A note on disk.
#[derive(Debug)]
pub(super) struct Noted(PathBuf);

impl Note {
    /// Of an upload of this process.
    pub fn new(bucket: &str, key: &str, upload: &str) -> Note {
        let pid = proc::id();
        Note {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            upload: upload.to_owned(),
            pid,
            start: proc::start_time(pid).unwrap_or(0),
        }
    }

    /// Writes it down. Where that cannot be, the upload goes on without.
    pub fn write(&self, dir: Option<&Path>) -> Option<Noted> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let dir = dir?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{}-{}-{number}", self.pid, self.start));
        let written = fs::create_dir_all(dir).and_then(|()| {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)?;
            file.write_all(&serde_json::to_vec(self)?)
        });
        match written {
            Ok(()) => Some(Noted(path)),
            Err(error) => {
                let path = path.display();
                tracing::warn!(
                    "{path}: {error}; if this process is killed, parts of an upload may be left"
                );
                None
            }
        }
    }
}

impl Noted {
    /// The upload is over.
    pub fn remove(self) {
        let _ = fs::remove_file(self.0);
    }
}

/// The notes of processes that are gone, about one bucket.
pub(super) fn of_the_dead(dir: Option<&Path>, bucket: &str) -> Vec<(Note, Noted)> {
    let entries = dir.and_then(|dir| fs::read_dir(dir).ok());
    let read = |path: PathBuf| {
        let meta = fs::metadata(&path).ok()?;
        if !meta.is_file() || meta.len() > MOST {
            return None;
        }
        let note: Note = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let gone = proc::start_time(note.pid) != Some(note.start);
        (gone && note.bucket == bucket).then_some((note, Noted(path)))
    };
    let entries = entries.into_iter().flatten().flatten();
    entries.filter_map(|entry| read(entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_dead_are_found_and_only_of_this_bucket() {
        let dir = tempfile::tempdir().unwrap();
        let here = Some(dir.path());
        assert!(of_the_dead(here, "http://h/b/").is_empty());
        let note = Note::new("http://h/b/", "k", "id");
        let mine = note.write(here).unwrap();
        let dead = Note {
            start: note.start + 1,
            ..note.clone()
        };
        let _ = dead.write(here).unwrap();
        fs::write(dir.path().join("x"), b"\xff{").unwrap();
        fs::create_dir(dir.path().join("y")).unwrap();
        let found = of_the_dead(here, "http://h/b/");
        assert_eq!(found.iter().map(|f| &f.0).collect::<Vec<_>>(), [&dead]);
        assert!(of_the_dead(here, "http://h/other/").is_empty());
        found.into_iter().for_each(|(_, noted)| noted.remove());
        assert!(of_the_dead(here, "http://h/b/").is_empty());
        assert!(mine.0.exists());
        assert!(note.write(None).is_none());
        assert!(note.write(Some(&dir.path().join("x"))).is_none());
    }
}
