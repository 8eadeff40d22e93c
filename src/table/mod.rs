//! The object-state table: one memory-mapped place where all processes of a run meet.
//!
//! # The rules
//!
//! 1. Whatever a slot or a job *is* stands in its one [`Word`](crate::values::Word). Every move
//!    is one compare-and-swap on it. A move carries the attempt number and the owner that it
//!    expects, so a claim that was swept cannot publish late.
//! 2. Everything else (ready bits, watches, cursors, bells) is a hint that can be recomputed from
//!    the words. A process may die between its move and the hints; [`Table::sweep`] repairs them.
//! 3. No lock lives in the table, so no death can hold one.
//! 4. An input's node is linked to its slot once, at registration, and never unlinked. When a
//!    slot becomes ready or fails, the mover walks the slot's nodes and lets each waiting job
//!    look on from the input that it watches. That is one step per input over a job's life.
//! 5. No byte is trusted: offsets are computed from the limits, numbers are checked against
//!    their capacity, walks are bounded. A table that another process has damaged gives
//!    [`TableError::Corrupt`].
//!
//! # Why no wake-up is lost
//!
//! A sleeper sets its bit in the word with a compare-and-swap and hands the resulting 32 bits to
//! the kernel, which does not put it to sleep if they differ. A mover replaces the word, wakes
//! whoever its bits say is asleep, and only then takes the bits away, so that a sweep can do it
//! for a mover that died in between. Who waits for a range sleeps on a count beside the word,
//! because ranges land without changing the word. Where two words are involved (a slot
//! and a job, a bell and the ready bits) each side writes its own, passes a sequentially
//! consistent fence, and reads the other's: at least one sees both.

mod admit;
mod at_once;
mod bell;
mod create;
mod details;
mod ended;
mod error;
mod etag;
mod figures;
mod grains;
mod handle;
mod inputs;
mod jobs;
mod layout;
mod mem;
mod objects;
mod process;
mod ready;
mod register;
mod ring;
mod set;
mod sweep;
mod take;
mod uploads;
mod verified;
mod view;
mod wait;

pub use error::{Result, TableError};
pub use figures::Figures;
pub use handle::Table;
pub use jobs::{JobClaim, JobId, JobSpec};
pub use objects::{ObjectClaim, ObjectSpec, SlotId};
pub use process::{Phase, ProcessView};
pub use ring::EventReader;
pub use sweep::Swept;
pub use view::{JobCounts, JobView, ObjectCounts, ObjectView};
pub use wait::Outcome;
