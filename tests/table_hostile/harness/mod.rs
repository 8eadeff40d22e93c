//! Tables with altered bytes against every public operation of the table. Used by the test
//! beside it and by `tools/fuzz-table.rs`.
//!
//! A case is a populated table, a few alterations, and all operations in a shuffled order; all of
//! it follows from a seed and the case's number. Alterations are made before an operation or
//! between two. Wrong answers are fine. A panic, an operation that does not end, memory taken by
//! a number that stands in the table, or a write outside of all regions is a finding.

mod alloc;
mod arena;
mod bytes;
mod case;
mod dice;
mod mutation;
mod operations;
mod report;
mod run;

pub use bytes::bytes;
pub use run::{replay, run, storm};
