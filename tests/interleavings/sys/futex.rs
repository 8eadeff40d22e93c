//! A futex as the kernel has it: comparing and falling asleep are one step under its lock;
//! a wake-up takes the first sleepers of a word.
//!
//! A sleep ends by its deadline only when the scenario moves the time on. The bounds by which
//! production looks again are never reached, so a wake-up that is lost is a deadlock.

use std::sync::{Condvar, Mutex};
use std::time::Duration;

use super::sync::{AtomicU64, Ordering};
use crate::model::{self, Sleep, Step};

pub const WAIT_ANY_MAX: usize = 128;

#[track_caller]
pub fn wait(word: &AtomicU64, expected: u32, deadline_ns: Option<u64>) {
    sleep(&[(word, expected)], deadline_ns);
}

#[track_caller]
pub fn wait_any(words: &[(&AtomicU64, u32)], deadline_ns: Option<u64>) {
    sleep(words, deadline_ns);
}

#[track_caller]
pub fn wake(word: &AtomicU64, count: u32) {
    if model::present() {
        model::step(Step::Change);
        model::wake(address(word), count);
    } else {
        let _held = KERNEL.lock().unwrap();
        ASLEEP.notify_all();
    }
}

fn address(word: &AtomicU64) -> usize {
    std::ptr::from_ref(word).addr()
}

#[track_caller]
fn sleep(words: &[(&AtomicU64, u32)], deadline_ns: Option<u64>) {
    if !model::present() {
        return sleep_for_real(words);
    }
    model::step(Step::Change);
    let as_expected = model::unseen(|| {
        words
            .iter()
            .all(|(word, expected)| word.load(Ordering::SeqCst) as u32 == *expected)
    });
    if as_expected {
        model::sleep(Sleep {
            words: words.iter().map(|(word, _)| address(word)).collect(),
            deadline_ns,
        });
    }
}

static KERNEL: Mutex<()> = Mutex::new(());
static ASLEEP: Condvar = Condvar::new();

/// With real threads every wake-up is for everybody, which a futex may do too. A thread that has
/// slept for seconds has missed its wake-up.
fn sleep_for_real(words: &[(&AtomicU64, u32)]) {
    let held = KERNEL.lock().unwrap();
    if words
        .iter()
        .all(|(word, expected)| word.load(Ordering::SeqCst) as u32 == *expected)
    {
        let (_held, slept) = ASLEEP.wait_timeout(held, Duration::from_secs(20)).unwrap();
        assert!(!slept.timed_out(), "a wake-up was lost");
    }
}
