//! A futex under a lock, as the kernel has it. No sleep ends by its deadline, so a wake-up that
//! is lost is a deadlock.

use loom::sync::{Condvar, Mutex};

use super::sync::AtomicU64;

pub const WAIT_ANY_MAX: usize = 128;

loom::lazy_static! {
    /// The addresses on which somebody sleeps, each with whether it was woken.
    static ref ASLEEP: Mutex<Vec<(usize, bool)>> = Mutex::new(Vec::new());
    static ref WOKEN: Condvar = Condvar::new();
}

fn address(word: &AtomicU64) -> usize {
    std::ptr::from_ref(word).addr()
}

pub fn wait(word: &AtomicU64, expected: u32, _: Option<u64>) {
    let mut asleep = ASLEEP.lock().unwrap();
    // The kernel's barriers order more than this look does: the table must not depend on them.
    if word.newest() as u32 != expected {
        return;
    }
    let own = asleep.len();
    asleep.push((address(word), false));
    while !asleep[own].1 {
        asleep = WOKEN.wait(asleep).unwrap();
    }
}

pub fn wake(word: &AtomicU64, count: u32) {
    let mut asleep = ASLEEP.lock().unwrap();
    let at = address(word);
    let mut left = count;
    for sleeper in asleep.iter_mut().filter(|s| s.0 == at && !s.1) {
        if left > 0 {
            sleeper.1 = true;
            left -= 1;
        }
    }
    WOKEN.notify_all();
}

pub fn wait_any(words: &[(&AtomicU64, u32)], deadline_ns: Option<u64>) {
    let [(word, expected)] = words else {
        unreachable!("no scenario waits for several here");
    };
    wait(word, *expected, deadline_ns);
}
