//! Jobs that wait until they are admitted: for runs in which not all inputs have room at once.
//!
//! In such a table a job stays waiting, whatever its inputs are, until somebody admits it. One bit
//! in its record says so; it is set once and never taken back. So whoever comes after a downloader
//! that died finds in the table which jobs may have their inputs in staging.

use crate::sys::death;
use crate::sys::seeded::Seed;
use crate::sys::sync::{Ordering, fence, seeded};
use crate::values::{Fault, JobState};

use super::error::Result;
use super::handle::Table;
use super::jobs::{JobId, TASK};
use super::layout::header;
use super::objects::SlotId;

/// In the word of a job's task.
const ADMITTED: u64 = 1 << 32;

impl Table {
    /// From now on jobs wait until they are [admitted](Table::admit_job); to be said before any is
    /// registered.
    pub fn hold_jobs(&self) -> Result<()> {
        self.mem.writable()?;
        self.mem.word(header::HELD)?.store(1, Ordering::SeqCst);
        Ok(())
    }

    /// Whether jobs wait until they are admitted.
    pub fn holds_jobs(&self) -> Result<bool> {
        Ok(self.mem.word(header::HELD)?.load(Ordering::SeqCst) != 0)
    }

    /// Whether a job waits for nobody's leave.
    pub fn is_admitted(&self, job: JobId) -> Result<bool> {
        let admitted = self.job_word(job, TASK)?.load(Ordering::SeqCst) & ADMITTED != 0;
        Ok(admitted || !self.holds_jobs()?)
    }

    /// Lets a job have its inputs: those that were evicted are wanted again, and it becomes ready
    /// when all are there.
    pub fn admit_job(&self, job: JobId) -> Result<()> {
        self.mem.writable()?;
        let word = self.job_word(job, TASK)?;
        word.fetch_or(ADMITTED, Ordering::SeqCst);
        death::point("job-admitted");
        fence(Ordering::SeqCst);
        if self.job_state(job)? != Some(JobState::Waiting) {
            return Ok(());
        }
        for slot in self.job_inputs(job)? {
            self.want_for_jobs(slot)?;
        }
        // What it has passed may have been evicted since.
        self.look_from_the_start(job)?;
        if seeded(Seed::AdmittedUnseen) {
            return Ok(());
        }
        self.advance(job)
    }

    /// Fails a job that waits. False if it does not wait (any more).
    pub fn refuse_job(&self, job: JobId, fault: Fault) -> Result<bool> {
        self.mem.writable()?;
        let seen = self.load_job(job)?;
        if seen.job() != Some(JobState::Waiting) {
            return Ok(false);
        }
        self.fail_waiting(job, seen, fault)
    }

    /// Whether any job has this object as an input.
    pub fn has_jobs(&self, slot: SlotId) -> Result<bool> {
        let mut any = false;
        self.each_job_of(slot, |_| {
            any = true;
            Ok(false)
        })?;
        Ok(any)
    }

    /// From now on the downloader is told when a job ends, or no longer: it waits for room.
    pub fn await_room(&self, waits: bool) -> Result<()> {
        self.mem.writable()?;
        let word = self.mem.word(header::AWAITED)?;
        if word.load(Ordering::Relaxed) != u64::from(waits) {
            word.store(waits.into(), Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        Ok(())
    }

    /// Whether a job that has not ended has this object as an input.
    pub fn is_needed(&self, slot: SlotId) -> Result<bool> {
        let mut needed = false;
        self.each_job_of(slot, |job| {
            needed = self.job_state(job)?.is_some_and(|state| !state.ended());
            Ok(!needed)
        })?;
        Ok(needed)
    }
}
