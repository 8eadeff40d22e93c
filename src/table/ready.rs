//! The ready jobs, as bits in priority order under two levels of summary.
//!
//! A summary bit may be set with nothing below it, which costs a look. It is clear with something
//! below it only for a moment, while a job is marked or another one's mark is taken away; who
//! ends that moment rings the bell. A process that dies in it leaves it to the sweep that follows
//! each death, which sets every bit again that should be set.

use crate::sys::seeded::Seed;
use crate::sys::sync::{Ordering, fence, seeded};

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
        if below.load(Ordering::SeqCst) != 0 && !seeded(Seed::SummaryNotSetAgain) {
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

/// The first job marked as ready, from job `from` on, of `jobs` registered.
pub(crate) fn first(mem: &Mem, from: u64, jobs: u64) -> Result<Option<u32>> {
    // Of the word that `from` stands in, at each level, only its own bit and later ones count.
    let load = |level: usize, index: u64| -> Result<u64> {
        let start = from >> (6 * level);
        let word = word_of(mem, level, index)?.load(Ordering::SeqCst);
        Ok(if index == start / 64 {
            word & (u64::MAX << (start % 64))
        } else {
            word
        })
    };
    let words = jobs.div_ceil(64);
    for i2 in from >> 18..words.div_ceil(64).div_ceil(64) {
        let mut seen2 = load(2, i2)?;
        while seen2 != 0 {
            let i1 = i2 * 64 + u64::from(seen2.trailing_zeros());
            seen2 &= seen2 - 1;
            if i1 >= words.div_ceil(64) {
                continue;
            }
            let mut seen1 = load(1, i1)?;
            while seen1 != 0 {
                let i0 = i1 * 64 + u64::from(seen1.trailing_zeros());
                seen1 &= seen1 - 1;
                if i0 >= words {
                    continue;
                }
                let seen0 = load(0, i0)?;
                let job = i0 * 64 + u64::from(seen0.trailing_zeros());
                if seen0 != 0 && job < jobs {
                    return Ok(u32::try_from(job).ok());
                }
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::handle::Table;
    use crate::values::Limits;

    #[test]
    fn the_first_is_found_from_anywhere() {
        let jobs = 300_000;
        let table = Table::create(Limits::for_objects(jobs)).unwrap();
        let marked = [0, 5, 63, 64, 4095, 4096, 4097, 262_143, 262_144, 299_999];
        back(&table.mem, jobs.into()).unwrap();
        for job in marked {
            set(&table.mem, job).unwrap();
        }
        let first = |from, jobs| first(&table.mem, from, jobs).unwrap();
        for from in marked.iter().flat_map(|m| [m.saturating_sub(1), *m, m + 1]) {
            let expected = marked.into_iter().find(|m| *m >= from);
            assert_eq!(first(from.into(), jobs.into()), expected, "from {from}");
        }
        assert_eq!(first(0, 0), None);
        assert_eq!(first(6, 63), None);
        assert_eq!(first(4098, 262_143), None);
        for job in marked {
            assert_eq!(first(0, jobs.into()), Some(job));
            clear(&table.mem, job).unwrap();
        }
        assert_eq!(first(0, jobs.into()), None);
    }
}
