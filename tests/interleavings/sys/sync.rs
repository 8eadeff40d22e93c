//! Atomics before each of which the scheduler may choose another task, or the death of this one.
//!
//! The scheduler runs one task at a time, so what is explored is every sequentially consistent
//! order; weaker orders are the business of `tests/weak_memory`.

pub use std::sync::atomic::Ordering;

use std::sync::atomic::{self, Ordering::SeqCst};

use super::seeded::Seed;
use crate::model::{self, Step};

/// Whether this fault is seeded in the present run.
pub fn seeded(seed: Seed) -> bool {
    model::seeded(seed)
}

/// Orders nothing that a model's scheduler has not ordered already.
pub fn fence(order: Ordering) {
    if !model::present() {
        atomic::fence(order);
    }
}

/// A word of the table.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct AtomicU64(atomic::AtomicU64);

/// A look matters less to a scheduler than a move: see [`model::Detail`].
fn look(order: Ordering) -> Step {
    match order {
        SeqCst => Step::Look,
        _ => Step::Glance,
    }
}

fn change(order: Ordering) -> Step {
    match order {
        Ordering::Relaxed => Step::Scribble,
        _ => Step::Change,
    }
}

impl AtomicU64 {
    #[track_caller]
    pub fn load(&self, order: Ordering) -> u64 {
        model::step(look(order));
        self.0.load(order)
    }

    #[track_caller]
    pub fn store(&self, value: u64, order: Ordering) {
        model::step(change(order));
        self.0.store(value, order);
    }

    #[track_caller]
    pub fn swap(&self, value: u64, order: Ordering) -> u64 {
        model::step(change(order));
        self.0.swap(value, order)
    }

    #[track_caller]
    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        model::step(change(order));
        self.0.fetch_add(value, order)
    }

    #[track_caller]
    pub fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        model::step(change(order));
        self.0.fetch_sub(value, order)
    }

    #[track_caller]
    pub fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
        model::step(change(order));
        self.0.fetch_and(value, order)
    }

    #[track_caller]
    pub fn fetch_or(&self, value: u64, order: Ordering) -> u64 {
        model::step(change(order));
        self.0.fetch_or(value, order)
    }

    #[track_caller]
    pub fn fetch_min(&self, value: u64, order: Ordering) -> u64 {
        model::step(change(order));
        self.0.fetch_min(value, order)
    }

    #[track_caller]
    pub fn fetch_max(&self, value: u64, order: Ordering) -> u64 {
        model::step(change(order));
        self.0.fetch_max(value, order)
    }

    #[track_caller]
    pub fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        model::step(change(success));
        self.0.compare_exchange(current, new, success, failure)
    }

    #[track_caller]
    pub fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.compare_exchange(current, new, success, failure)
    }

    /// A look and a compare-and-swap, as in the standard library: others may come between.
    #[track_caller]
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
