//! A thread that measures what jobs have in their scratch directories while they run.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::sys::disk;
use crate::values::staged;

/// Between two measurements.
const EVERY: Duration = Duration::from_millis(250);

/// What was measured last; the thread ends some time after this is gone.
#[derive(Debug)]
pub(super) struct Meter {
    measured: Arc<Mutex<Vec<(u32, u64)>>>,
}

impl Meter {
    /// Starts the thread, if there can be one.
    pub fn start(staging: &Path) -> Meter {
        let measured = Arc::<Mutex<Vec<(u32, u64)>>>::default();
        let (weak, directory) = (Arc::downgrade(&measured), staging.join(staged::SCRATCH));
        std::thread::spawn(move || measure(&weak, &directory));
        Meter { measured }
    }

    /// The bytes of each job that has a scratch directory, if they were measured since the last
    /// call.
    pub fn read(&self) -> Vec<(u32, u64)> {
        let measured = self.measured.lock();
        std::mem::take(&mut measured.unwrap_or_else(PoisonError::into_inner))
    }
}

fn measure(to: &Weak<Mutex<Vec<(u32, u64)>>>, directory: &Path) {
    loop {
        std::thread::sleep(EVERY);
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let found: Vec<(u32, u64)> = entries
            .filter_map(|entry| {
                let (job, _) = staged::scratch_of(entry.file_name().to_str()?)?;
                Some((job, disk::used(&entry.path())))
            })
            .collect();
        let Some(to) = to.upgrade() else {
            return;
        };
        *to.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }
}
