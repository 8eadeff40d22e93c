//! Jobs that are started before their inputs are there.
//!
//! One bit in the job's record, set when it is registered, says that it may be. It stays waiting
//! until the downloader begins with its inputs: so it runs only when all of them have room, and a
//! worker that waits for them does not wait for ever.

use crate::sys::sync::{Ordering, fence};
use crate::values::{EventKind, JobState, ObjectState, Owner, Word};

use super::error::Result;
use super::handle::Table;
use super::jobs::{AT_ONCE, JobClaim, JobId, TASK};

impl Table {
    /// Whether a job may be run before its inputs are there.
    pub fn is_at_once(&self, job: JobId) -> Result<bool> {
        Ok(self.job_word(job, TASK)?.load(Ordering::Acquire) & AT_ONCE != 0)
    }

    /// Lets a waiting job be claimed although inputs are missing, if it was registered for that
    /// and has been admitted. False if it was not, or does not wait (any more).
    pub fn start_at_once(&self, job: JobId) -> Result<bool> {
        self.mem.writable()?;
        let seen = self.load_job(job)?;
        if seen.job() != Some(JobState::Waiting)
            || !self.is_at_once(job)?
            || !self.is_admitted(job)?
        {
            return Ok(false);
        }
        let next = Word::new(JobState::Ready as u8, seen.attempt(), Owner::NONE);
        let moved = self
            .job_word(job, 0)?
            .compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if moved {
            self.emit(EventKind::JobReady, job.0, 0)?;
            self.mark_ready(job)?;
        }
        Ok(moved)
    }

    /// An input may have been evicted since the job became ready: then it waits again.
    pub(super) fn inputs_still_ready(&self, claim: JobClaim, me: Owner) -> Result<bool> {
        let at_once = self.is_at_once(claim.job)?;
        for slot in self.job_inputs(claim.job)? {
            match self.object_state(slot)? {
                Some(ObjectState::Ready) => continue,
                // It waits for them itself.
                Some(ObjectState::Evicted) if at_once => {
                    self.want_for_jobs(slot)?;
                    continue;
                }
                _ if at_once => continue,
                _ => {}
            }
            self.look_from_the_start(claim.job)?;
            self.move_job(claim.job, me, claim.attempt, JobState::Waiting)?;
            fence(Ordering::SeqCst);
            self.advance(claim.job)?;
            return Ok(false);
        }
        Ok(true)
    }
}
