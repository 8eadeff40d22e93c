//! Plain values that every floor may use: state words, ranges, limits, fault codes, the clock,
//! the order of jobs, and where a key stands in the staging directory. No I/O, no shared memory.

pub mod bytes;
pub mod clock;
pub mod connections;
pub mod event;
pub mod fault;
pub mod human;
pub mod lanes;
pub mod limits;
pub mod order;
pub mod range;
pub mod safe;
pub mod staged;
pub mod verified;
pub mod way_out;
pub mod word;

pub use event::{Event, EventKind, Role};
pub use fault::{Fault, FaultCode};
pub use limits::Limits;
pub use range::ByteRange;
pub use verified::Verified;
pub use word::{JobState, ObjectState, Owner, Word};
