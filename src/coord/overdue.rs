//! Jobs without a command that run too long: nobody can end a function but with its process.

use std::collections::HashMap;
use std::time::Duration;

use crate::table::{JobClaim, JobId, Table, TableError};
use crate::task::{JobFile, Processor};
use crate::values::{Fault, FaultCode, Owner};

/// The running jobs that have a limit, and until when they may run.
#[derive(Debug, Default)]
pub(super) struct Overdue {
    running: HashMap<u32, (JobClaim, Limit)>,
}

#[derive(Clone, Copy, Debug)]
struct Limit {
    until_ns: u64,
    timeout: Duration,
    retries: u32,
}

impl Overdue {
    /// A worker has begun with a job. Commands are ended by their workers.
    pub fn begun(
        &mut self,
        table: &Table,
        jobfile: &JobFile,
        claim: JobClaim,
        at_ns: u64,
    ) -> Result<(), TableError> {
        let task = jobfile.tasks.get(table.job_task(claim.job)? as usize);
        if let Some(task) = task
            && let Some(timeout) = task.timeout
            && !matches!(task.processor, Processor::Run(_))
        {
            let nanoseconds = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
            let limit = Limit {
                until_ns: at_ns.saturating_add(nanoseconds),
                timeout,
                retries: task.retries,
            };
            self.running.insert(claim.job.0, (claim, limit));
        }
        Ok(())
    }

    /// A job has ended, or is nobody's any more.
    pub fn over(&mut self, job: JobId) {
        self.running.remove(&job.0);
    }

    /// Takes the jobs whose time is over from their workers: those have to be killed.
    pub fn end(&mut self, table: &Table, now_ns: u64) -> Result<Vec<Owner>, TableError> {
        let mut workers = Vec::new();
        let late = (self.running).extract_if(|_, (_, limit)| limit.until_ns <= now_ns);
        for (_, (claim, limit)) in late {
            let seconds = limit.timeout.as_secs_f64().ceil() as u32;
            let fault = Fault::new(FaultCode::TimedOut, seconds);
            let again = claim.attempt <= limit.retries;
            workers.extend(table.take_job(claim, fault, again)?);
        }
        Ok(workers)
    }
}
