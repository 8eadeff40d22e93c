//! Where processors write before a result is complete, and its move to its place.
//!
//! `OUT/.cotec-<pid>-<start>/<job>.<attempt>/`: in the file system of the results, so that the
//! move is one rename and a result is there whole or not at all.

use std::cell::OnceCell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys::proc;

/// What the scratch directories of all runs start with.
const PREFIX: &str = ".cotec-";

/// The scratch directory of a run.
#[derive(Clone, Debug)]
pub struct Scratch {
    root: PathBuf,
}

impl Scratch {
    /// Makes the scratch directory of this process's run under `out`, and removes those of runs
    /// that have ended without doing so.
    pub fn create(out: &Path) -> io::Result<Scratch> {
        fs::create_dir_all(out)?;
        for entry in fs::read_dir(out)?.flatten() {
            let name = entry.file_name();
            if name.to_str().and_then(of_dead_run).is_some() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let pid = std::process::id();
        let start = proc::start_time(pid).unwrap_or(0);
        let root = out.join(format!("{PREFIX}{pid}-{start}"));
        fs::create_dir_all(&root)?;
        Ok(Scratch { root })
    }

    /// The same with an absolute path, for processes that may stand in another directory.
    pub fn absolute(self) -> io::Result<Scratch> {
        Ok(Scratch {
            root: fs::canonicalize(&self.root)?,
        })
    }

    /// Where an attempt at a job writes its result.
    pub fn place(&self, job: u32, attempt: u32) -> PathBuf {
        self.root.join(format!("{job}.{attempt}"))
    }

    /// The directory for the result of one attempt at a job.
    pub(super) fn job_dir(&self, job: u32, attempt: u32) -> JobDir {
        JobDir::at(self.place(job, attempt))
    }

    /// Removes everything.
    pub fn remove(&self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// The directory for the result of a job, made when it is asked for.
pub(super) struct JobDir {
    path: PathBuf,
    made: OnceCell<io::Result<()>>,
}

impl JobDir {
    fn at(path: PathBuf) -> JobDir {
        JobDir {
            path,
            made: OnceCell::new(),
        }
    }

    /// The directory, empty when it is first asked for. Where it cannot be made, whoever writes
    /// there finds out, and [`JobDir::made`] says why.
    pub fn get(&self) -> &Path {
        self.made.get_or_init(|| match fs::create_dir(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir_all(&self.path)?;
                fs::create_dir_all(&self.path)
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => fs::create_dir_all(&self.path),
            other => other,
        });
        &self.path
    }

    /// The directory, whether it was made or not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it could not be made.
    pub fn made(&self) -> io::Result<()> {
        match self.made.get() {
            Some(Err(error)) => Err(error
                .raw_os_error()
                .map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)),
            _ => Ok(()),
        }
    }

    /// Removes it, with what is in it.
    pub fn remove(&mut self) {
        if self.made.take().is_some() {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// `Some` if the name is that of a scratch directory whose run is gone.
fn of_dead_run(name: &str) -> Option<()> {
    let (pid, start) = name.strip_prefix(PREFIX)?.split_once('-')?;
    let (pid, start): (u32, u64) = (pid.parse().ok()?, start.parse().ok()?);
    (proc::start_time(pid) != Some(start)).then_some(())
}

/// Moves a complete file or directory into its place; what stood there before is replaced.
pub(super) fn place(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    match fs::rename(from, to) {
        // A directory is only replaced by rename when it is empty.
        Err(_) if from.is_dir() && to.is_dir() => {
            fs::remove_dir_all(to)?;
            fs::rename(from, to)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_dead_runs_go_and_live_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let mine = Scratch::create(dir.path()).unwrap();
        fs::create_dir(dir.path().join(".cotec-4194304-5")).unwrap();
        fs::create_dir(dir.path().join(".cotec-data")).unwrap();
        Scratch::create(dir.path()).unwrap();
        assert!(mine.root.exists());
        assert!(dir.path().join(".cotec-data").exists());
        assert!(!dir.path().join(".cotec-4194304-5").exists());
    }

    #[test]
    fn a_result_replaces_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        for kind in ["file", "dir"] {
            for round in ["one", "two"] {
                let from = dir.path().join("from");
                let to = dir.path().join("out").join(kind);
                if kind == "dir" {
                    fs::create_dir(&from).unwrap();
                    fs::write(from.join(round), b"").unwrap();
                } else {
                    fs::write(&from, round).unwrap();
                }
                place(&from, &to).unwrap();
                match kind {
                    "dir" => {
                        assert!(to.join(round).exists() && fs::read_dir(&to).unwrap().count() == 1)
                    }
                    _ => assert_eq!(fs::read_to_string(&to).unwrap(), round),
                }
            }
        }
    }
}
