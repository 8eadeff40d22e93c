//! The table's bell, which a tokio task cannot sleep on: a thread does, and passes it on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{JoinHandle, Thread};
use std::time::Duration;

use tokio::sync::Notify;

use crate::table::{Table, TableError};

/// How long the thread sleeps before the run is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What the thread and the engine tell each other.
#[derive(Debug, Default)]
pub(super) struct Bell {
    /// Rung when there may be something to do.
    pub rung: Notify,
    stop: AtomicBool,
    /// The engine has nothing left to give out. Until then nobody need wake it, and those who
    /// register objects need not wake the thread.
    hungry: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Bell {
    /// Starts the thread. `table` is looked at after this, so that no ring is missed.
    pub fn listen(self: &Arc<Bell>, table: &Table) -> Result<JoinHandle<()>, TableError> {
        let (bell, table) = (Arc::clone(self), table.clone());
        let mut rings = table.wanted_rings()?;
        let thread = std::thread::spawn(move || {
            while !bell.stop.load(Ordering::SeqCst) {
                if bell.hungry.swap(false, Ordering::SeqCst) {
                    let stop = || bell.stop.load(Ordering::SeqCst);
                    let awake = || Ok(stop() || table.wanted_rings()? != rings);
                    let slept = table.sleep_until_wanted(LOOK_AGAIN, awake);
                    match slept.and_then(|()| table.wanted_rings()) {
                        Ok(now) => rings = now,
                        Err(_) => return,
                    }
                } else {
                    std::thread::park_timeout(LOOK_AGAIN);
                }
                bell.rung.notify_one();
            }
        });
        let _ = self.thread.set(thread.thread().clone());
        Ok(thread)
    }

    /// Nothing is left to give out: the next ring is to be passed on.
    pub fn hungry(&self) {
        if !self.hungry.swap(true, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Ends the thread.
    pub fn stop(&self, table: &Table) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = table.ring_all();
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}
