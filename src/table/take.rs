//! Taking a running job from its worker.

use crate::values::{EventKind, Fault, JobState, Owner};

use super::error::Result;
use super::handle::Table;
use super::jobs::{JobClaim, WATCH_FAULT};

impl Table {
    /// Takes a running job from its worker, which must be ended: it has failed, or waits to be
    /// run `again` until somebody lets it [look on](Table::look_on). Whose it was; `None` if this
    /// attempt does not run any more.
    pub fn take_job(&self, claim: JobClaim, fault: Fault, again: bool) -> Result<Option<Owner>> {
        self.mem.writable()?;
        let seen = self.load_job(claim.job)?;
        if seen.job() != Some(JobState::Running) || seen.attempt() != claim.attempt {
            return Ok(None);
        }
        let owner = seen.owner();
        let (to, kind) = match again {
            true => (JobState::Waiting, EventKind::JobPostponed),
            false => (JobState::Failed, EventKind::JobFailed),
        };
        self.store_fault(self.job_word(claim.job, WATCH_FAULT)?, fault);
        if !self.move_job(claim.job, owner, claim.attempt, to)? {
            return Ok(None);
        }
        self.emit(kind, claim.job.0, fault.to_bits().into())?;
        self.wake_if_finished()?;
        Ok(Some(owner))
    }
}
