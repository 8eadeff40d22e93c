//! What stands behind the façade here: the same names as in `src/sys`, over the heap and under
//! the scheduler of [`crate::model`]. On a thread that no model runs, the atomics are plain and
//! the futex is a mutex with a condition variable, so the same logic runs with real threads.

pub mod clock;
pub mod futex;
pub mod mapping;
pub mod proc;
#[path = "../../../src/sys/seeded.rs"]
pub mod seeded;
pub mod sync;

/// Nobody dies at a named point here: the model has its own deaths.
pub mod death {
    /// Nothing.
    pub const fn point(_: &str) {}
}
