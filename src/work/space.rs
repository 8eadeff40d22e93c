//! The processors' own scratch directories: `STAGING/%~scratch/<job>.<attempt>/`.
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

/// The scratch directory of an attempt at a job.
#[derive(Debug)]
pub(super) struct Space {
    path: PathBuf,
    made: Cell<bool>,
    keep: bool,
}

impl Space {
    /// The directory of this attempt, which is not made yet. With `keep` it is not removed.
    pub fn new(staging: &Path, claim: JobClaim, keep: bool) -> Space {
        Space {
            path: staged::scratch_path(staging, claim.job.0, claim.attempt),
            made: Cell::new(false),
            keep,
        }
    }

    /// The directory, whether it was made or not.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes it, empty, if it was not made.
    pub fn make(&self) -> io::Result<()> {
        if !self.made.replace(true) {
            fs::create_dir_all(&self.path)?;
        }
        Ok(())
    }

    /// Removes it; how many bytes of the disk it took at the end, if it was made.
    pub fn over(&self) -> Option<u64> {
        let used = self.made.get().then(|| disk::used(&self.path));
        if used.is_some() && !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
        used
    }
}

/// Removes the scratch directories of attempts that nobody works on any more: for the time after a
/// worker's death.
///
/// # Errors
/// The table's; what cannot be removed stays until the next run.
pub fn remove_abandoned(table: &Table, staging: &Path) -> Result<(), TableError> {
    let found = fs::read_dir(staging.join(staged::SCRATCH));
    for entry in found.into_iter().flatten().flatten() {
        let name = entry.file_name();
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
