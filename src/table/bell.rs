//! A bell: processes that found nothing to do sleep on it, and whoever makes work rings it.
//!
//! Ringing changes the bell's count before it looks for sleepers, and a sleeper counts itself
//! before it looks for work the last time, so one of the two always sees the other. A sleeper
//! that is killed leaves its count behind, which costs later rings a system call and nothing
//! else. Ringing with nobody asleep makes no system call.

use crate::sys::futex;
use crate::sys::seeded::Seed;
use crate::sys::sync::{Ordering, fence, seeded};

use super::error::Result;
use super::mem::Mem;

/// The two words of a bell, by offset.
#[derive(Clone, Copy)]
pub(crate) struct Bell {
    pub count: u64,
    pub sleepers: u64,
}

impl Bell {
    /// Wakes up to `count` sleepers.
    pub fn ring(self, mem: &Mem, count: u32) -> Result<()> {
        let bell = mem.word(self.count)?;
        bell.fetch_add(1, Ordering::SeqCst);
        if !seeded(Seed::FenceOfTheRinger) {
            fence(Ordering::SeqCst);
        }
        if mem.word(self.sleepers)?.load(Ordering::SeqCst) != 0 {
            futex::wake(bell, count);
        }
        Ok(())
    }

    /// Sleeps until rung or until `deadline_ns`, unless `work` is true when looked at last.
    pub fn sleep(
        self,
        mem: &Mem,
        deadline_ns: Option<u64>,
        work: impl FnOnce() -> Result<bool>,
    ) -> Result<()> {
        let bell = mem.word(self.count)?;
        let sleepers = mem.word(self.sleepers)?;
        let seen = bell.load(Ordering::SeqCst) as u32;
        let one = u64::from(!seeded(Seed::SleeperUncounted));
        sleepers.fetch_add(one, Ordering::SeqCst);
        if !seeded(Seed::FenceOfTheSleeper) {
            fence(Ordering::SeqCst);
        }
        let outcome = work();
        if matches!(outcome, Ok(false)) {
            futex::wait(bell, seen, deadline_ns);
        }
        sleepers.fetch_sub(one, Ordering::SeqCst);
        outcome.map(|_| ())
    }
}
