//! Whether all jobs have ended, and the sleep of those who find none to run.

use std::time::Duration;

use crate::sys::clock::now_ns;
use crate::sys::seeded::Seed;
use crate::sys::sync::{Ordering, fence, seeded};
use crate::values::JobState;
use crate::values::clock::Deadline;

use super::error::Result;
use super::handle::Table;
use super::jobs::JobId;
use super::layout::{Counter, header};
use super::{Phase, ready};

impl Table {
    pub(crate) fn wake_if_finished(&self) -> Result<()> {
        fence(Ordering::SeqCst);
        let awaited = self.mem.word(header::AWAITED)?.load(Ordering::SeqCst) != 0;
        if awaited && !seeded(Seed::RoomSilent) {
            Table::FETCH_BELL.ring(&self.mem, 1)?;
        }
        if self.finished()? && !seeded(Seed::EndsSilently) {
            self.ring_all()
        } else {
            Ok(())
        }
    }

    /// Whether every job that there will be has ended.
    pub fn finished(&self) -> Result<bool> {
        if self.phase()? == Phase::Planning {
            return Ok(false);
        }
        let cursor = self.mem.word(header::UNFINISHED)?;
        let jobs = self.mem.count(Counter::Jobs)?;
        loop {
            let at = cursor.load(Ordering::SeqCst);
            if at >= jobs {
                return Ok(true);
            }
            // After planning, a void record is one that a dead planner left behind.
            let state = self.job_state(JobId(at as u32))?;
            if !state.is_none_or(JobState::ended) {
                return Ok(false);
            }
            if self.mem.writable().is_err() {
                return self.finished_by_looking(at, jobs);
            }
            cursor.fetch_max(at + 1, Ordering::SeqCst);
        }
    }

    fn finished_by_looking(&self, from: u64, jobs: u64) -> Result<bool> {
        for job in from..jobs {
            if !self
                .job_state(JobId(job as u32))?
                .is_none_or(JobState::ended)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sleeps until a job may be ready, the run is over, or `deadline` passes.
    pub fn sleep_until_job(&self, deadline: Deadline, bound: Duration) -> Result<()> {
        self.mem.writable()?;
        let until = deadline.or_within(now_ns(), bound);
        Table::JOBS_BELL.sleep(&self.mem, Some(until), || {
            let jobs = self.mem.count(Counter::Jobs)?;
            Ok(ready::first(&self.mem, 0, jobs)?.is_some()
                || self.phase()? >= Phase::Finishing
                || self.finished()?)
        })
    }
}
