//! How a run stands: everything that a person or a script wants to see at a time.

use std::collections::HashMap;
use std::time::Duration;

use serde::Serialize;

use crate::store::{Endpoint, EndpointProfile};
use crate::sys::clock::now_ns;
use crate::sys::proc;
use crate::table::{EventReader, JobId, Phase, ProcessView, SlotId, Table, TableError};
use crate::values::{EventKind, Fault, JobState, ObjectState, Role};

use super::failed::{job_result, why_job_failed};
use super::find::Found;

/// A look at millions of objects takes a while, and the run has other things to do with the cores:
/// looking takes at most this part of the time of one.
const REST: u32 = 100;
/// How many objects under way, and how many failures, are told one by one.
const SHOWN: usize = 200;

/// How a run stands.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Look {
    /// 1; what is there stays as it is, and more may be added.
    pub schema: u32,
    /// The coordinator's process.
    pub pid: u32,
    /// The directory of the results.
    pub out: String,
    /// Seconds since the run began.
    pub seconds: f64,
    /// `planning`, `planned`, `finishing`, `stopping`, `ended` or `killed`.
    pub phase: &'static str,
    /// Objects by state.
    pub objects: Objects,
    /// Bytes of objects.
    pub bytes: Bytes,
    /// Jobs by state.
    pub jobs: Jobs,
    /// What was done until now, also by processes that have died.
    pub totals: Totals,
    /// How many objects and jobs failed, by fault.
    pub faults: Vec<Faults>,
    /// The budget of the endpoint, where anything of it is limited.
    pub endpoint: Option<EndpointLook>,
    /// The processes of the run.
    pub processes: Vec<Process>,
    /// Objects being fetched, those first that are longest on their way; 200 at most.
    pub fetching: Vec<Fetching>,
    /// What failed; 200 at most.
    pub failures: Vec<Failure>,
}

/// Objects by state.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Objects {
    /// Known to the run.
    pub total: u64,
    /// To be fetched.
    pub wanted: u64,
    /// Being fetched.
    pub fetching: u64,
    /// In staging.
    pub ready: u64,
    /// Given up.
    pub failed: u64,
    /// Removed from staging to make room.
    pub evicted: u64,
}

/// Bytes of objects.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Bytes {
    /// Of all objects.
    pub total: u64,
    /// Of those to be fetched.
    pub wanted: u64,
    /// Of those being fetched.
    pub fetching: u64,
    /// Of those in staging.
    pub ready: u64,
    /// Of those given up.
    pub failed: u64,
    /// Of those removed from staging.
    pub evicted: u64,
    /// That came from the store.
    pub fetched: u64,
    /// That come in a second, since the last look; over the whole run at the first.
    pub per_second: f64,
}

/// What was done until now.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Totals {
    /// Requests that the store has answered.
    pub requests: u64,
    /// Requests that were tried again.
    pub retries: u64,
    /// Seconds in which the downloader wrote to staging.
    pub writing_seconds: f64,
    /// Seconds in which workers ran jobs, summed over the workers; of jobs that have ended.
    pub working_seconds: f64,
}

/// How many failed of one fault.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Faults {
    /// `object` or `job`.
    pub what: &'static str,
    /// The fault's name.
    pub fault: &'static str,
    /// How many.
    pub count: u64,
}

/// What an endpoint allows, and what is in use. Limits that are absent are none.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointLook {
    /// Host and port.
    pub name: String,
    /// What it allows this user, all runs on the machine together.
    pub limits: EndpointProfile,
    /// Connections that this run holds; counted only where they are limited.
    pub connections: u64,
    /// Connections that all runs on the machine hold.
    pub connections_of_all: u64,
    /// Processes that found no connection free a moment ago, of all runs.
    pub waiting: u64,
    /// Bytes that came this month, for all runs, where they are limited; at most the limit.
    pub month: Option<u64>,
}

/// Jobs by state.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Jobs {
    /// Registered.
    pub total: u64,
    /// Wait for inputs.
    pub waiting: u64,
    /// Wait for a worker.
    pub ready: u64,
    /// Run.
    pub running: u64,
    /// Done.
    pub done: u64,
    /// Failed.
    pub failed: u64,
    /// Their results are on the way to the store.
    pub uploading: u64,
}

/// A process of the run.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// What it is for.
    pub role: &'static str,
    /// Its number in the run's records, as in `--json` events.
    pub number: u32,
    /// Its process id.
    pub pid: u32,
    /// Whether it lives.
    pub lives: bool,
    /// The job that it runs.
    pub job: Option<String>,
    /// Seconds for which it does what it does; absent where that is not known.
    pub since: Option<f64>,
    /// Bytes fetched by it.
    pub bytes: u64,
    /// Requests answered to it.
    pub requests: u64,
    /// Seconds in which it had something to do.
    pub busy_seconds: f64,
}

/// An object on its way.
#[derive(Clone, Debug, Serialize)]
pub struct Fetching {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Bytes that have landed, in whole megabytes but for the end.
    pub landed: u64,
    /// Seconds since it was begun; absent where that is not known.
    pub since: Option<f64>,
}

/// Something that failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// `object` or `job`.
    pub what: &'static str,
    /// The key, or the job's name.
    pub name: String,
    /// The fault's name.
    pub fault: &'static str,
    /// Why, in words.
    pub error: String,
    /// What to do.
    pub way_out: &'static str,
}

/// Counts a fault.
fn count(faults: &mut Vec<Faults>, what: &'static str, fault: Option<Fault>) {
    let Some(fault) = fault.map(|fault| fault.code.name()) else {
        return;
    };
    match (faults.iter_mut()).find(|one| one.what == what && one.fault == fault) {
        Some(one) => one.count += 1,
        None => faults.push(Faults {
            what,
            fault,
            count: 1,
        }),
    }
}

/// Looks at a run again and again.
pub struct Watcher {
    table: Table,
    pid: u32,
    out: String,
    endpoint: Option<Endpoint>,
    begun_ns: u64,
    reader: EventReader,
    /// When the objects under way were begun.
    begun: HashMap<u32, u64>,
    /// Since when each process, by its number, does what it does.
    moved: HashMap<u32, u64>,
    last: Option<(u64, u64)>,
    /// How long the last look took.
    took: Duration,
}

impl Watcher {
    /// Attaches to a run, for reading.
    ///
    /// # Errors
    /// The run is over, or its table is of another version.
    pub fn attach(run: &Found) -> Result<Watcher, TableError> {
        let table = Table::attach(&run.table, false)?;
        Ok(Watcher {
            begun_ns: table.created_ns()?,
            table,
            pid: run.pid,
            out: run.out.clone(),
            endpoint: run.endpoint.clone(),
            reader: EventReader::default(),
            begun: HashMap::new(),
            moved: HashMap::new(),
            last: None,
            took: Duration::ZERO,
        })
    }

    /// How the run stands now. The table of a run that is over can be looked at as long as this
    /// value lives.
    ///
    /// # Errors
    /// The table is damaged.
    pub fn look(&mut self) -> Result<Look, TableError> {
        let now = now_ns();
        let look = self.look_at(now);
        self.took = Duration::from_nanos(now_ns().saturating_sub(now));
        look
    }

    /// How long to wait before the next look, at least `least`.
    pub fn rest(&self, least: Duration) -> Duration {
        least.max(self.took * REST)
    }

    /// Whether the run has ended or its coordinator was killed; this costs next to nothing.
    ///
    /// # Errors
    /// The table is damaged.
    pub fn is_over(&self) -> Result<bool, TableError> {
        Ok(matches!(self.phase()?, "ended" | "killed"))
    }

    fn look_at(&mut self, now: u64) -> Result<Look, TableError> {
        self.read_events()?;
        let mut look = Look {
            schema: 1,
            pid: self.pid,
            out: self.out.clone(),
            seconds: now.saturating_sub(self.begun_ns) as f64 / 1e9,
            phase: self.phase()?,
            ..Look::default()
        };
        let running = self.jobs(&mut look)?;
        self.objects(&mut look, now)?;
        for process in self.table.processes()? {
            look.processes.push(self.process(&process, &running, now));
        }
        look.endpoint = self.endpoint(&look.processes);
        let figures = self.table.figures()?;
        look.totals = Totals {
            requests: figures.requests,
            retries: figures.retries,
            writing_seconds: figures.writing_ns as f64 / 1e9,
            working_seconds: figures.working_ns as f64 / 1e9,
        };
        let fetched = figures.bytes;
        let (since, before) = self
            .last
            .replace((now, fetched))
            .unwrap_or((self.begun_ns, 0));
        let seconds = now.saturating_sub(since).max(1) as f64 / 1e9;
        look.bytes.fetched = fetched;
        look.bytes.per_second = fetched.saturating_sub(before) as f64 / seconds;
        Ok(look)
    }

    fn endpoint(&self, processes: &[Process]) -> Option<EndpointLook> {
        let endpoint = self
            .endpoint
            .as_ref()
            .filter(|e| !e.limits.is_unlimited())?;
        let mut pids: Vec<u32> = processes.iter().map(|process| process.pid).collect();
        pids.push(self.pid);
        // Before anybody has used it there is nothing to look at.
        let used = endpoint.used(&pids).unwrap_or_default();
        Some(EndpointLook {
            name: endpoint.name.clone(),
            limits: endpoint.limits,
            connections: used.connections_of,
            connections_of_all: used.connections,
            waiting: used.waiting,
            month: used.month.or(endpoint.limits.bytes_per_month.map(|_| 0)),
        })
    }

    /// The table, for whoever wants to know more of it.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    fn phase(&self) -> Result<&'static str, TableError> {
        // In this order: a coordinator that ends says so first.
        let lives = self.table.coordinator_lives();
        Ok(match self.table.phase()? {
            Phase::Stopping if !lives => "ended",
            _ if !lives => "killed",
            Phase::Planning => "planning",
            Phase::Planned => "planned",
            Phase::Finishing => "finishing",
            Phase::Stopping => "stopping",
        })
    }

    fn read_events(&mut self) -> Result<(), TableError> {
        while let Some(event) = self.reader.next(&self.table)? {
            match event.kind {
                EventKind::ObjectFetching => {
                    self.begun.insert(event.id, event.at_ns);
                }
                EventKind::ObjectReady | EventKind::ObjectFailed | EventKind::ObjectWanted => {
                    self.begun.remove(&event.id);
                }
                EventKind::JobRunning | EventKind::JobDone => {
                    self.moved.insert(event.process.into(), event.at_ns);
                }
                EventKind::JobFailed if event.role == Role::Worker => {
                    self.moved.insert(event.process.into(), event.at_ns);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Counts the jobs; gives those that run, by the number of their worker.
    fn jobs(&self, look: &mut Look) -> Result<HashMap<u32, JobId>, TableError> {
        let mut running = HashMap::new();
        for job in (0..self.table.jobs_len()?).map(JobId) {
            let Some(state) = self.table.job_state(job)? else {
                continue;
            };
            look.jobs.total += 1;
            match state {
                JobState::Waiting => look.jobs.waiting += 1,
                JobState::Ready => look.jobs.ready += 1,
                JobState::Running => {
                    look.jobs.running += 1;
                    if let Some(view) = self.table.job(job)?.filter(|v| !v.owner.is_none()) {
                        running.insert(view.owner.index(), job);
                    }
                }
                JobState::Done => look.jobs.done += 1,
                JobState::Uploading => look.jobs.uploading += 1,
                JobState::Failed => {
                    look.jobs.failed += 1;
                    count(&mut look.faults, "job", self.table.job_fault(job)?);
                    if look.failures.len() < SHOWN {
                        look.failures.extend(self.failed_job(job)?);
                    }
                }
            }
        }
        Ok(running)
    }

    fn failed_job(&self, job: JobId) -> Result<Option<Failure>, TableError> {
        let Some(fault) = self.table.job_fault(job)? else {
            return Ok(None);
        };
        let said = job_result(&self.table, job)?.and_then(|result| result.error);
        let why = why_job_failed(&self.table, fault, said.as_deref())?;
        Ok(Some(Failure {
            what: "job",
            name: self.table.job_name(job)?,
            fault: fault.code.name(),
            error: why.error,
            way_out: why.way_out,
        }))
    }

    fn objects(&self, look: &mut Look, now: u64) -> Result<(), TableError> {
        for slot in (0..self.table.objects_len()?).map(SlotId) {
            let Some(state) = self.table.object_state(slot)? else {
                continue;
            };
            let size = self.table.size(slot)?;
            let (objects, bytes) = (&mut look.objects, &mut look.bytes);
            let (objects_in, bytes_in) = match state {
                ObjectState::Wanted => (&mut objects.wanted, &mut bytes.wanted),
                ObjectState::Fetching => (&mut objects.fetching, &mut bytes.fetching),
                ObjectState::Ready => (&mut objects.ready, &mut bytes.ready),
                ObjectState::Failed => (&mut objects.failed, &mut bytes.failed),
                ObjectState::Evicted => (&mut objects.evicted, &mut bytes.evicted),
            };
            *objects_in += 1;
            *bytes_in = bytes_in.saturating_add(size);
            objects.total += 1;
            bytes.total = bytes.total.saturating_add(size);
            match state {
                ObjectState::Fetching => look.fetching.push(self.fetching(slot, size, now)?),
                ObjectState::Failed => {
                    count(&mut look.faults, "object", self.table.object_fault(slot)?);
                    if look.failures.len() < SHOWN {
                        look.failures.extend(self.failed_object(slot)?);
                    }
                }
                ObjectState::Wanted | ObjectState::Ready | ObjectState::Evicted => {}
            }
        }
        look.fetching
            .sort_by(|a, b| b.since.unwrap_or(0.0).total_cmp(&a.since.unwrap_or(0.0)));
        look.fetching.truncate(SHOWN);
        Ok(())
    }

    fn fetching(&self, slot: SlotId, size: u64, now: u64) -> Result<Fetching, TableError> {
        let ranges = self.table.ranges_ready(slot)?;
        let since = self.begun.get(&slot.0);
        Ok(Fetching {
            key: self.table.key(slot)?,
            size,
            landed: ranges.iter().map(|range| range.len()).sum(),
            since: since.map(|at| now.saturating_sub(*at) as f64 / 1e9),
        })
    }

    fn failed_object(&self, slot: SlotId) -> Result<Option<Failure>, TableError> {
        let Some(fault) = self.table.object_fault(slot)? else {
            return Ok(None);
        };
        Ok(Some(Failure {
            what: "object",
            name: self.table.key(slot)?,
            fault: fault.code.name(),
            error: fault.to_string(),
            way_out: fault.code.way_out(),
        }))
    }

    fn process(&self, view: &ProcessView, running: &HashMap<u32, JobId>, now: u64) -> Process {
        let number = view.owner.index();
        let job = running.get(&number).map(|job| self.table.job_name(*job));
        let since = self
            .moved
            .get(&number)
            .filter(|_| view.role == Role::Worker);
        Process {
            role: view.role.name(),
            number,
            pid: view.pid,
            lives: proc::start_time(view.pid).is_some(),
            job: job.and_then(Result::ok),
            since: since.map(|at| now.saturating_sub(*at) as f64 / 1e9),
            bytes: view.bytes,
            requests: view.requests,
            busy_seconds: view.busy_ns as f64 / 1e9,
        }
    }
}
