//! The one door to atomics and fences, so that a checker can be put behind it.

pub use std::sync::atomic::{AtomicU64, Ordering, fence};

use super::seeded::Seed;

/// Whether a fault is seeded here: never in a program that runs. The checker of interleavings
/// has its own version of this function.
#[inline(always)]
pub const fn seeded(_: Seed) -> bool {
    false
}
