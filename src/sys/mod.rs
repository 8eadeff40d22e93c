//! The operating system: futexes, the sealed mapping, fork, pidfds, signals, `/proc`.
//!
//! With the table's raw layer this is the only place with `unsafe`.

pub mod clock;
pub mod command;
pub mod death;
pub mod disk;
pub mod fork;
pub mod futex;
pub mod log;
pub mod mapping;
pub mod pidfd;
pub mod proc;
pub mod seeded;
#[cfg(feature = "run")]
pub mod segment;
pub mod signals;
pub mod spawn;
pub mod sync;
pub mod whole;
#[cfg(feature = "s3")]
pub mod words;
