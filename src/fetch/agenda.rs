//! Which slot comes next: those that somebody wants besides its jobs, in the order of their
//! registration, then those of the agenda.
//!
//! The agenda is fed from the table: jobs by a cursor over their records, costs from the ring of
//! events. Where events were lost, so are the costs of those jobs, and the states of those that
//! have begun are looked at.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::schedule::{Agenda, Next, Order, Room};
use crate::table::{EventReader, JobId, SlotId, Table, TableError};
use crate::values::safe::manifest_of;
use crate::values::{EventKind, JobState, Limits, ObjectState};

use super::config::FetchConfig;
use super::landed::Landed;
use super::limited::Limited;

/// Jobs that the agenda is told of at a time: connections wait meanwhile.
const AT_ONCE: usize = 1024;
/// Of so many running jobs it is remembered since when; more than any machine has workers.
const RUNNING: usize = 4096;

/// The slots to be fetched, one after the other.
#[derive(Debug)]
pub(super) struct Upcoming {
    /// Over the slots.
    cursor: u32,
    /// Manifests of the products whose objects are on their way; they come before all others.
    manifests: VecDeque<SlotId>,
    /// The key of the manifest that was asked for last.
    last: String,
    agenda: Agenda,
    /// Over the job records.
    jobs: u32,
    /// Records that the cursor has passed before they said anything.
    void: Vec<JobId>,
    /// Only where costs matter.
    events: Option<EventReader>,
    /// How many of them were lost so far.
    lost: u64,
    /// When running jobs began, in nanoseconds.
    running: HashMap<u32, u64>,
    /// Only where staging has a limit.
    limited: Option<Limited>,
    workers: usize,
    /// Bytes of the job that has begun last.
    begun_bytes: u64,
    /// Wanted besides its jobs, and waits for room.
    kept_back: Option<SlotId>,
    /// The inputs of the job that has begun last, if it runs while they land: they come side by
    /// side.
    together: HashSet<SlotId>,
    /// Those of them that were not begun.
    to_gather: HashSet<SlotId>,
}

/// No part is made smaller for the sake of a job that is waited for.
const SMALLEST_PART: u64 = 2 * GRAIN;
const GRAIN: u64 = 1 << Limits::GRAIN_SHIFT;

impl Upcoming {
    /// # Errors
    /// The table's, or staging cannot be read.
    pub fn new(
        table: &Table,
        config: &FetchConfig,
        bucket: &str,
        landed: &mut Landed,
    ) -> Result<Upcoming, TableError> {
        let order = config.order;
        let agenda = |room| Agenda::new(order, room, config.workers);
        let (limited, agenda) = match &config.space {
            Some(space) => {
                let both = Limited::begin(table, config, space, bucket, landed, agenda)?;
                (Some(both.0), both.1)
            }
            None => (None, agenda(Room::unlimited())),
        };
        Ok(Upcoming {
            cursor: 0,
            manifests: VecDeque::new(),
            last: String::new(),
            agenda,
            jobs: 0,
            void: Vec::new(),
            events: (order == Order::Johnson).then(EventReader::default),
            lost: 0,
            running: HashMap::new(),
            limited,
            workers: config.workers,
            begun_bytes: 0,
            kept_back: None,
            together: HashSet::new(),
            to_gather: HashSet::new(),
        })
    }

    /// The next slot that may have to be fetched.
    pub fn next(
        &mut self,
        table: &Table,
        landed: &mut Landed,
    ) -> Result<Option<SlotId>, TableError> {
        if let Some(slot) = self.manifests.pop_front() {
            return Ok(Some(slot));
        }
        self.notice(table, landed)?;
        let next = self.look_for_next(table, landed)?;
        if next.is_none() && self.limited.is_some() {
            // Whoever ends a job from now on rings; one may have ended before.
            table.await_room(true)?;
            if self.notice(table, landed)? {
                return self.look_for_next(table, landed);
            }
        } else if self.limited.is_some() {
            table.await_room(false)?;
        }
        Ok(next)
    }

    /// Takes in which jobs have ended, where that makes room; whether there were any.
    pub fn notice(&mut self, table: &Table, landed: &mut Landed) -> Result<bool, TableError> {
        match &mut self.limited {
            Some(limited) => limited.notice(table, landed, &mut self.agenda),
            None => Ok(false),
        }
    }

    /// An object is ready, has failed, or is not to be fetched after all.
    pub fn slot_ended(&mut self, slot: SlotId) {
        if let Some(limited) = &mut self.limited {
            limited.slot_ended(&mut self.agenda, slot);
        }
    }

    fn look_for_next(
        &mut self,
        table: &Table,
        landed: &mut Landed,
    ) -> Result<Option<SlotId>, TableError> {
        let kept_back = self.kept_back.take();
        if let Some(slot) =
            kept_back.map_or_else(|| self.next_for_others(table), |slot| Ok(Some(slot)))?
        {
            if let Some(limited) = &mut self.limited
                && !limited.room_for(table, landed, &mut self.agenda, slot)?
            {
                self.kept_back = Some(slot);
                // What was begun is finished, which makes room.
                let begun = self.agenda.hand_out().map(SlotId);
                return begun.map(|slot| again(table, slot)).transpose();
            }
            self.agenda.landed(slot.0);
            return Ok(Some(slot));
        }
        self.learn(table)?;
        loop {
            let more = self.feed(table, landed)?;
            match self.agenda.next_up() {
                Next::Fetch(slot) => return again(table, SlotId(slot)).map(Some),
                Next::Begin(job) => {
                    let job = JobId(job);
                    // What came for others may have been all that it needed.
                    if table.job_state(job)?.is_none_or(JobState::ended) {
                        self.agenda.worked_off(job.0);
                    }
                    if let Some(limited) = &mut self.limited {
                        limited.admit(table, landed, &mut self.agenda, job)?;
                    }
                    let at_once = table.start_at_once(job)?;
                    self.begun_bytes = 0;
                    self.together.clear();
                    self.to_gather.clear();
                    for slot in table.job_inputs(job)? {
                        self.begun_bytes = self.begun_bytes.saturating_add(table.size(slot)?);
                        if at_once && table.object_state(slot)? == Some(ObjectState::Wanted) {
                            self.together.insert(slot);
                            self.to_gather.insert(slot);
                        }
                    }
                }
                Next::Recycle(slots) => {
                    let Some(limited) = &mut self.limited else {
                        return Ok(None);
                    };
                    limited.recycle(table, landed, &mut self.agenda, &slots)?;
                }
                Next::Nothing if more => {}
                Next::Nothing | Next::Full => return Ok(None),
            }
        }
    }

    /// How large a part may be where it usually has `usual` bytes. As long as fewer jobs wait for a
    /// worker than there are workers, all connections share in the job that comes next: with parts
    /// of the usual size it would arrive together with those after it, and late. A job that runs
    /// while its inputs land gets small ones, so that what it needs first does not come beside what
    /// it needs last.
    pub fn part_bytes(
        &self,
        table: &Table,
        usual: u64,
        connections: usize,
    ) -> Result<u64, TableError> {
        if !self.together.is_empty() {
            return Ok(usual.min(SMALLEST_PART));
        }
        let enough = self.workers.max(1);
        Ok(match table.jobs_that_wait(enough)? < enough {
            true => share(self.begun_bytes, usual, connections),
            false => usual,
        })
    }

    /// Whether inputs of a job that runs while they land are still to be begun, so that their
    /// parts can be given out in turns.
    pub fn gathers(&self) -> bool {
        !self.to_gather.is_empty()
    }

    /// An object is begun.
    pub fn begun(&mut self, slot: SlotId) {
        self.to_gather.remove(&slot);
    }

    /// Nothing more is there to be begun; whether something was awaited.
    pub fn stop_gathering(&mut self) -> bool {
        let awaited = self.gathers();
        self.to_gather.clear();
        awaited
    }

    /// Whether an object's parts are given out in turns with others.
    pub fn takes_turns(&self, slot: SlotId) -> bool {
        self.together.contains(&slot)
    }

    /// An object was begun, and will be compared with its product's manifest.
    pub fn manifest_of(&mut self, table: &Table, key: &str) -> Result<(), TableError> {
        if let Some((manifest, _)) = manifest_of(key)
            && manifest != self.last
        {
            self.manifests.extend(table.find_object(&manifest)?);
            self.last = manifest;
        }
        Ok(())
    }

    /// Whether anything is wanted, or a job has not begun.
    pub fn has_more(&mut self, table: &Table) -> Result<bool, TableError> {
        let mut cursor = self.cursor;
        let wanted = table.next_wanted(&mut cursor)?.is_some();
        // Looking takes the mark of an earlier slot away, so the cursor that it gave is kept.
        self.cursor = self.cursor.min(cursor.saturating_sub(u32::from(wanted)));
        Ok(wanted || self.kept_back.is_some())
    }

    /// The next slot that is wanted not for its jobs alone. The agenda is told of those that were
    /// there, or on their way, and are wanted again.
    fn next_for_others(&mut self, table: &Table) -> Result<Option<SlotId>, TableError> {
        while let Some(slot) = table.next_wanted(&mut self.cursor)? {
            if !table.is_for_jobs(slot)? {
                return Ok(Some(slot));
            }
            if table.object_attempt(slot)? > 0 {
                self.agenda.missing(slot.0);
            }
        }
        Ok(None)
    }

    /// Tells the agenda of new jobs; whether there may be more.
    fn feed(&mut self, table: &Table, landed: &Landed) -> Result<bool, TableError> {
        if !self.agenda.wants_jobs() {
            return Ok(true);
        }
        for job in std::mem::take(&mut self.void) {
            self.take_in(table, landed, job)?;
        }
        let jobs = table.jobs_len()?;
        for _ in 0..AT_ONCE {
            if self.jobs >= jobs || !self.agenda.wants_jobs() {
                break;
            }
            let job = JobId(self.jobs);
            self.jobs += 1;
            self.take_in(table, landed, job)?;
        }
        Ok(self.jobs < jobs)
    }

    fn take_in(&mut self, table: &Table, landed: &Landed, job: JobId) -> Result<(), TableError> {
        match table.job_state(job)? {
            None => self.void.push(job),
            Some(JobState::Waiting) => {
                let slots = table.job_inputs(job)?;
                let mut inputs = Vec::with_capacity(slots.len());
                if let Some(limited) = &mut self.limited {
                    inputs = limited.inputs(table, landed, &mut self.agenda, job)?;
                    // One that is admitted has begun already.
                    if table.is_admitted(job)? || !limited.fits(table, job, &inputs)? {
                        return Ok(());
                    }
                } else {
                    for slot in &slots {
                        inputs.push((slot.0, table.size(*slot)?));
                    }
                }
                self.agenda.job(job.0, table.job_task(job)?, &inputs);
                for slot in slots {
                    let state = table.object_state(slot)?;
                    if !matches!(
                        state,
                        None | Some(ObjectState::Wanted | ObjectState::Evicted)
                    ) {
                        self.agenda.landed(slot.0);
                    }
                }
            }
            // Its inputs are there, or it has ended.
            Some(_) => {}
        }
        Ok(())
    }

    /// Learns what jobs take from the events since the last look.
    fn learn(&mut self, table: &Table) -> Result<(), TableError> {
        let Some(events) = &mut self.events else {
            return Ok(());
        };
        while let Some(event) = events.next(table)? {
            match event.kind {
                EventKind::JobRunning if self.running.len() < RUNNING => {
                    self.running.insert(event.id, event.at_ns);
                }
                // Uploading its results is no worker's time.
                EventKind::JobDone | EventKind::JobUploading => {
                    self.agenda.worked_off(event.id);
                    if let Some(since) = self.running.remove(&event.id) {
                        let job = JobId(event.id);
                        let mut bytes = 0_u64;
                        for slot in table.job_inputs(job)? {
                            bytes = bytes.saturating_add(table.size(slot)?);
                        }
                        let seconds = event.at_ns.saturating_sub(since) as f64 / 1e9;
                        self.agenda.learn(table.job_task(job)?, bytes, seconds);
                    }
                }
                EventKind::JobFailed => {
                    self.agenda.worked_off(event.id);
                    self.running.remove(&event.id);
                }
                EventKind::JobHandedOn | EventKind::JobPostponed => {
                    self.running.remove(&event.id);
                }
                _ => {}
            }
        }
        if events.lost() > self.lost {
            self.lost = events.lost();
            let begun: Vec<u32> = self.agenda.begun().collect();
            for job in begun {
                if table.job_state(JobId(job))?.is_none_or(JobState::ended) {
                    self.agenda.worked_off(job);
                }
            }
        }
        Ok(())
    }

    /// Bytes came at this rate per second while there was enough to do.
    pub fn network(&mut self, bytes_per_second: f64) {
        self.agenda.network(bytes_per_second);
    }
}

/// A slot to be fetched, which may have been evicted.
fn again(table: &Table, slot: SlotId) -> Result<SlotId, TableError> {
    if table.object_state(slot)? == Some(ObjectState::Evicted) {
        table.want_for_jobs(slot)?;
    }
    Ok(slot)
}

/// What each connection gets of a job's bytes, if that is less than a part of the usual size, and
/// not so little that requests cost more than they bring.
fn share(of_job: u64, usual: u64, connections: usize) -> u64 {
    let share = of_job.div_ceil(connections.max(1) as u64);
    let least = (usual / 4).max(SMALLEST_PART);
    share.max(least).next_multiple_of(GRAIN).min(usual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_connections_share_in_a_job_that_workers_wait_for() {
        let mib = |n: u64| n * GRAIN;
        assert_eq!(share(mib(50), mib(11), 16), mib(4));
        assert_eq!(share(mib(1000), mib(11), 16), mib(11), "large enough");
        assert_eq!(share(mib(50), mib(11), 0), mib(11));
        assert_eq!(share(100, mib(11), 16), mib(3), "a request has its price");
        assert_eq!(share(0, mib(4), 16), SMALLEST_PART);
    }
}
