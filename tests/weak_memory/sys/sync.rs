//! Atomics that become loom's when a scenario watches them.
//!
//! Loom takes a sequentially consistent access for an acquiring and releasing one, and only the
//! fence for what it is. So what holds here holds by the fences alone.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic as plain;
pub use std::sync::atomic::Ordering;

use loom::sync::atomic as watched;

use super::seeded::Seed;

thread_local! {
    /// The fault of the present run.
    pub static SEEDED: Cell<Option<Seed>> = const { Cell::new(None) };
    /// Whether threads race now; loom runs all of them on one thread of the system.
    pub static RACING: Cell<bool> = const { Cell::new(false) };
}

pub fn seeded(seed: Seed) -> bool {
    SEEDED.get() == Some(seed)
}

pub fn fence(order: Ordering) {
    if RACING.get() {
        watched::fence(order);
    }
}

/// A word of the table.
#[derive(Default)]
pub struct AtomicU64 {
    /// The newest value, also of a watched word.
    plain: plain::AtomicU64,
    watched: OnceLock<watched::AtomicU64>,
}

/// Hands an operation to the watched word, if there is one, and keeps the newest value.
macro_rules! hand_on {
    ($($name:ident($($arg:ident: $type:ty),*) -> $result:ty;)*) => {$(
        pub fn $name(&self, $($arg: $type),*) -> $result {
            let seen = self.watched.get().map(|word| word.$name($($arg),*));
            let newest = self.plain.$name($($arg),*);
            seen.unwrap_or(newest)
        }
    )*};
}

impl AtomicU64 {
    /// From now on loom watches this word.
    pub fn watch(&self) {
        let now = self.newest();
        self.watched.get_or_init(|| watched::AtomicU64::new(now));
    }

    /// The newest value, as the kernel sees it under its lock; orders nothing.
    pub fn newest(&self) -> u64 {
        self.plain.load(Ordering::SeqCst)
    }

    hand_on! {
        load(order: Ordering) -> u64;
        store(value: u64, order: Ordering) -> ();
        swap(value: u64, order: Ordering) -> u64;
        fetch_add(value: u64, order: Ordering) -> u64;
        fetch_sub(value: u64, order: Ordering) -> u64;
        fetch_and(value: u64, order: Ordering) -> u64;
        fetch_or(value: u64, order: Ordering) -> u64;
        fetch_min(value: u64, order: Ordering) -> u64;
        fetch_max(value: u64, order: Ordering) -> u64;
        compare_exchange(a: u64, b: u64, yes: Ordering, no: Ordering) -> Result<u64, u64>;
        compare_exchange_weak(a: u64, b: u64, yes: Ordering, no: Ordering) -> Result<u64, u64>;
    }

    /// A load and compare-and-swaps, as in the standard library.
    pub fn fetch_update(
        &self,
        set: Ordering,
        fetch: Ordering,
        mut change: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        let mut seen = self.load(fetch);
        while let Some(next) = change(seen) {
            match self.compare_exchange(seen, next, set, fetch) {
                Ok(before) => return Ok(before),
                Err(other) => seen = other,
            }
        }
        Err(seen)
    }
}
