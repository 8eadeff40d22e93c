//! Watching a run: events to the observer, deaths to the sweep, signals to a stop.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Handled;
use rustix::process::Signal;

use crate::sys::clock::now_ns;
use crate::sys::fork;
use crate::sys::pidfd::Ended;
use crate::sys::signals::Signals;
use crate::table::{EventReader, JobClaim, JobId, Phase, SlotId, TableError};
use crate::task::JobPayload;
use crate::values::{Event, EventKind, Fault, FaultCode, JobState, Role};
use crate::watch::job_result;
use crate::work::{self, JobResult};

use super::children::{self, Children, Kid, ends_run};
use super::config::{DEFAULT_GRACE, RunError};
use super::events::happening;
use super::exit::ExitCode;
use super::exporting::Exporting;
use super::forks::Shared;
use super::journal::Journal;
use super::observe::{Happening, Observer, Progress, What, is_detail};
use super::overdue::Overdue;
use super::postponed::Postponed;
use crate::watch::Tally;

/// How often the coordinator looks when nothing happens.
const TICK: Duration = Duration::from_millis(100);
/// How long the processes get to end by themselves when a run is stopped.
const GRACE: Duration = Duration::from_secs(1);
/// How long they get when the run is over anyway.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a job may take its worker down before it is given up.
const JOB_ATTEMPTS: u32 = 3;
/// How often the coordinator looks whether a stranger has died.
const STRANGERS: Duration = Duration::from_millis(500);
/// Objects in a row that could not be reached before the store is given up.
const UNREACHABLE: u64 = 8;

/// The value of the event of a job that an earlier run has done.
const EARLIER: u64 = 1;

/// A run under way.
pub(super) struct Supervisor<'a, 'o> {
    pub shared: &'a Shared<'a>,
    pub observer: &'o mut dyn Observer,
    pub children: Children,
    pub signals: Signals,
    journal: Journal,
    pub tally: Tally,
    pub begun_ns: u64,
    reader: EventReader,
    seen: HashSet<u32>,
    /// Jobs whose end was passed on.
    ends: HashSet<u32>,
    /// Events that were lost until now.
    lost: u64,
    deaths_without_progress: usize,
    progress_at: u64,
    unreachable: u64,
    looked_for_strangers: Instant,
    stop: Option<ExitCode>,
    postponed: Postponed,
    overdue: Overdue,
    /// How long running jobs may go on after SIGTERM, and until when they may.
    pub grace: Duration,
    finish_until: Option<Instant>,
    /// The end of a pipe by which the recorder is told how the run ended.
    pub recorder: Option<OwnedFd>,
    /// Where metrics are served.
    pub exporting: Option<Exporting>,
    told_at: f64,
}

impl<'a, 'o> Supervisor<'a, 'o> {
    pub fn new(
        shared: &'a Shared<'a>,
        observer: &'o mut dyn Observer,
        signals: Signals,
        journal: Journal,
        begun_ns: u64,
    ) -> Supervisor<'a, 'o> {
        Supervisor {
            shared,
            observer,
            children: Children::default(),
            signals,
            journal,
            tally: Tally::new(shared.workers, begun_ns),
            begun_ns,
            reader: EventReader::default(),
            seen: HashSet::new(),
            ends: HashSet::new(),
            lost: 0,
            deaths_without_progress: 0,
            progress_at: 0,
            unreachable: 0,
            looked_for_strangers: Instant::now(),
            stop: None,
            postponed: Postponed::default(),
            overdue: Overdue::default(),
            grace: DEFAULT_GRACE,
            finish_until: None,
            recorder: None,
            exporting: None,
            told_at: 0.0,
        }
    }

    /// Forks a process for a role.
    pub fn start(&mut self, role: Role) -> Result<(), RunError> {
        let shared = self.shared;
        let child = fork::fork(|| shared.body(role, None)).map_err(RunError::system("fork"))?;
        self.children.add(role, child);
        Ok(())
    }

    /// Watches until the run is over or stopped; then ends all processes. The exit code if it was
    /// stopped. `started` says whether all could be started; if not, it only ends them.
    pub fn watch(&mut self, started: Result<(), RunError>) -> Result<Option<ExitCode>, RunError> {
        let watched = started.and_then(|()| self.watch_on());
        if watched.is_err() {
            self.stop.get_or_insert(ExitCode::Local);
        }
        // Whatever happened, nobody is left behind.
        self.shared.table.set_phase(Phase::Stopping)?;
        self.end()?;
        watched?;
        self.drain()?;
        let jobs = self.shared.table.count_jobs()?;
        if jobs.done + jobs.failed > self.ends.len() as u64 {
            // A worker that died in that moment has ended a job and not said so.
            self.make_good()?;
            let written = self.journal.sync();
            self.journal_written(written);
        }
        Ok(self.stop)
    }

    fn watch_on(&mut self) -> Result<(), RunError> {
        while self.stop.is_none() && !self.shared.table.finished()? {
            self.children.sleep(self.signals.fd(), TICK);
            self.take_signals()?;
            for (kid, how) in self.children.ended() {
                self.buried(kid, how)?;
            }
            self.drain()?;
            self.report();
            self.judge();
            self.end_overdue()?;
            self.sweep_strangers()?;
            self.children.end_strays();
            self.finish()?;
            self.postponed.let_go(&self.shared.table)?;
            self.replace_exporter()?;
        }
        Ok(())
    }

    fn take_signals(&mut self) -> Result<(), TableError> {
        while let Some(signal) = self.signals.next() {
            if !ends_run(signal) {
                continue;
            }
            if signal == Handled::SIGTERM && self.finish_until.is_none() && !self.grace.is_zero() {
                self.finish_until = Some(Instant::now() + self.grace);
                self.shared.table.set_phase(Phase::Finishing)?;
                let text = format!(
                    "asked to end: the running jobs get {} s; what is left is done when the run is started again",
                    self.grace.as_secs()
                );
                self.tell(What::Note { text, error: false });
            } else {
                self.stop = Some(ExitCode::Interrupted);
            }
        }
        Ok(())
    }

    /// When the run is to end: stops it as soon as no job runs and no result is on its way to a
    /// store, or their time is over.
    fn finish(&mut self) -> Result<(), TableError> {
        let Some(until) = self.finish_until else {
            return Ok(());
        };
        let ended =
            !self.children.has(Role::Worker) && self.shared.table.count_jobs()?.uploading == 0;
        if ended || Instant::now() >= until {
            self.stop.get_or_insert(ExitCode::Interrupted);
        }
        Ok(())
    }

    /// Ends all processes: those that have work of their own to lose are asked first.
    fn end(&mut self) -> Result<(), RunError> {
        self.children
            .signal(Signal::KILL, |role| role == Role::Server);
        let grace = if self.stop.is_some() {
            self.children.signal(Signal::TERM, |role| {
                !matches!(role, Role::Downloader | Role::Uploader)
            });
            GRACE
        } else {
            PATIENCE
        };
        let until = Instant::now() + grace;
        while !self.children.is_empty() && Instant::now() < until {
            self.children.sleep(self.signals.fd(), TICK);
            for (kid, _) in self.children.ended() {
                self.end_command_of(kid.child.pid())?;
            }
            while let Some(signal) = self.signals.next() {
                if ends_run(signal) {
                    self.children.signal(Signal::KILL, |_| true);
                }
            }
            self.drain()?;
        }
        let groups: Vec<u32> = self
            .shared
            .table
            .processes()?
            .iter()
            .map(|p| p.group)
            .collect();
        self.children.finish(Duration::ZERO);
        children::end_groups(groups);
        self.children.end_strays();
        Ok(())
    }

    /// A child has ended: its work is handed on and, unless it was done, it is replaced.
    fn buried(&mut self, kid: Kid, how: Ended) -> Result<(), RunError> {
        self.drain()?;
        if kid.role == Role::Recorder {
            self.recorder = None;
            self.recorder_ended(kid.child.pid(), how);
            return Ok(());
        }
        if kid.role == Role::Exporter {
            self.exporter_ended(kid.child.pid(), how);
            return Ok(());
        }
        let table = &self.shared.table;
        let in_order = how == Ended::Exited(0);
        let finishing = self.finish_until.is_some();
        if in_order && (kid.role == Role::Planner || finishing || table.finished()?) {
            return Ok(());
        }
        if let Ended::Exited(status) = how
            && kid.role == Role::Planner
            && let Some(code) = ExitCode::from_status(status)
        {
            self.stop = Some(code);
            return Ok(());
        }
        self.end_command_of(kid.child.pid())?;
        if kid.role == Role::Downloader {
            self.tally.downloader_died();
        }
        table.sweep(JOB_ATTEMPTS)?;
        if kid.role == Role::Worker && !self.shared.jobfile.keep {
            work::remove_abandoned(table, &self.shared.staging)?;
        }
        let what = What::Died {
            role: kid.role.name(),
            pid: kid.child.pid(),
            how: how.to_string(),
            replaced: !(finishing && kid.role == Role::Worker),
        };
        self.tell(what);
        self.deaths_without_progress += 1;
        if self.deaths_without_progress > 10 + JOB_ATTEMPTS as usize * self.shared.workers {
            let text = format!(
                "the {} ends again and again ({how}): giving up; run again with -vv to see what it does before",
                kid.role.name()
            );
            self.tell(What::Note { text, error: true });
            self.stop = Some(ExitCode::Local);
            return Ok(());
        }
        if finishing && kid.role == Role::Worker {
            return Ok(());
        }
        self.start(kid.role)
    }

    /// Ends the command that a dead worker was running.
    fn end_command_of(&self, pid: u32) -> Result<(), TableError> {
        let processes = self.shared.table.processes()?;
        children::end_groups(processes.iter().filter(|p| p.pid == pid).map(|p| p.group));
        Ok(())
    }

    pub fn drain(&mut self) -> Result<(), TableError> {
        let table = &self.shared.table;
        while let Some(event) = self.reader.next(table)? {
            let is_end = matches!(event.kind, EventKind::JobDone | EventKind::JobFailed);
            if is_end && !self.ends.insert(event.id) {
                continue;
            }
            let first_time = event.kind == EventKind::ObjectWanted && self.seen.insert(event.id);
            self.tally.count(&event, first_time);
            match event.kind {
                EventKind::ObjectReady => {
                    self.unreachable = 0;
                    if event.value == 0 {
                        self.tally.staged_bytes += table.size(SlotId(event.id))?;
                    }
                }
                EventKind::ObjectFailed
                    if Fault::from_bits(event.value as u32)
                        .is_some_and(|fault| fault.code.is_the_stores()) =>
                {
                    self.unreachable += 1;
                }
                EventKind::JobRunning => {
                    let (job, attempt) = (JobId(event.id), event.value as u32);
                    let claim = JobClaim { job, attempt };
                    (self.overdue).begun(table, &self.shared.jobfile, claim, event.at_ns)?;
                }
                EventKind::JobPostponed => {
                    self.overdue.over(JobId(event.id));
                    self.postponed.add(table, JobId(event.id))?;
                }
                EventKind::JobDone | EventKind::JobFailed | EventKind::JobHandedOn => {
                    self.overdue.over(JobId(event.id));
                }
                _ => {}
            }
            self.pass_on(&event)?;
        }
        if self.reader.lost() > self.lost {
            self.lost = self.reader.lost();
            self.make_good()?;
        }
        self.tally.pass(now_ns());
        let written = self.journal.sync();
        self.journal_written(written);
        Ok(())
    }

    /// Puts the end of a job into the journal, and tells the observer what it wants to know.
    fn pass_on(&mut self, event: &Event) -> Result<(), TableError> {
        if is_detail(event) && !self.observer.wants_all() {
            return Ok(());
        }
        let table = &self.shared.table;
        let Some(mut happening) = happening(table, self.begun_ns, event)? else {
            return Ok(());
        };
        if let What::Job {
            state: state @ (JobState::Done | JobState::Failed),
            name,
            result,
            fault,
            ..
        } = &happening.what
            && !(*state == JobState::Done && event.value == EARLIER)
        {
            let recipe = JobPayload::recipe_of(&table.job_payload(JobId(event.id))?);
            let fault = fault.filter(|_| *state == JobState::Failed);
            let none = JobResult::default();
            let result = result.as_deref().unwrap_or(&none);
            let added = self.journal.add(name, &recipe, *state, fault, result);
            self.journal_written(added);
        }
        happening.at = in_order(&mut self.told_at, happening.at);
        self.observer.happening(&happening);
        Ok(())
    }

    /// Events were overwritten before they were read: the ends of jobs among them are taken from
    /// the table, so that the journal and the counts have every job.
    fn make_good(&mut self) -> Result<(), TableError> {
        let table = &self.shared.table;
        for job in (0..table.jobs_len()?).map(JobId) {
            let kind = match table.job_state(job)? {
                Some(JobState::Done) => EventKind::JobDone,
                Some(JobState::Failed) => EventKind::JobFailed,
                Some(JobState::Running) => {
                    let attempt = table.job(job)?.map_or(0, |view| view.attempt);
                    let claim = JobClaim { job, attempt };
                    (self.overdue).begun(table, &self.shared.jobfile, claim, now_ns())?;
                    continue;
                }
                _ => continue,
            };
            if !self.ends.insert(job.0) {
                continue;
            }
            let value = match kind {
                EventKind::JobDone => match job_result(table, job)? {
                    Some(result) if result.earlier => EARLIER,
                    _ => 0,
                },
                _ => table
                    .job_fault(job)?
                    .map_or(0, |fault| fault.to_bits().into()),
            };
            let event = Event {
                at_ns: now_ns(),
                kind,
                role: Role::Coordinator,
                process: 0,
                id: job.0,
                value,
            };
            self.tally.count(&event, false);
            self.pass_on(&event)?;
        }
        self.tally.correct(&table.count_jobs()?);
        Ok(())
    }

    /// Without its journal a run could not be gone on with: it ends.
    fn journal_written(&mut self, written: io::Result<()>) {
        if let Err(error) = written
            && self.stop.is_none()
        {
            let path = self.journal.path().display();
            let text = format!("{path} cannot be written: {error}; choose another --out");
            self.tell(What::Note { text, error: true });
            self.stop = Some(ExitCode::Local);
        }
    }

    /// Passes something on that no event of the table says.
    pub fn tell(&mut self, what: What) {
        let now = now_ns().saturating_sub(self.begun_ns) as f64 / 1e9;
        let at = in_order(&mut self.told_at, now);
        self.observer.happening(&Happening {
            at,
            process: ("coordinator", 0),
            what,
        });
    }

    fn report(&mut self) {
        let at = now_ns().saturating_sub(self.begun_ns) as f64 / 1e9;
        let bytes = self.shared.table.figures().map_or(0, |f| f.bytes);
        let planned = self.shared.table.phase().is_ok_and(|p| p >= Phase::Planned);
        let workers = self.shared.workers;
        self.observer.progress(&Progress {
            at,
            tally: &self.tally,
            bytes,
            planned,
            workers,
        });
    }

    /// Ends the workers whose jobs have run too long; they are replaced.
    fn end_overdue(&mut self) -> Result<(), TableError> {
        let table = &self.shared.table;
        let workers = self.overdue.end(table, now_ns())?;
        if workers.is_empty() {
            return Ok(());
        }
        for process in table.processes()? {
            if workers.contains(&process.owner) {
                self.children.kill(process.pid);
            }
        }
        Ok(())
    }

    /// Hands on what strangers held who have died.
    fn sweep_strangers(&mut self) -> Result<(), TableError> {
        if self.looked_for_strangers.elapsed() < STRANGERS {
            return Ok(());
        }
        self.looked_for_strangers = Instant::now();
        let dead = self.shared.table.dead_strangers()?;
        if !dead.is_empty() {
            self.shared.table.sweep_dead(&dead, JOB_ATTEMPTS)?;
        }
        Ok(())
    }

    /// Stops a run that cannot come to a good end.
    fn judge(&mut self) {
        let ended = self.tally.objects_ready + self.tally.done + self.tally.failed;
        if ended != self.progress_at {
            self.progress_at = ended;
            self.deaths_without_progress = 0;
        }
        if self.stop.is_some() {
            return;
        }
        let local = [FaultCode::Staging, FaultCode::Output];
        if local.iter().any(|code| self.tally.faults_of(*code) > 0) {
            self.stop = Some(ExitCode::Local);
        } else if self.unreachable >= UNREACHABLE {
            let text = format!(
                "{UNREACHABLE} objects in a row failed because the store could not be reached or \
                 has a fault of its own: giving up; {}",
                FaultCode::Unreachable.way_out()
            );
            self.tell(What::Note { text, error: true });
            self.stop = Some(ExitCode::Store);
        }
    }

    /// Whether every failure was the store's refusal or silence, and nothing was done.
    pub fn only_the_store_failed(&self) -> bool {
        let of = |code| self.tally.faults_of(code);
        let refused = of(FaultCode::Refused) + of(FaultCode::UsedUp);
        let store = of(FaultCode::Unreachable) + refused;
        store > 0
            && self.tally.done == 0
            && self.tally.faults.iter().all(|(code, _)| {
                matches!(
                    code,
                    FaultCode::Unreachable
                        | FaultCode::Refused
                        | FaultCode::UsedUp
                        | FaultCode::Input
                )
            })
    }
}

/// Two processes may look at the clock in another order than that of their places in the ring:
/// what is told has times that never go back.
fn in_order(told_at: &mut f64, at: f64) -> f64 {
    *told_at = told_at.max(at);
    *told_at
}
