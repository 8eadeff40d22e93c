//! How much of the disk a directory takes, seen from outside all the time.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

/// A thread that sums what stands below a directory, over and over.
pub struct Watch {
    most: Arc<AtomicU64>,
    looks: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins. The directory need not be there yet.
    pub fn over(directory: &Path) -> Watch {
        let (most, looks) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let stop = Arc::<AtomicBool>::default();
        let (directory, peak, looked) = (directory.to_owned(), most.clone(), looks.clone());
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut before = HashMap::new();
            while !stopped.load(Ordering::SeqCst) {
                let now = files(&directory);
                // What was there before and is there now was there all at once in between: a look
                // takes time, in which files come and go.
                let both = now.iter().filter_map(|(file, blocks)| {
                    let earlier: &u64 = before.get(file)?;
                    Some(*earlier.min(blocks))
                });
                peak.fetch_max(both.sum::<u64>() * 512, Ordering::SeqCst);
                looked.fetch_add(1, Ordering::SeqCst);
                before = now;
                std::thread::yield_now();
            }
        });
        Watch {
            most,
            looks,
            stop,
            thread: Some(thread),
        }
    }

    /// The most bytes that were there at once, so far.
    pub fn most(&self) -> u64 {
        // Some looks more, so that what is there now counts.
        let before = self.looks.load(Ordering::SeqCst);
        while self.looks.load(Ordering::SeqCst) < before + 3 {
            std::thread::yield_now();
        }
        self.most.load(Ordering::SeqCst)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Blocks of 512 bytes, by device and inode: a file that is renamed meanwhile counts once.
fn files(directory: &Path) -> HashMap<(u64, u64), u64> {
    let mut found = HashMap::new();
    let mut left: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(meta) = fs::symlink_metadata(&path) else {
            continue;
        };
        found.insert((meta.dev(), meta.ino()), meta.blocks());
        if meta.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path()));
        }
    }
    found
}
