//! The ready jobs, as bits in priority order under two levels of summary.
//!
//! A summary bit may be set with nothing below it, which costs a look; it is never left clear
//! with something below it, except between two instructions of a process that dies there, and
//! the sweep that follows each death sets every bit again that should be set.

use crate::sys::sync::{Ordering, fence};

use super::error::Result;
use super::layout::{READY_LEVELS, Region};
use super::mem::Mem;

const LEVELS: [Region; READY_LEVELS] = [Region::Ready0, Region::Ready1, Region::Ready2];

fn word_of(mem: &Mem, level: usize, index: u64) -> Result<&crate::sys::sync::AtomicU64> {
    mem.word(mem.layout.region(LEVELS[level]).offset + index * 8)
}

/// Takes memory for the bits of all jobs below `jobs`.
pub(crate) fn back(mem: &Mem, jobs: u64) -> Result<()> {
    let mut bits = jobs;
    for level in LEVELS {
        let words = bits.div_ceil(64);
        mem.back(level, words * 8)?;
        bits = words;
    }
    Ok(())
}

/// Marks a job as ready.
pub(crate) fn set(mem: &Mem, job: u32) -> Result<()> {
    set_above(mem, 0, u64::from(job))
}

/// Takes a job's mark away, and the summary bits that have nothing below them any more. True if
/// another job was marked meanwhile, so that a summary bit had to be set again.
pub(crate) fn clear(mem: &Mem, job: u32) -> Result<bool> {
    let mut index = u64::from(job);
    word_of(mem, 0, index / 64)?.fetch_and(!(1 << (index % 64)), Ordering::SeqCst);
    for level in 0..READY_LEVELS - 1 {
        index /= 64;
        let below = word_of(mem, level, index)?;
        if below.load(Ordering::SeqCst) != 0 {
            return Ok(false);
        }
        word_of(mem, level + 1, index / 64)?.fetch_and(!(1 << (index % 64)), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        // Somebody may have marked a job below in the meantime.
        if below.load(Ordering::SeqCst) != 0 {
            set_above(mem, level + 1, index)?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn set_above(mem: &Mem, from: usize, index: u64) -> Result<()> {
    let mut index = index;
    for level in from..READY_LEVELS {
        word_of(mem, level, index / 64)?.fetch_or(1 << (index % 64), Ordering::SeqCst);
        index /= 64;
    }
    Ok(())
}

/// The first job marked as ready, of `jobs` registered.
pub(crate) fn first(mem: &Mem, jobs: u64) -> Result<Option<u32>> {
    let tops = jobs.div_ceil(64).div_ceil(64).div_ceil(64);
    for top in 0..tops {
        let mut seen2 = word_of(mem, 2, top)?.load(Ordering::SeqCst);
        while seen2 != 0 {
            let i1 = top * 64 + u64::from(seen2.trailing_zeros());
            seen2 &= seen2 - 1;
            if i1 >= jobs.div_ceil(64).div_ceil(64) {
                continue;
            }
            let mut seen1 = word_of(mem, 1, i1)?.load(Ordering::SeqCst);
            while seen1 != 0 {
                let i0 = i1 * 64 + u64::from(seen1.trailing_zeros());
                seen1 &= seen1 - 1;
                if i0 >= jobs.div_ceil(64) {
                    continue;
                }
                let seen0 = word_of(mem, 0, i0)?.load(Ordering::SeqCst);
                if seen0 != 0 {
                    let job = i0 * 64 + u64::from(seen0.trailing_zeros());
                    if job < jobs {
                        return Ok(u32::try_from(job).ok());
                    }
                }
            }
        }
    }
    Ok(None)
}
