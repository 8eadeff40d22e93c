//! Waiting on the low half of a shared 64-bit word.
//!
//! Always the shared kind (never `FUTEX_PRIVATE_FLAG`), because waiter and waker are different
//! processes. Deadlines are absolute `CLOCK_MONOTONIC` nanoseconds.

use std::num::NonZeroU32;
use std::sync::atomic::AtomicU32;

use rustix::io::Errno;
use rustix::thread::futex::{self, ClockId, Flags, Timespec, Wait, WaitFlags, WaitPtr, WaitvFlags};

use crate::sys::sync::AtomicU64;

/// The most words that one [`wait_any`] can watch: the kernel's limit.
pub const WAIT_ANY_MAX: usize = 128;

/// The 32 bits that the kernel looks at: on a little-endian machine they come first.
fn low_half(word: &AtomicU64) -> &AtomicU32 {
    let first = std::ptr::from_ref(word).cast::<AtomicU32>();
    let at = if cfg!(target_endian = "little") {
        first
    } else {
        first.wrapping_add(1)
    };
    // SAFETY: `at` lies inside `word`, is aligned for 32 bits and lives as long as `word`. The
    // reference is only handed to the kernel, which does the one 32-bit load; no 32-bit access
    // is made from here, so accesses of different sizes never meet in this program.
    unsafe { &*at }
}

fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ns / 1_000_000_000).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ns % 1_000_000_000).unwrap_or(0) as _,
    }
}

/// Sleeps while the low half of `word` is `expected`, until woken or until
/// `deadline_ns`. May return without a reason: the caller looks at the word again.
pub fn wait(word: &AtomicU64, expected: u32, deadline_ns: Option<u64>) {
    let at = deadline_ns.map(timespec);
    // Every outcome (woken, changed already, interrupted, timed out) means: look again.
    let _ = futex::wait_bitset(
        low_half(word),
        Flags::empty(),
        expected,
        at.as_ref(),
        NonZeroU32::MAX,
    );
}

/// Wakes up to `count` sleepers of `word`; returns how many.
pub fn wake(word: &AtomicU64, count: u32) -> usize {
    // The kernel takes the count for a signed number, and a negative one for 1.
    let count = count.min(i32::MAX as u32);
    // The only error is a bad address, which a reference cannot be.
    futex::wake(low_half(word), Flags::empty(), count).unwrap_or(0)
}

/// Sleeps while each word's low half is as expected; at most [`WAIT_ANY_MAX`] words are watched.
/// Where the kernel has no `futex_waitv` (before Linux 5.16) it sleeps on the first word only,
/// so callers give a near deadline.
pub fn wait_any(words: &[(&AtomicU64, u32)], deadline_ns: Option<u64>) {
    let watched: Vec<Wait> = words
        .iter()
        .take(WAIT_ANY_MAX)
        .map(|(word, expected)| {
            let mut w = Wait::new();
            w.val = u64::from(*expected);
            w.uaddr = WaitPtr::new(std::ptr::from_ref(low_half(word)).cast_mut().cast());
            w.flags = WaitFlags::SIZE_U32;
            w
        })
        .collect();
    let at = deadline_ns.map(timespec);
    let outcome = futex::waitv(
        &watched,
        WaitvFlags::empty(),
        at.as_ref(),
        ClockId::Monotonic,
    );
    if let (Err(Errno::NOSYS | Errno::PERM), Some((word, expected))) = (outcome, words.first()) {
        wait(word, *expected, deadline_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::clock::now_ns;
    use crate::sys::sync::Ordering;

    #[test]
    fn a_changed_word_does_not_sleep_and_a_deadline_ends_the_sleep() {
        let word = AtomicU64::new(7 | 9 << 32);
        wait(&word, 8, None);
        wait(&word, 7, Some(now_ns() + 1_000_000));
        wait_any(&[(&word, 7)], Some(now_ns() + 1_000_000));
        wait_any(&[(&word, 8)], None);
    }

    #[test]
    fn a_wake_for_all_reaches_all() {
        let word = AtomicU64::new(1);
        std::thread::scope(|s| {
            for _ in 0..4 {
                s.spawn(|| {
                    while word.load(Ordering::SeqCst) == 1 {
                        wait(&word, 1, None);
                    }
                });
            }
            // They fall asleep again until one wake-up has met all four of them.
            let given_up = now_ns() + 10_000_000_000;
            let mut most = 0;
            while most < 4 && now_ns() < given_up {
                std::thread::yield_now();
                most = most.max(wake(&word, u32::MAX));
            }
            word.store(2, Ordering::SeqCst);
            while wake(&word, 1) > 0 {}
            assert_eq!(most, 4);
        });
    }
}
