//! Jobs that failed and are to be run again, each after a pause.

use std::time::{Duration, Instant};

use crate::table::{JobId, Table, TableError};

/// The pause before the second attempt; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The jobs that wait for their pause to end. A sweep after a death may let one go sooner.
#[derive(Debug, Default)]
pub(super) struct Postponed {
    jobs: Vec<(Instant, JobId)>,
}

impl Postponed {
    /// Takes a job on.
    pub fn add(&mut self, table: &Table, job: JobId) -> Result<(), TableError> {
        let attempt = table.job(job)?.map_or(1, |view| view.attempt);
        self.jobs.push((Instant::now() + pause(attempt), job));
        Ok(())
    }

    /// Lets those run whose pause is over.
    pub fn let_go(&mut self, table: &Table) -> Result<(), TableError> {
        let now = Instant::now();
        for (_, job) in self.jobs.extract_if(.., |(due, _)| *due <= now) {
            table.look_on(job)?;
        }
        Ok(())
    }
}

/// The pause after this many attempts.
fn pause(attempts: u32) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    FIRST_PAUSE
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_bound() {
        assert_eq!((pause(1), pause(2)), (FIRST_PAUSE, 2 * FIRST_PAUSE));
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
