//! What stands behind the façade here: words that loom watches, for those that a scenario is
//! about, and plain ones for the rest.

pub mod clock;
pub mod futex;
#[path = "../../interleavings/sys/mapping.rs"]
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
