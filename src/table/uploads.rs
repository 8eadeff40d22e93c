//! Jobs whose results are on their way to a store: handed over by their worker, claimed by the
//! uploader, ended when the store has confirmed.
//!
//! `running → uploading` takes the owner out of the word, so that whoever claims the upload is the
//! only one who can end it. The attempt stays that of the worker: it names the directory in which
//! the results stand.

use std::time::Duration;

use crate::sys::clock::now_ns;
use crate::sys::death;
use crate::sys::seeded::Seed;
use crate::sys::sync::{Ordering, seeded};
use crate::values::{EventKind, JobState, Owner, Word};

use super::Phase;
use super::error::Result;
use super::handle::Table;
use super::jobs::{JobClaim, JobId};
use super::layout::{Counter, header};

impl Table {
    /// Hands a claimed job over to whoever uploads: its results and what is to be said of them
    /// must stand before. False if the claim is no longer this process's.
    pub fn hand_over_job(&self, claim: JobClaim) -> Result<bool> {
        let me = self.joined()?;
        death::point("job-handing-over");
        let moved = self.move_job(claim.job, me, claim.attempt, JobState::Uploading)?;
        if moved {
            death::point("job-handed-over");
            self.emit(EventKind::JobUploading, claim.job.0, claim.attempt.into())?;
            if !seeded(Seed::HandedOverSilently) {
                Table::UPLOADS_BELL.ring(&self.mem, 1)?;
            }
        }
        Ok(moved)
    }

    /// Claims a job whose results are to be uploaded, the first from `from` on or else before it.
    /// Its attempt is that of the worker that wrote them.
    pub fn claim_upload(&self, from: JobId) -> Result<Option<JobClaim>> {
        let me = self.joined()?;
        let jobs = self.mem.count(Counter::Jobs)?;
        let ended = self.mem.word(header::UNFINISHED)?.load(Ordering::SeqCst);
        let from = u64::from(from.0).clamp(ended.min(jobs), jobs);
        for number in (from..jobs).chain(ended.min(from)..from) {
            let job = JobId(number as u32);
            let seen = self.load_job(job)?;
            if seen.job() != Some(JobState::Uploading) || !seen.owner().is_none() {
                continue;
            }
            let next = Word::new(JobState::Uploading as u8, seen.attempt(), me);
            let word = self.job_word(job, 0)?;
            if word
                .compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
            {
                death::point("upload-claimed");
                let attempt = seen.attempt();
                self.emit(EventKind::UploadBegun, job.0, attempt.into())?;
                return Ok(Some(JobClaim { job, attempt }));
            }
        }
        Ok(None)
    }

    /// Whether a job waits for somebody who uploads.
    fn upload_waits(&self) -> Result<bool> {
        let jobs = self.mem.count(Counter::Jobs)?;
        let ended = self.mem.word(header::UNFINISHED)?.load(Ordering::SeqCst);
        for number in ended..jobs {
            let seen = self.load_job(JobId(number as u32))?;
            if seen.job() == Some(JobState::Uploading) && seen.owner().is_none() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sleeps until a job may have to be uploaded, the phase changes, the run is over, or
    /// `timeout` passes.
    pub fn sleep_until_upload(&self, timeout: Duration) -> Result<()> {
        self.mem.writable()?;
        let timeout = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
        let until = now_ns().saturating_add(timeout);
        Table::UPLOADS_BELL.sleep(&self.mem, Some(until), || {
            Ok(self.upload_waits()? || self.phase()? >= Phase::Stopping || self.finished()?)
        })
    }

    /// Gives the upload of a dead process back, so that another can claim it.
    pub(crate) fn hand_upload_on(&self, job: JobId, owner: Owner, attempt: u32) -> Result<bool> {
        let from = Word::new(JobState::Uploading as u8, attempt, owner);
        let next = Word::new(JobState::Uploading as u8, attempt, Owner::NONE);
        let word = self.job_word(job, 0)?;
        let moved = word
            .compare_exchange(from.0, next.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if moved {
            // Its attempt is said only when it is handed over.
            self.emit(EventKind::JobUploading, job.0, 0)?;
        }
        Ok(moved)
    }
}
