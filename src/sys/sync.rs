//! The one door to atomics and fences, so that a checker can be put behind it.

pub use std::sync::atomic::{AtomicU64, Ordering, fence};
