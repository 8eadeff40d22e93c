//! Jobs: records, inputs, the watch that moves on, claims and their end.
//!
//! ```text
//! byte  0  word          state, attempt, owner
//!       8  watch|fault   the input that is looked at first, and why it failed
//!      16  name          reference into the texts
//!      24  payload       reference into the texts
//!      32  nodes         first node, and number of inputs above it
//!      40  task          its number, and above it whether the job was admitted
//!      48  result        reference into the texts, 0 for none
//! ```
//! The inputs themselves are nodes: see `inputs`.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::sys::death;
use crate::sys::seeded::Seed;
use crate::sys::sync::{AtomicU64, Ordering, fence, seeded};
use crate::values::{EventKind, Fault, FaultCode, JobState, Limits, ObjectState, Owner, Word};

use super::error::{Result, TableError};
use super::handle::Table;
use super::layout::{Counter, LINE, NODE, Region};
use super::mem::TextRef;
use super::objects::SlotId;
use super::{ready, set};

pub(crate) const WATCH_FAULT: u64 = 8;
const NAME: u64 = 16;
const PAYLOAD: u64 = 24;
pub(crate) const NODES: u64 = 32;
pub(crate) const TASK: u64 = 40;
/// In the word of a job's task: it may be started before its inputs are there.
pub(crate) const AT_ONCE: u64 = 1 << 33;
const RESULT: u64 = 48;

/// The number of a job, which is also its place in the order: lower ones are run first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub u32);

/// A job to register.
#[derive(Clone, Copy, Debug)]
pub struct JobSpec<'a> {
    /// Unique in the run, for example `ndvi/<product>`.
    pub name: &'a str,
    /// Number of its task in the job file.
    pub task: u32,
    /// The objects that must be ready before it can run.
    pub inputs: &'a [SlotId],
    /// What its worker needs to know.
    pub payload: &'a [u8],
}

/// The right to run a job, held by the worker that got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobClaim {
    /// Which job.
    pub job: JobId,
    /// The attempt that this claim is, from 1.
    pub attempt: u32,
}

impl Table {
    pub(crate) fn job_word(&self, job: JobId, field: u64) -> Result<&AtomicU64> {
        if u64::from(job.0) >= self.mem.count(Counter::Jobs)? {
            return Err(TableError::corrupt("job", job.0.into()));
        }
        let base = self.mem.layout.region(Region::Jobs).offset;
        self.mem.word(base + u64::from(job.0) * LINE + field)
    }

    pub(crate) fn load_job(&self, job: JobId) -> Result<Word> {
        Ok(Word(self.job_word(job, 0)?.load(Ordering::SeqCst)))
    }

    /// The state of a job; `None` for a record that a dead process left unfinished.
    pub fn job_state(&self, job: JobId) -> Result<Option<JobState>> {
        let word = self.load_job(job)?;
        match word.job() {
            None if word.state_bits() != 0 => Err(TableError::corrupt("state", word.0)),
            state => Ok(state),
        }
    }

    /// How many jobs are registered, with records that dead processes left unfinished.
    pub fn jobs_len(&self) -> Result<u32> {
        Ok(u32::try_from(self.mem.count(Counter::Jobs)?).unwrap_or(u32::MAX))
    }

    fn job_text(&self, job: JobId, field: u64, max: usize) -> Result<Vec<u8>> {
        self.mem.text(
            TextRef::unpack(self.job_word(job, field)?.load(Ordering::Acquire)),
            max,
        )
    }

    /// The name of a job.
    pub fn job_name(&self, job: JobId) -> Result<String> {
        let bytes = self.job_text(job, NAME, Limits::KEY_BYTES)?;
        String::from_utf8(bytes).map_err(|_| TableError::corrupt("name", job.0.into()))
    }

    /// What the planner gave the worker of a job.
    pub fn job_payload(&self, job: JobId) -> Result<Vec<u8>> {
        self.job_text(job, PAYLOAD, Limits::PAYLOAD_BYTES)
    }

    /// What the worker says of a claimed job's outcome, to be set before [`Table::finish_job`].
    pub fn set_job_result(&self, claim: JobClaim, result: &[u8]) -> Result<()> {
        let me = self.joined()?;
        if result.len() > Limits::PAYLOAD_BYTES {
            let max = Limits::PAYLOAD_BYTES;
            return Err(TableError::TooLong {
                what: "job result",
                len: result.len(),
                max,
            });
        }
        if self.held(claim, me)?.is_some() {
            let text = self.mem.put_text(result)?;
            self.job_word(claim.job, RESULT)?
                .store(text.pack(), Ordering::Release);
        }
        Ok(())
    }

    /// What the worker said of a job's outcome; `None` if nothing.
    pub fn job_result(&self, job: JobId) -> Result<Option<Vec<u8>>> {
        match self.job_word(job, RESULT)?.load(Ordering::Acquire) {
            0 => Ok(None),
            bits => {
                let text = self
                    .mem
                    .text(TextRef::unpack(bits), Limits::PAYLOAD_BYTES)?;
                Ok((!text.is_empty()).then_some(text))
            }
        }
    }

    /// The number of a job's task in the job file.
    pub fn job_task(&self, job: JobId) -> Result<u32> {
        Ok(self.job_word(job, TASK)?.load(Ordering::Acquire) as u32)
    }

    /// Why a job failed.
    pub fn job_fault(&self, job: JobId) -> Result<Option<Fault>> {
        let bits = self.job_word(job, WATCH_FAULT)?.load(Ordering::SeqCst) >> 32;
        Ok(Fault::from_bits(bits as u32))
    }

    fn name_is(&self, job: u32, name: &str) -> Result<bool> {
        let text = TextRef::unpack(self.job_word(JobId(job), NAME)?.load(Ordering::Acquire));
        self.mem.text_is(text, name.as_bytes())
    }

    /// The job of a name, if it is registered.
    pub fn find_job(&self, name: &str) -> Result<Option<JobId>> {
        let hash = xxh3_64_with_seed(name.as_bytes(), self.seed);
        let place = &self.mem.layout.job_set;
        Ok(set::find(&self.mem, place, hash, |job| self.name_is(job, name))?.map(JobId))
    }

    /// Registers a job. A name that is registered already keeps its job, so a planner that is
    /// started again may register everything again.
    pub fn register_job(&self, spec: &JobSpec<'_>) -> Result<JobId> {
        let job = self.find_or_write_job(spec, None, false)?;
        self.open_job(job)?;
        Ok(job)
    }

    /// Registers a job that may be [started](Table::start_at_once) before its inputs are there.
    pub fn register_job_at_once(&self, spec: &JobSpec<'_>) -> Result<JobId> {
        let job = self.find_or_write_job(spec, None, true)?;
        self.open_job(job)?;
        Ok(job)
    }

    /// Registers a job that is not to be run: it has failed from the start, for example for want
    /// of a band, or an earlier run has done it. `result` says why, or what was done.
    pub fn register_ended_job(
        &self,
        spec: &JobSpec<'_>,
        outcome: std::result::Result<(), Fault>,
        result: &[u8],
    ) -> Result<JobId> {
        let job = self.find_or_write_job(spec, Some((outcome, result)), false)?;
        let (state, kind, value) = match outcome {
            Ok(()) => (JobState::Done, EventKind::JobDone, 1),
            Err(fault) => (JobState::Failed, EventKind::JobFailed, fault.to_bits()),
        };
        let ended = Word::new(state as u8, 0, Owner::NONE);
        let word = self.job_word(job, 0)?;
        if word
            .compare_exchange(0, ended.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            self.emit(kind, job.0, value.into())?;
        }
        Ok(job)
    }

    fn find_or_write_job(
        &self,
        spec: &JobSpec<'_>,
        ended: Option<(std::result::Result<(), Fault>, &[u8])>,
        at_once: bool,
    ) -> Result<JobId> {
        self.mem.writable()?;
        let result = ended.map_or(0, |(_, result)| result.len());
        for (what, len, max) in [
            ("job name", spec.name.len(), Limits::KEY_BYTES),
            ("job payload", spec.payload.len(), Limits::PAYLOAD_BYTES),
            ("list of inputs", spec.inputs.len(), Limits::INPUTS_OF_A_JOB),
            ("job result", result, Limits::PAYLOAD_BYTES),
        ] {
            if len > max {
                return Err(TableError::TooLong { what, len, max });
            }
        }
        let hash = xxh3_64_with_seed(spec.name.as_bytes(), self.seed);
        let place = &self.mem.layout.job_set;
        let job = match set::find(&self.mem, place, hash, |job| self.name_is(job, spec.name))? {
            Some(job) => job,
            None => {
                // Room for all of it first, so that an error uses nothing up.
                self.mem
                    .room_for_texts(&[spec.name.len(), spec.payload.len(), result])?;
                let inputs = spec.inputs.len() as u64;
                self.mem.room(Counter::Nodes, inputs, Region::Nodes, NODE)?;
                set::back(&self.mem, place, hash)?;
                let made = self.write_job(spec, at_once)?;
                if let Some((outcome, result)) = ended {
                    let text = self.mem.put_text(result)?;
                    self.job_word(made, RESULT)?
                        .store(text.pack(), Ordering::Release);
                    if let Err(fault) = outcome {
                        self.store_fault(self.job_word(made, WATCH_FAULT)?, fault);
                    }
                }
                set::insert(&self.mem, place, hash, made.0, |job| {
                    self.name_is(job, spec.name)
                })?
            }
        };
        Ok(JobId(job))
    }

    /// Writes a record that nobody can find yet and links its inputs. Its word stays void, so
    /// whoever comes along a link passes it by.
    fn write_job(&self, spec: &JobSpec<'_>, at_once: bool) -> Result<JobId> {
        for slot in spec.inputs {
            self.load_slot(*slot)?;
        }
        let number = self.mem.bump_with(Counter::Jobs, 1, |end| {
            self.mem.back(Region::Jobs, end * LINE)?;
            ready::back(&self.mem, end)
        })?;
        let job = JobId(u32::try_from(number).unwrap_or(u32::MAX));
        let name = self.mem.put_text(spec.name.as_bytes())?;
        let payload = self.mem.put_text(spec.payload)?;
        let count = spec.inputs.len() as u64;
        let first = self.mem.bump(Counter::Nodes, count, Region::Nodes, NODE)?;
        for (field, value) in [
            (NAME, name.pack()),
            (PAYLOAD, payload.pack()),
            (NODES, first | count << 32),
            (
                TASK,
                u64::from(spec.task) | if at_once { AT_ONCE } else { 0 },
            ),
        ] {
            self.job_word(job, field)?.store(value, Ordering::Release);
        }
        death::point("job-written");
        for (i, slot) in spec.inputs.iter().enumerate() {
            self.link(first as u32 + i as u32, *slot, job)?;
        }
        death::point("job-linked");
        Ok(job)
    }

    /// Opens a job for the world: from void to waiting, and on from there.
    fn open_job(&self, job: JobId) -> Result<()> {
        death::point("job-named");
        let waiting = Word::new(JobState::Waiting as u8, 0, Owner::NONE);
        let word = self.job_word(job, 0)?;
        if word
            .compare_exchange(0, waiting.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            death::point("job-opened");
            let (_, count) = self.job_nodes(job)?;
            self.emit(EventKind::JobWaiting, job.0, count.into())?;
        }
        if !seeded(Seed::FenceOfTheJob) {
            fence(Ordering::SeqCst);
        }
        if seeded(Seed::WatchNotLookedAt) {
            return Ok(());
        }
        self.advance(job)?;
        if seeded(Seed::OpenedSilently) {
            return Ok(());
        }
        // Its inputs may have been waiting for it.
        Table::FETCH_BELL.ring(&self.mem, 1)
    }

    /// Lets a waiting job look on from the input that it watches: to the next one that is not
    /// ready, or to the end, where the job becomes ready, if it is admitted. A failed input fails
    /// the job.
    pub(crate) fn advance(&self, job: JobId) -> Result<()> {
        let seen = self.load_job(job)?;
        if seen.job() != Some(JobState::Waiting) {
            return Ok(());
        }
        let admitted = self.is_admitted(job)?;
        let (first, count) = self.job_nodes(job)?;
        let watch = self.job_word(job, WATCH_FAULT)?;
        let mut at = watch.load(Ordering::SeqCst) as u32;
        while at < count {
            let slot = self.node_slot(first + at, job)?;
            match self.object_state(slot)? {
                Some(ObjectState::Ready) => at += 1,
                Some(ObjectState::Failed) if !seeded(Seed::FailureNotPassedOn) => {
                    let fault = Fault::new(FaultCode::Input, slot.0);
                    return self.fail_waiting(job, seen, fault).map(|_| ());
                }
                Some(ObjectState::Evicted) if admitted => {
                    self.want_for_jobs(slot)?;
                    break;
                }
                _ => break,
            }
        }
        self.raise_watch(watch, at);
        if at < count || !admitted {
            return Ok(());
        }
        let next = Word::new(JobState::Ready as u8, seen.attempt(), Owner::NONE);
        let word = self.job_word(job, 0)?;
        if word
            .compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            death::point("job-made-ready");
            self.emit(EventKind::JobReady, job.0, 0)?;
            self.mark_ready(job)?;
        }
        Ok(())
    }

    /// The watch only moves on here; a claim that finds an input gone sets it back.
    fn raise_watch(&self, watch: &AtomicU64, at: u32) {
        let _ = watch.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |seen| {
            ((seen as u32) < at).then_some(seen & !0xffff_ffff | u64::from(at))
        });
    }

    /// Lets a job look at all of its inputs again when it looks on.
    pub(crate) fn look_from_the_start(&self, job: JobId) -> Result<()> {
        self.job_word(job, WATCH_FAULT)?
            .fetch_and(!0xffff_ffff, Ordering::SeqCst);
        Ok(())
    }

    pub(crate) fn mark_ready(&self, job: JobId) -> Result<()> {
        if seeded(Seed::RungTooEarly) {
            Table::JOBS_BELL.ring(&self.mem, 1)?;
            return ready::set(&self.mem, job.0);
        }
        ready::set(&self.mem, job.0)?;
        death::point("job-marked");
        Table::JOBS_BELL.ring(&self.mem, 1)
    }

    pub(crate) fn fail_waiting(&self, job: JobId, seen: Word, fault: Fault) -> Result<bool> {
        self.store_fault(self.job_word(job, WATCH_FAULT)?, fault);
        let next = Word::new(JobState::Failed as u8, seen.attempt(), Owner::NONE);
        let word = self.job_word(job, 0)?;
        let moved = word
            .compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if moved {
            self.emit(EventKind::JobFailed, job.0, fault.to_bits().into())?;
            self.wake_if_finished()?;
        }
        Ok(moved)
    }

    /// How many jobs have all that they need but a worker; it stops counting at `most`. It may be
    /// one too many for each worker that claims one at the moment.
    pub fn jobs_that_wait(&self, most: usize) -> Result<usize> {
        let jobs = self.mem.count(Counter::Jobs)?;
        let (mut from, mut count) = (0, 0);
        while count < most
            && let Some(job) = ready::first(&self.mem, from, jobs)?
        {
            from = u64::from(job) + 1;
            count += 1;
        }
        Ok(count)
    }

    /// Claims the first ready job for this process.
    pub fn claim_job(&self) -> Result<Option<JobClaim>> {
        let me = self.joined()?;
        // After a mark that meant nothing the search goes on behind it, and begins anew at its
        // end, so that a table full of such marks costs two walks and not one for each.
        let mut from = 0;
        loop {
            let jobs = self.mem.count(Counter::Jobs)?;
            let Some(job) = ready::first(&self.mem, from, jobs)?.map(JobId) else {
                if from == 0 {
                    return Ok(None);
                }
                from = 0;
                continue;
            };
            let word = self.job_word(job, 0)?;
            let mut seen = Word(word.load(Ordering::SeqCst));
            if seen.job() != Some(JobState::Ready) {
                self.unmark(job)?;
                from = u64::from(job.0) + 1;
                continue;
            }
            let attempt = seen.attempt() + 1;
            if attempt > Word::MAX_ATTEMPT {
                return Err(TableError::corrupt("attempt", attempt.into()));
            }
            let next = Word::new(JobState::Running as u8, attempt, me);
            if seeded(Seed::JobClaimedByStore) {
                seen = Word(word.load(Ordering::SeqCst));
            }
            death::point("job-claiming");
            if word
                .compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst)
                .is_err()
            {
                continue;
            }
            death::point("job-claimed");
            self.unmark(job)?;
            death::point("job-unmarked");
            let claim = JobClaim { job, attempt };
            if self.inputs_still_ready(claim, me)? {
                self.emit(EventKind::JobRunning, job.0, attempt.into())?;
                return Ok(Some(claim));
            }
        }
    }

    /// Takes the ready bit away, unless the job has become ready again meanwhile.
    fn unmark(&self, job: JobId) -> Result<()> {
        if ready::clear(&self.mem, job.0)? && !seeded(Seed::SummarySilent) {
            // For a moment a job could not be found: whoever looked then may sleep now.
            Table::JOBS_BELL.ring(&self.mem, u32::MAX)?;
        }
        fence(Ordering::SeqCst);
        let ready = self.load_job(job)?.job() == Some(JobState::Ready);
        if ready && !seeded(Seed::ReadyNotSetAgain) {
            self.mark_ready(job)?;
        }
        Ok(())
    }

    /// Ends a claimed job. Its result must be in place before. False if the claim is no longer
    /// this process's.
    pub fn finish_job(
        &self,
        claim: JobClaim,
        outcome: std::result::Result<(), Fault>,
    ) -> Result<bool> {
        let me = self.joined()?;
        let (to, kind, value) = match outcome {
            Ok(()) => (JobState::Done, EventKind::JobDone, 0),
            Err(fault) => {
                // The fault stands there before the state says so; a late claim must not touch it.
                if self.held(claim, me)?.is_none() {
                    return Ok(false);
                }
                self.store_fault(self.job_word(claim.job, WATCH_FAULT)?, fault);
                (
                    JobState::Failed,
                    EventKind::JobFailed,
                    u64::from(fault.to_bits()),
                )
            }
        };
        death::point("job-finishing");
        let Some(from) = self.held(claim, me)? else {
            return Ok(false);
        };
        let moved = self.move_from(claim.job, from, to)?;
        if moved {
            death::point("job-finished");
            self.emit(kind, claim.job.0, value)?;
            self.wake_if_finished()?;
            death::point("end-told");
        }
        Ok(moved)
    }

    /// Hands a claimed job back to be run again: it waits until somebody lets it
    /// [look on](Table::look_on). False if the claim is no longer this process's.
    pub fn postpone_job(&self, claim: JobClaim, fault: Fault) -> Result<bool> {
        let me = self.joined()?;
        let moved = self.move_job(claim.job, me, claim.attempt, JobState::Waiting)?;
        if moved {
            let bits = fault.to_bits().into();
            self.emit(EventKind::JobPostponed, claim.job.0, bits)?;
        }
        Ok(moved)
    }

    /// Lets a waiting job look whether its inputs are ready; it becomes ready if they are.
    pub fn look_on(&self, job: JobId) -> Result<()> {
        self.mem.writable()?;
        self.advance(job)
    }

    /// The word of a job whose claim, to run it or to upload its results, is still this owner's.
    fn held(&self, claim: JobClaim, me: Owner) -> Result<Option<Word>> {
        let seen = self.load_job(claim.job)?;
        let mut states = [JobState::Running, JobState::Uploading].into_iter();
        Ok(states
            .any(|state| seen == Word::new(state as u8, claim.attempt, me))
            .then_some(seen))
    }

    /// Moves a job that `owner` runs in `attempt` to another state.
    pub(crate) fn move_job(
        &self,
        job: JobId,
        owner: Owner,
        attempt: u32,
        to: JobState,
    ) -> Result<bool> {
        let from = Word::new(JobState::Running as u8, attempt, owner);
        self.move_from(job, from, to)
    }

    /// Moves a job on from a word, and takes its owner away.
    fn move_from(&self, job: JobId, from: Word, to: JobState) -> Result<bool> {
        let next = Word::new(to as u8, from.attempt(), Owner::NONE);
        let word = self.job_word(job, 0)?;
        Ok(word
            .compare_exchange(from.0, next.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok())
    }

    pub(crate) fn fail_dead_job(&self, job: JobId, owner: Owner, attempt: u32) -> Result<bool> {
        let fault = Fault::new(FaultCode::WorkerDied, attempt);
        self.store_fault(self.job_word(job, WATCH_FAULT)?, fault);
        let moved = self.move_job(job, owner, attempt, JobState::Failed)?;
        if moved {
            self.emit(EventKind::JobFailed, job.0, fault.to_bits().into())?;
        }
        Ok(moved)
    }
}
