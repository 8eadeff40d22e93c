//! A thread that measures what jobs have in their scratch directories while they run.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::sys::disk;
use crate::table::{JobId, Table, TableError};
use crate::values::{JobState, staged};

/// Between two measurements.
const EVERY: Duration = Duration::from_millis(250);
/// What an empty directory takes at most.
const EMPTY: u64 = 4096;

/// A job, and the bytes of its scratch directory.
type Measured = Vec<(u32, u64)>;

/// What was measured last; the thread ends some time after this is gone.
#[derive(Debug)]
pub(super) struct Meter {
    measured: Arc<Mutex<Measured>>,
}

impl Meter {
    /// Starts the thread.
    pub fn start(table: &Table, staging: &Path) -> Meter {
        let measured = Arc::<Mutex<Measured>>::default();
        let weak = Arc::downgrade(&measured);
        let (table, directory) = (table.clone(), staging.join(staged::SCRATCH));
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(EVERY);
                let Some(to) = weak.upgrade() else {
                    return;
                };
                // A damaged table ends the downloader; here nothing is measured.
                let found = measure(&table, &directory).unwrap_or_default();
                *to.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
        });
        Meter { measured }
    }

    /// What was measured since the last call.
    pub fn read(&self) -> Measured {
        let measured = self.measured.lock();
        std::mem::take(&mut measured.unwrap_or_else(PoisonError::into_inner))
    }
}

fn measure(table: &Table, directory: &Path) -> Result<Measured, TableError> {
    let mut before = None;
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(worker) = name.to_str().and_then(staged::worker_scratch_of) else {
            continue;
        };
        if disk::used(&entry.path()) <= EMPTY {
            continue;
        }
        // Workers use their directory for one job after the other: it was the same job's all the
        // time, or nobody's.
        if before.is_none() {
            before = Some(running(table)?);
        }
        found.push((worker, disk::used(&entry.path())));
    }
    let (Some(before), false) = (before, found.is_empty()) else {
        return Ok(Vec::new());
    };
    let after = running(table)?;
    let same = |worker| {
        before
            .get(&worker)
            .filter(|job| after.get(&worker) == Some(job))
    };
    let of_job = found.into_iter();
    Ok(of_job
        .filter_map(|(worker, bytes)| Some((same(worker)?.0, bytes)))
        .collect())
}

/// The job that each worker runs and the attempt that it is, by the worker's pid.
fn running(table: &Table) -> Result<HashMap<u32, (u32, u32)>, TableError> {
    let workers = table.processes()?;
    let mut running = HashMap::new();
    for number in 0..table.jobs_len()? {
        if table.job_state(JobId(number))? != Some(JobState::Running) {
            continue;
        }
        if let Some(job) = table.job(JobId(number))?
            && let Some(worker) = workers.iter().find(|worker| worker.owner == job.owner)
        {
            running.insert(worker.pid, (number, job.attempt));
        }
    }
    Ok(running)
}
