//! Which job's inputs are fetched next. Pure: no clock, no I/O, no table; jobs, tasks and slots
//! are plain numbers, so the same code runs in the downloader and in virtual time.
//!
//! - [`Agenda`] has the jobs that are not begun, in an [`Order`], and hands the inputs of those
//!   that are begun out one by one.
//! - [`Costs`] has what is known of the two stages: how fast bytes come, and how long the jobs of
//!   each task take for a byte.
//! - [`simulate`] runs the agenda in virtual time, and [`bounds`] says how soon a workload can be
//!   done at best: for `tools/schedule`, and to ask what more connections or workers would bring.
//! - [`network`] and [`replay`] have what a run was like from what was seen of it, and run it
//!   once more with one thing changed.
//! - [`Room`] says whether there is room in staging for one more job.

mod agenda;
pub mod bounds;
mod costs;
pub mod network;
mod ranked;
pub mod replay;
mod room;
pub mod simulate;

pub use crate::values::order::Order;
pub use agenda::{Agenda, Next};
pub use costs::Costs;
pub use room::{Admission, Room};
