//! Keeps staging within its limit: jobs are admitted as there is room, and what the ended ones
//! leave is recycled.
//!
//! The table has the truth of it: jobs wait there until they are admitted, so that a downloader
//! that comes after a dead one finds which jobs may have their inputs in staging, and what is ready
//! there. Nothing that an admitted job needs is ever removed.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use crate::schedule::{Admission, Agenda, Room};
use crate::table::{EventReader, JobId, SlotId, Table, TableError};
use crate::values::safe::manifest_of;
use crate::values::{EventKind, Fault, FaultCode, JobState, ObjectState, bytes};

use super::config::{FetchConfig, SpaceConfig};
use super::landed::Landed;
use super::meter::Meter;
use super::recycle::Recycler;
use super::survey::Survey;

/// An object that somebody wants besides its jobs asks for room like a job, with its slot and this
/// bit as the number. Jobs are fewer.
const ALONE: u32 = 1 << 31;

/// How often all admitted jobs are looked at: whoever ended one may have died before it told.
const LOOK_AT_ALL: Duration = Duration::from_secs(1);

/// What a limit needs beside the agenda.
#[derive(Debug)]
pub(super) struct Limited {
    space: SpaceConfig,
    recycler: Recycler,
    events: EventReader,
    lost: u64,
    looked: Instant,
    /// Slots that nobody needs and that are on their way, and those of them that have arrived.
    on_their_way: HashSet<u32>,
    arrived: Vec<u32>,
    /// Bytes of scratch that jobs of a task were seen to use.
    seen: HashMap<u32, u64>,
    meter: Meter,
    /// Somebody was told that there is no room for what processors want by themselves.
    told: bool,
}

impl Limited {
    /// Looks at what stands in staging and what was admitted.
    ///
    /// # Errors
    /// The table's, or staging cannot be read.
    pub fn begin(
        table: &Table,
        config: &FetchConfig,
        space: &SpaceConfig,
        bucket: &str,
        landed: &mut Landed,
        agenda: impl FnOnce(Room) -> Agenda,
    ) -> Result<(Limited, Agenda), TableError> {
        let no = |source: io::Error| TableError::NoMemory {
            what: "what stands in staging",
            source,
        };
        let survey = Survey::take(&config.staging).map_err(no)?;
        let mut room = Room::limited(space.limit.saturating_sub(survey.books));
        let mut recycler = Recycler::new(&config.staging, bucket, &config.tree);
        for (number, bytes) in recycler.take_in(survey) {
            room.present(number, bytes);
        }
        let mut limited = Limited {
            space: space.clone(),
            recycler,
            events: EventReader::default(),
            lost: 0,
            looked: Instant::now(),
            on_their_way: HashSet::new(),
            arrived: Vec::new(),
            seen: HashMap::new(),
            meter: Meter::start(table, &config.staging),
            told: false,
        };
        let mut agenda = agenda(room);
        for (task, scratch) in (0..).zip(&space.scratch) {
            agenda.scratch(task, *scratch);
        }
        limited.resume(table, landed, &mut agenda)?;
        Ok((limited, agenda))
    }

    /// Takes over what a downloader before this one has admitted and fetched.
    fn resume(
        &mut self,
        table: &Table,
        landed: &mut Landed,
        agenda: &mut Agenda,
    ) -> Result<(), TableError> {
        for number in 0..table.jobs_len()? {
            let job = JobId(number);
            let ended = table.job_state(job)?.is_none_or(JobState::ended);
            if !ended && table.is_admitted(job)? {
                let inputs = self.inputs(table, landed, agenda, job)?;
                agenda.resume(number, table.job_task(job)?, &inputs);
                // The one before may have died in between.
                table.start_at_once(job)?;
            }
        }
        for number in 0..table.objects_len()? {
            let slot = SlotId(number);
            if table.object_state(slot)? != Some(ObjectState::Ready) {
                continue;
            }
            self.adopt(table, landed, agenda, slot)?;
            agenda.room().present(number, table.size(slot)?);
            if !agenda.room().holds(number) && table.has_jobs(slot)? && !table.is_needed(slot)? {
                self.recycle(table, landed, agenda, &[number])?;
            }
        }
        Ok(())
    }

    /// The inputs of a job with their bytes, and the manifests that they are compared with. What
    /// earlier runs left of them is theirs from now on.
    pub fn inputs(
        &mut self,
        table: &Table,
        landed: &Landed,
        agenda: &mut Agenda,
        job: JobId,
    ) -> Result<Vec<(u32, u64)>, TableError> {
        let mut inputs = Vec::new();
        for slot in table.job_inputs(job)? {
            with_manifest(table, slot, &mut inputs)?;
        }
        for (slot, _) in &inputs {
            self.adopt(table, landed, agenda, SlotId(*slot))?;
        }
        Ok(inputs)
    }

    fn adopt(
        &mut self,
        table: &Table,
        landed: &Landed,
        agenda: &mut Agenda,
        slot: SlotId,
    ) -> Result<(), TableError> {
        let adopted = self.recycler.adopt(table, landed, slot)?;
        for number in &adopted.numbers {
            agenda.room().recycled(*number);
        }
        if adopted.bytes > 0 {
            agenda.room().present(slot.0, adopted.bytes);
        }
        Ok(())
    }

    /// Whether a job can ever be admitted; one that cannot fails. The planner lets none through, but
    /// others may register jobs too.
    pub fn fits(
        &self,
        table: &Table,
        job: JobId,
        inputs: &[(u32, u64)],
    ) -> Result<bool, TableError> {
        let task = usize::try_from(table.job_task(job)?).unwrap_or(usize::MAX);
        let scratch = self.space.scratch.get(task).copied().unwrap_or(0);
        if Room::fits_alone(self.space.limit, inputs, scratch) {
            return Ok(true);
        }
        if table.refuse_job(job, Fault::new(FaultCode::Planning, 0))? {
            table.complain(&format!(
                "{} needs more of staging than the {} that it has for jobs; raise --staging-limit",
                table.job_name(job)?,
                bytes::text(self.space.limit)
            ))?;
        }
        Ok(false)
    }

    /// Takes room for an object that somebody wants besides its jobs; false if there is none now.
    pub fn room_for(
        &mut self,
        table: &Table,
        landed: &mut Landed,
        agenda: &mut Agenda,
        slot: SlotId,
    ) -> Result<bool, TableError> {
        let mut wanted = Vec::new();
        with_manifest(table, slot, &mut wanted)?;
        if wanted.iter().all(|(slot, _)| agenda.room().holds(*slot)) {
            return Ok(true);
        }
        self.adopt(table, landed, agenda, slot)?;
        if !Room::fits_alone(self.space.limit, &wanted, 0) {
            self.refuse(table, slot)?;
            return Ok(true);
        }
        loop {
            match agenda.room().admit(ALONE | slot.0, &wanted, 0) {
                Admission::Admitted => return Ok(true),
                Admission::MustRecycle(slots) => self.recycle(table, landed, agenda, &slots)?,
                Admission::Full => break,
            }
        }
        if !self.told {
            self.told = true;
            table.note(&format!(
                "{:?} waits for room in staging until a job ends; if that job waits for it in turn, raise --staging-limit",
                table.key(slot)?
            ))?;
        }
        Ok(false)
    }

    /// Fails an object that is larger than all of staging may be.
    fn refuse(&self, table: &Table, slot: SlotId) -> Result<(), TableError> {
        let Some(claim) = table.claim_object(slot)? else {
            return Ok(());
        };
        table.complain(&format!(
            "object {:?} failed: it has {}, and staging may have {}; raise --staging-limit",
            table.key(slot)?,
            bytes::text(table.size(slot)?),
            bytes::text(self.space.limit)
        ))?;
        let errno = rustix::io::Errno::NOSPC.raw_os_error().unsigned_abs();
        table.fail_object(claim, Fault::new(FaultCode::Staging, errno))?;
        Ok(())
    }

    /// An object is ready, has failed, or is not to be fetched after all.
    pub fn slot_ended(&mut self, agenda: &mut Agenda, slot: SlotId) {
        agenda.room().ended(ALONE | slot.0);
        if self.on_their_way.remove(&slot.0) && agenda.room().arrived(slot.0) {
            self.arrived.push(slot.0);
        }
    }

    /// Takes in which jobs have ended, and what they leave; whether there were any.
    pub fn notice(
        &mut self,
        table: &Table,
        landed: &mut Landed,
        agenda: &mut Agenda,
    ) -> Result<bool, TableError> {
        for (job, scratch) in self.meter.read() {
            agenda.room().uses(job, scratch);
            self.uses(table, agenda, JobId(job), scratch)?;
        }
        let mut ended = Vec::new();
        while let Some(event) = self.events.next(table)? {
            if matches!(event.kind, EventKind::JobDone | EventKind::JobFailed) {
                ended.push(event.id);
            }
        }
        let now = Instant::now();
        let silent = now.saturating_duration_since(self.looked) >= LOOK_AT_ALL;
        if silent || self.events.lost() > self.lost {
            (self.looked, self.lost) = (now, self.events.lost());
            let jobs: Vec<u32> = agenda
                .room()
                .jobs()
                .filter(|job| job & ALONE == 0)
                .collect();
            for job in jobs {
                if table.job_state(JobId(job))?.is_none_or(JobState::ended) {
                    ended.push(job);
                }
            }
        }
        let mut any = false;
        for job in ended {
            if !agenda.room().is_admitted(job) {
                continue;
            }
            any = true;
            self.ended(table, landed, agenda, JobId(job))?;
        }
        for slot in std::mem::take(&mut self.arrived) {
            any = true;
            self.let_go(table, landed, agenda, slot)?;
        }
        let over = agenda.room().over();
        self.recycle(table, landed, agenda, &over)?;
        Ok(any)
    }

    /// Lets a job begin. One that has failed already, for want of an input, gives its room back.
    pub fn admit(
        &mut self,
        table: &Table,
        landed: &mut Landed,
        agenda: &mut Agenda,
        job: JobId,
    ) -> Result<(), TableError> {
        table.admit_job(job)?;
        match table.job_state(job)?.is_none_or(JobState::ended) {
            true => self.ended(table, landed, agenda, job),
            false => Ok(()),
        }
    }

    /// An admitted job has ended.
    fn ended(
        &mut self,
        table: &Table,
        landed: &mut Landed,
        agenda: &mut Agenda,
        job: JobId,
    ) -> Result<(), TableError> {
        if let Some(scratch) = scratch_of(table, job)? {
            self.uses(table, agenda, job, scratch)?;
        }
        for slot in agenda.ended(job.0) {
            self.let_go(table, landed, agenda, slot)?;
        }
        Ok(())
    }

    /// Removes a slot that nobody holds, if no later job needs it either.
    fn let_go(
        &mut self,
        table: &Table,
        landed: &mut Landed,
        agenda: &mut Agenda,
        slot: u32,
    ) -> Result<(), TableError> {
        // What landed of an object that failed may be of use to the next run.
        let failed = table.object_state(SlotId(slot))? == Some(ObjectState::Failed);
        if !failed && !agenda.room().holds(slot) && !table.is_needed(SlotId(slot))? {
            self.recycle(table, landed, agenda, &[slot])?;
        }
        Ok(())
    }

    /// A job was seen to use so much scratch: the next ones of its task will hardly need less.
    fn uses(
        &mut self,
        table: &Table,
        agenda: &mut Agenda,
        job: JobId,
        scratch: u64,
    ) -> Result<(), TableError> {
        if job.0 >= table.jobs_len()? {
            return Ok(());
        }
        let task = table.job_task(job)?;
        let declared = usize::try_from(task).ok();
        let declared = declared.and_then(|task| self.space.scratch.get(task));
        let seen = self.seen.entry(task).or_insert(0);
        *seen = scratch.max(*seen);
        agenda.scratch(task, (*seen).max(declared.copied().unwrap_or(0)));
        Ok(())
    }

    /// Removes what nobody holds from staging.
    pub fn recycle(
        &mut self,
        table: &Table,
        landed: &mut Landed,
        agenda: &mut Agenda,
        slots: &[u32],
    ) -> Result<(), TableError> {
        for slot in slots {
            if self.recycler.recycle(table, landed, *slot)? {
                agenda.recycled(*slot);
            } else {
                // Its job failed for another input.
                agenda.room().on_its_way(*slot);
                self.on_their_way.insert(*slot);
            }
        }
        Ok(())
    }
}

/// Adds an object with its bytes, and the manifest that it is compared with.
fn with_manifest(
    table: &Table,
    slot: SlotId,
    wanted: &mut Vec<(u32, u64)>,
) -> Result<(), TableError> {
    let manifest = match manifest_of(&table.key(slot)?) {
        Some((manifest, _)) => table.find_object(&manifest)?,
        None => None,
    };
    for slot in [Some(slot), manifest].into_iter().flatten() {
        if !wanted.iter().any(|(other, _)| *other == slot.0) {
            wanted.push((slot.0, table.size(slot)?));
        }
    }
    Ok(())
}

/// What the worker said of a job's scratch directory.
fn scratch_of(table: &Table, job: JobId) -> Result<Option<u64>, TableError> {
    let text = table.job_result(job)?.unwrap_or_default();
    let said = serde_json::from_slice::<serde_json::Value>(&text).ok();
    Ok(said.and_then(|said| said.get("scratch_bytes")?.as_u64()))
}
