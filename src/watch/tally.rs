//! Counting what happens, and how long what went on beside what.

use crate::table::JobCounts;
use crate::values::{Event, EventKind, Fault, FaultCode, Role};

/// Counts of a run, kept from its events.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Objects registered.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// Bytes of objects that were in staging already.
    pub staged_bytes: u64,
    /// Objects being fetched.
    pub fetching: u64,
    /// How often an object was complete in staging.
    pub objects_ready: u64,
    /// Objects given up.
    pub objects_failed: u64,
    /// Jobs registered.
    pub jobs: u64,
    /// Jobs whose inputs are ready and that no worker has claimed.
    pub jobs_ready: u64,
    /// Jobs being run.
    pub running: u64,
    /// Jobs whose results are on their way to a store.
    pub uploading: u64,
    /// Jobs done.
    pub done: u64,
    /// Of those, by an earlier run.
    pub done_before: u64,
    /// Jobs failed.
    pub failed: u64,
    /// Products, known when everything is registered.
    pub products: u64,
    /// Seconds with at least one object being fetched.
    pub download_seconds: f64,
    /// Seconds with at least one job running.
    pub processing_seconds: f64,
    /// Seconds with both.
    pub hidden_seconds: f64,
    /// Seconds with fewer jobs running than workers, because inputs were missing.
    pub waiting_for_data_seconds: f64,
    /// Seconds with all workers busy and further jobs ready.
    pub waiting_for_workers_seconds: f64,
    /// Faults seen, of objects and jobs, by code.
    pub faults: Vec<(FaultCode, u64)>,
    workers: u64,
    last_ns: u64,
}

impl Tally {
    /// An empty tally of a run that begins at `begun_ns`.
    pub fn new(workers: usize, begun_ns: u64) -> Tally {
        Tally {
            workers: workers as u64,
            last_ns: begun_ns,
            ..Tally::default()
        }
    }

    /// Bytes that come from the store in this run.
    pub fn to_fetch(&self) -> u64 {
        self.object_bytes.saturating_sub(self.staged_bytes)
    }

    /// Jobs that wait for inputs.
    pub fn waiting(&self) -> u64 {
        self.jobs.saturating_sub(
            self.jobs_ready + self.running + self.uploading + self.done + self.failed,
        )
    }

    /// How often a fault of this code was seen.
    pub fn faults_of(&self, code: FaultCode) -> u64 {
        self.faults
            .iter()
            .find(|(c, _)| *c == code)
            .map_or(0, |(_, n)| *n)
    }

    /// Lets the time up to `now_ns` pass in the present state.
    pub fn pass(&mut self, now_ns: u64) {
        let seconds = now_ns.saturating_sub(self.last_ns) as f64 / 1e9;
        self.last_ns = self.last_ns.max(now_ns);
        let (fetching, running) = (self.fetching > 0, self.running > 0);
        if fetching {
            self.download_seconds += seconds;
        }
        if running {
            self.processing_seconds += seconds;
        }
        if fetching && running {
            self.hidden_seconds += seconds;
        }
        if self.running >= self.workers && self.jobs_ready > 0 {
            self.waiting_for_workers_seconds += seconds;
        }
        if self.running < self.workers && self.jobs_ready == 0 && fetching {
            self.waiting_for_data_seconds += seconds;
        }
    }

    /// Takes an event into account.
    pub fn count(&mut self, event: &Event, first_time: bool) {
        self.pass(event.at_ns);
        match event.kind {
            EventKind::ObjectWanted if first_time => {
                self.objects += 1;
                self.object_bytes = self.object_bytes.saturating_add(event.value);
            }
            EventKind::ObjectWanted => {}
            EventKind::ObjectFetching => self.fetching += 1,
            EventKind::ObjectReady => {
                self.fetching = self.fetching.saturating_sub(1);
                self.objects_ready += 1;
            }
            EventKind::ObjectFailed => {
                self.fetching = self.fetching.saturating_sub(1);
                self.objects_failed += 1;
                self.fault(event.value);
            }
            EventKind::JobWaiting => self.jobs += 1,
            EventKind::JobReady => self.jobs_ready += 1,
            EventKind::JobRunning => {
                self.jobs_ready = self.jobs_ready.saturating_sub(1);
                self.running += 1;
            }
            // An earlier run has done it.
            EventKind::JobDone if event.value == 1 => {
                self.jobs += 1;
                self.done += 1;
                self.done_before += 1;
            }
            EventKind::JobDone => {
                self.ended(event.role);
                self.done += 1;
            }
            EventKind::JobFailed => {
                let fault = Fault::from_bits(event.value as u32);
                match fault.map(|f| f.code) {
                    // These failed without ever running.
                    Some(FaultCode::Planning) => self.jobs += 1,
                    Some(FaultCode::Input) => {}
                    _ => self.ended(event.role),
                }
                self.failed += 1;
                self.fault(event.value);
            }
            EventKind::JobPostponed => self.running = self.running.saturating_sub(1),
            EventKind::JobHandedOn => {
                self.running = self.running.saturating_sub(1);
                self.jobs_ready += 1;
            }
            // Its uploader died: it was counted.
            EventKind::JobUploading if event.value == 0 => {}
            EventKind::JobUploading => {
                self.running = self.running.saturating_sub(1);
                self.uploading += 1;
            }
            EventKind::Planned => self.products = event.id.into(),
            EventKind::ObjectEvicted
            | EventKind::Note
            | EventKind::Retry
            | EventKind::UploadBegun
            | EventKind::Joined
            | EventKind::PartBegun
            | EventKind::PartAnswered
            | EventKind::PartEnded
            | EventKind::Waited
            | EventKind::Setting
            | EventKind::CommandBegun
            | EventKind::CommandEnded => {}
        }
    }

    /// Events were lost: the counts of jobs are those of the table.
    pub fn correct(&mut self, jobs: &JobCounts) {
        self.jobs_ready = jobs.ready;
        self.running = jobs.running;
        self.uploading = jobs.uploading;
        self.jobs = jobs.total();
    }

    /// A job has ended, by whoever ran it or uploaded its results.
    fn ended(&mut self, by: Role) {
        let count = match by {
            Role::Uploader => &mut self.uploading,
            _ => &mut self.running,
        };
        *count = count.saturating_sub(1);
    }

    /// A downloader died: nothing is being fetched until the next one claims it.
    pub fn downloader_died(&mut self) {
        self.fetching = 0;
    }

    fn fault(&mut self, bits: u64) {
        if let Some(fault) = Fault::from_bits(bits as u32) {
            match self.faults.iter_mut().find(|(code, _)| *code == fault.code) {
                Some((_, n)) => *n += 1,
                None => self.faults.push((fault.code, 1)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64, kind: EventKind) -> Event {
        let value = 0;
        Event {
            at_ns: seconds * 1_000_000_000,
            kind,
            role: Role::Worker,
            process: 0,
            id: 0,
            value,
        }
    }

    #[test]
    fn overlap_is_what_went_on_at_the_same_time() {
        use EventKind::*;
        let mut tally = Tally::new(1, 0);
        let events = [
            (0, ObjectWanted),
            (0, JobWaiting),
            (0, JobWaiting),
            (0, ObjectFetching),
            (4, ObjectReady),
            (4, JobReady),
            (4, JobRunning),
            (4, ObjectFetching),
            (6, ObjectReady),
            (6, JobReady),
            (7, JobDone),
            (7, JobRunning),
            (9, JobDone),
        ];
        for (second, kind) in events {
            tally.count(&at(second, kind), true);
        }
        assert_eq!(tally.download_seconds, 6.0);
        assert_eq!(tally.processing_seconds, 5.0);
        assert_eq!(tally.hidden_seconds, 2.0);
        assert_eq!(tally.waiting_for_data_seconds, 4.0);
        assert_eq!(tally.waiting_for_workers_seconds, 1.0);
        assert_eq!(
            (tally.done, tally.running, tally.jobs_ready, tally.waiting()),
            (2, 0, 0, 0)
        );
    }
}
