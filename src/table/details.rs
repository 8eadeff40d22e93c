//! What is put into the ring only where somebody records a run in detail: parts, waits, commands,
//! and who the processes are. A handle knows whether that is so since it was made, so that where
//! nobody records, this costs no look at the table.

use crate::sys::clock::now_ns;
use crate::sys::proc;
use crate::sys::sync::Ordering;
use crate::values::EventKind;
use crate::values::event::on_line;

use super::error::Result;
use super::handle::Table;
use super::jobs::JobId;
use super::layout::header;
use super::objects::SlotId;

/// A wait that was shorter is none: it was there already.
const SHORTEST_WAIT_NS: u64 = 10_000;

impl Table {
    /// From now on details are recorded, by this handle and by all that are made of it or attach.
    ///
    /// # Errors
    /// The table cannot be written.
    pub fn record_details(mut self) -> Result<Table> {
        self.mem.writable()?;
        self.mem.word(header::DETAILS)?.store(1, Ordering::SeqCst);
        self.details = true;
        self.tell_joined()?;
        Ok(self)
    }

    fn detail(&self, kind: EventKind, id: u32, value: u64) -> Result<()> {
        match self.details && self.mem.writable().is_ok() {
            true => self.emit(kind, id, value),
            false => Ok(()),
        }
    }

    pub(crate) fn tell_joined(&self) -> Result<()> {
        self.detail(EventKind::Joined, proc::id(), 0)
    }

    /// Notes that a line asks for a part of so many bytes.
    pub fn part_begun(&self, slot: SlotId, line: u16, bytes: u64) -> Result<()> {
        self.detail(EventKind::PartBegun, slot.0, on_line(line, bytes))
    }

    /// Notes that the head of the answer is there.
    pub fn part_answered(&self, slot: SlotId, line: u16) -> Result<()> {
        self.detail(EventKind::PartAnswered, slot.0, on_line(line, 0))
    }

    /// Notes that a line's request is over, and how many bytes have landed by it.
    pub fn part_ended(&self, slot: SlotId, line: u16, bytes: u64) -> Result<()> {
        self.detail(EventKind::PartEnded, slot.0, on_line(line, bytes))
    }

    /// Notes that a job's command runs from now on, as this process.
    pub fn command_begun(&self, job: JobId, pid: u32) -> Result<()> {
        self.detail(EventKind::CommandBegun, job.0, pid.into())
    }

    /// Notes that it has ended.
    pub fn command_ended(&self, job: JobId, pid: u32) -> Result<()> {
        self.detail(EventKind::CommandEnded, job.0, pid.into())
    }

    /// Notes what the downloader may do from now on.
    pub fn setting(&self, connections: u32, part_bytes: u64) -> Result<()> {
        self.detail(EventKind::Setting, connections, part_bytes)
    }

    /// Does a wait, and notes how long it took and for which object.
    pub(crate) fn timed<T>(
        &self,
        wait: impl FnOnce() -> Result<T>,
        object: impl FnOnce(&T) -> Option<SlotId>,
    ) -> Result<T> {
        if !self.details || self.me.is_none() {
            return wait();
        }
        let begun = now_ns();
        let ended = wait()?;
        let waited = now_ns().saturating_sub(begun);
        if waited >= SHORTEST_WAIT_NS
            && let Some(slot) = object(&ended)
        {
            self.detail(EventKind::Waited, slot.0, waited)?;
        }
        Ok(ended)
    }
}
