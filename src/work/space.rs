//! The processors' own scratch directories: `STAGING/%~scratch/w<pid of the worker>/`, or
//! `<job>.<attempt>/` where they are kept.
//!
//! They stand in staging so that one limit holds for everything that comes and goes with a run.
//! One is made when it is asked for and removed when its attempt is over, also when its worker
//! died: then by the coordinator, or by the next run.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys::disk;
use crate::table::{JobClaim, JobId, Table, TableError};
use crate::values::{JobState, staged};

/// The directory that a worker keeps for one job after the other as long as they leave nothing in
/// it: most commands do not use theirs, and to make and remove one for each costs more than the
/// rest of a short job.
#[derive(Debug)]
pub(super) struct Spare {
    path: PathBuf,
    there: Cell<bool>,
}

impl Spare {
    /// That of this process.
    pub fn new(staging: &Path) -> Spare {
        Spare {
            path: staged::worker_scratch_path(staging, std::process::id()),
            there: Cell::new(false),
        }
    }

    /// The worker needs it no more.
    pub fn remove(&self) {
        if self.there.get() {
            let _ = fs::remove_dir(&self.path);
        }
    }
}

/// The scratch directory of an attempt at a job.
#[derive(Debug)]
pub(super) struct Space<'a> {
    spare: &'a Spare,
    /// A directory of its own, which is kept.
    own: Option<PathBuf>,
    made: Cell<bool>,
}

impl<'a> Space<'a> {
    /// The directory of this attempt, which is not made yet. With `keep` it is not removed.
    pub fn new(spare: &'a Spare, staging: &Path, claim: JobClaim, keep: bool) -> Space<'a> {
        Space {
            spare,
            own: keep.then(|| staged::scratch_path(staging, claim.job.0, claim.attempt)),
            made: Cell::new(false),
        }
    }

    /// The directory, whether it was made or not.
    pub fn path(&self) -> &Path {
        self.own.as_deref().unwrap_or(&self.spare.path)
    }

    /// Makes it, empty, if it was not made.
    pub fn make(&self) -> io::Result<()> {
        if self.made.replace(true) {
            return Ok(());
        }
        if self.own.is_none() && self.spare.there.get() {
            return Ok(());
        }
        // A worker that died may have had this one's number.
        let _ = fs::remove_dir_all(self.path());
        fs::create_dir_all(self.path())?;
        self.spare.there.set(self.own.is_none());
        Ok(())
    }

    /// Removes what is in it; how many bytes of the disk it took at the end, if it was used.
    pub fn over(&self) -> Option<u64> {
        if !self.made.get() {
            return None;
        }
        let path = self.path();
        let empty = || fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
        if self.own.is_none() && empty() {
            return None;
        }
        let used = disk::used(path);
        if self.own.is_none() {
            let _ = fs::remove_dir_all(path);
            self.spare.there.set(false);
        }
        Some(used)
    }
}

/// Removes the scratch directories of attempts that nobody works on any more: for the time after a
/// worker's death.
///
/// # Errors
/// The table's; what cannot be removed stays until the next run.
pub fn remove_abandoned(table: &Table, staging: &Path) -> Result<(), TableError> {
    let found = fs::read_dir(staging.join(staged::SCRATCH));
    let workers: Vec<u32> = table.processes()?.iter().map(|p| p.pid).collect();
    for entry in found.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let worker = name.to_str().and_then(staged::worker_scratch_of);
        if worker.is_some_and(|worker| !workers.contains(&worker)) {
            let _ = fs::remove_dir_all(entry.path());
        }
        let Some((job, attempt)) = name.to_str().and_then(staged::scratch_of) else {
            continue;
        };
        // Whoever makes the directory has claimed the job before.
        let view = table.job(JobId(job))?;
        let used = view.is_some_and(|v| v.state == JobState::Running && v.attempt == attempt);
        if !used {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}
