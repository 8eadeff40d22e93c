//! The handle by which a process holds a table.

use crate::sys::sync::Ordering;
use crate::values::{Limits, Owner, Role};

use super::error::Result;
use super::layout::header;
use super::mem::Mem;

/// A handle on the table. Cloning is cheap; all clones of a process share one mapping.
#[derive(Clone)]
pub struct Table {
    pub(crate) mem: Mem,
    pub(crate) me: Owner,
    pub(crate) role: Role,
    pub(crate) seed: u64,
    pub(crate) coordinator: u64,
    /// Whether details are recorded.
    pub(crate) details: bool,
}

impl Table {
    /// The path by which other processes of this user can attach while this process lives.
    pub fn path(&self) -> String {
        self.mem.map().path()
    }

    /// The capacities.
    pub fn limits(&self) -> Limits {
        self.mem.layout.limits
    }

    /// When the table was made, in nanoseconds of the run's clock.
    pub fn created_ns(&self) -> Result<u64> {
        Ok(self.mem.word(header::CREATED_NS)?.load(Ordering::Relaxed))
    }
}
