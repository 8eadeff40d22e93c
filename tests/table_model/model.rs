//! The table as a plain program would write it: one thread, maps and vectors, no words.

use std::collections::{BTreeMap, BTreeSet};

use cotec::table::{JobClaim, ObjectClaim, Outcome, Phase, Swept};
use cotec::values::{
    ByteRange, EventKind, Fault, FaultCode, JobState, Limits, ObjectState, Owner, Role,
};

use crate::records::{Happened, Job, Member, Object};

/// Bytes of a grain.
pub const GRAIN: u64 = 1 << Limits::GRAIN_SHIFT;

/// Why an operation is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Full(&'static str),
    TooLong(&'static str),
    NoSuchSlot,
}

type Answer<T> = Result<T, Refusal>;

#[derive(Debug)]
pub struct Model {
    pub limits: Limits,
    pub objects: Vec<Object>,
    pub jobs: Vec<Job>,
    pub keys: BTreeMap<String, usize>,
    pub names: BTreeMap<String, usize>,
    pub phase: Phase,
    pub events: Vec<Happened>,
    /// By the record's number; the generation that the next one gets.
    pub members: Vec<(u32, Option<Member>)>,
    /// Wanted slots that the downloader has not been told of since they became wanted.
    pub untold: BTreeSet<usize>,
    /// Jobs wait until they are admitted.
    pub held: bool,
    text_words: u64,
    grain_words: u64,
    nodes: u64,
}

fn words(bytes: usize) -> u64 {
    bytes.div_ceil(8) as u64
}

impl Model {
    pub fn new(limits: Limits) -> Model {
        Model {
            limits,
            objects: Vec::new(),
            jobs: Vec::new(),
            keys: BTreeMap::new(),
            names: BTreeMap::new(),
            phase: Phase::Planning,
            events: Vec::new(),
            members: vec![(1, None); limits.processes as usize],
            untold: BTreeSet::new(),
            held: false,
            text_words: 0,
            grain_words: 0,
            nodes: 0,
        }
    }

    pub fn happened(&mut self, by: Member, kind: EventKind, id: usize, value: u64) {
        self.events.push(Happened {
            kind,
            role: by.role,
            process: by.owner.index() as u16,
            id: id as u32,
            value,
            text: None,
        });
    }

    fn room(used: u64, more: u64, limit: u64, what: &'static str) -> Answer<()> {
        if used + more > limit {
            return Err(Refusal::Full(what));
        }
        Ok(())
    }

    fn room_for_text(&self, more: u64) -> Answer<()> {
        let limit = words(self.limits.text_bytes as usize);
        Model::room(self.text_words, more, limit, "words of text")
    }

    // Processes.

    pub fn join(&mut self, role: Role) -> Answer<Member> {
        let free = self.members.iter().position(|(_, member)| member.is_none());
        let index = free.ok_or(Refusal::Full("processes"))?;
        let member = Member {
            owner: Owner::new(index as u32, self.members[index].0),
            role,
        };
        self.members[index].1 = Some(member);
        Ok(member)
    }

    // Objects.

    pub fn register_object(
        &mut self,
        by: Member,
        key: &str,
        size: u64,
        etag: Option<&str>,
        etag_is_text: bool,
        for_jobs: bool,
    ) -> Answer<usize> {
        if key.len() > Limits::KEY_BYTES {
            return Err(Refusal::TooLong("key"));
        }
        if let Some(&slot) = self.keys.get(key) {
            if !for_jobs {
                self.want(by, slot);
            } else if self.objects[slot].state == ObjectState::Evicted {
                let told = !self.objects[slot].for_jobs;
                self.now_wanted(by, slot, told);
            }
            return Ok(slot);
        }
        let etag = etag.filter(|e| !e.is_empty());
        let etag_bytes = etag.filter(|_| etag_is_text).map_or(0, str::len);
        if etag_bytes > Limits::KEY_BYTES {
            return Err(Refusal::TooLong("ETag"));
        }
        let text = words(key.len()) + words(etag_bytes);
        self.room_for_text(text)?;
        let grains = match size.div_ceil(GRAIN) {
            0..=32 => 0,
            more => more.div_ceil(32),
        };
        let limit = self.limits.grain_words.into();
        Model::room(self.grain_words, grains, limit, "words of grains")?;
        let limit = self.limits.objects.into();
        Model::room(self.objects.len() as u64, 1, limit, "objects")?;
        self.text_words += text;
        self.grain_words += grains;
        let slot = self.objects.len();
        self.objects.push(Object {
            key: key.to_owned(),
            size,
            etag: etag.map(str::to_owned),
            state: ObjectState::Wanted,
            attempt: 0,
            owner: Owner::NONE,
            landed: BTreeSet::new(),
            fault: None,
            for_jobs,
            jobs: Vec::new(),
        });
        self.keys.insert(key.to_owned(), slot);
        self.now_wanted(by, slot, true);
        Ok(slot)
    }

    fn now_wanted(&mut self, by: Member, slot: usize, told: bool) {
        let object = &mut self.objects[slot];
        object.state = ObjectState::Wanted;
        object.owner = Owner::NONE;
        let size = object.size;
        if told {
            self.untold.insert(slot);
        }
        self.happened(by, EventKind::ObjectWanted, slot, size);
    }

    pub fn want(&mut self, by: Member, slot: usize) {
        let hurried = std::mem::take(&mut self.objects[slot].for_jobs);
        self.want_for_jobs(by, slot);
        if hurried && self.objects[slot].state == ObjectState::Wanted {
            self.untold.insert(slot);
        }
    }

    /// As the table does where a job wants its input.
    pub fn want_for_jobs(&mut self, by: Member, slot: usize) {
        if self.objects[slot].state == ObjectState::Evicted {
            self.now_wanted(by, slot, true);
        }
    }

    pub fn claim_object(&mut self, by: Member, slot: usize) -> Option<u32> {
        let object = &mut self.objects[slot];
        if object.state != ObjectState::Wanted {
            return None;
        }
        object.state = ObjectState::Fetching;
        object.attempt += 1;
        object.owner = by.owner;
        let attempt = object.attempt;
        self.untold.remove(&slot);
        self.happened(by, EventKind::ObjectFetching, slot, attempt.into());
        Some(attempt)
    }

    fn fetches(&self, by: Member, claim: ObjectClaim) -> bool {
        let object = &self.objects[claim.slot.0 as usize];
        object.state == ObjectState::Fetching
            && object.owner == by.owner
            && object.attempt == claim.attempt
    }

    /// Ends a claim; false if it is no longer this process's.
    pub fn end_object(&mut self, by: Member, claim: ObjectClaim, end: End) -> bool {
        if !self.fetches(by, claim) {
            return false;
        }
        let slot = claim.slot.0 as usize;
        if let End::Released = end {
            self.now_wanted(by, slot, true);
            return true;
        }
        let object = &mut self.objects[slot];
        object.owner = Owner::NONE;
        match end {
            End::Failed(fault) => {
                object.state = ObjectState::Failed;
                object.fault = Some(fault);
                self.happened(by, EventKind::ObjectFailed, slot, fault.to_bits().into());
            }
            End::Ready(fetched) => {
                object.state = ObjectState::Ready;
                self.happened(by, EventKind::ObjectReady, slot, fetched);
            }
            End::Released => {}
        }
        // The job that asked last is told first.
        for job in self.objects[slot].jobs.clone().into_iter().rev() {
            self.look_on(by, job);
        }
        true
    }

    /// A range lands; false if the claim is no longer this process's.
    pub fn land(&mut self, by: Member, claim: ObjectClaim, range: ByteRange) -> bool {
        if !self.fetches(by, claim) {
            return false;
        }
        let object = &mut self.objects[claim.slot.0 as usize];
        for grain in 0..object.size.div_ceil(GRAIN) {
            let whole = grain * GRAIN..((grain + 1) * GRAIN).min(object.size);
            if range.start <= whole.start && range.end >= whole.end {
                object.landed.insert(grain);
            }
        }
        true
    }

    pub fn forget(&mut self, by: Member, claim: ObjectClaim) {
        if self.fetches(by, claim) {
            self.objects[claim.slot.0 as usize].landed.clear();
        }
    }

    pub fn evict(&mut self, by: Member, slot: usize) -> bool {
        let object = &mut self.objects[slot];
        if object.state != ObjectState::Ready {
            return false;
        }
        object.state = ObjectState::Evicted;
        object.landed.clear();
        let size = object.size;
        self.happened(by, EventKind::ObjectEvicted, slot, size);
        true
    }

    pub fn landed(&self, slot: usize) -> Vec<ByteRange> {
        let object = &self.objects[slot];
        let mut ranges: Vec<ByteRange> = Vec::new();
        for grain in &object.landed {
            let range = ByteRange::new(grain * GRAIN, (grain + 1) * GRAIN).clamp(object.size);
            match ranges.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => ranges.push(range),
            }
        }
        ranges
    }

    // Waits that do not wait.

    fn settled(&mut self, by: Member, slot: usize) -> Option<Outcome> {
        let object = &self.objects[slot];
        match (object.state, object.fault) {
            (ObjectState::Ready, _) => Some(Outcome::Ready),
            (ObjectState::Failed, Some(fault)) => Some(Outcome::Failed(fault)),
            (ObjectState::Fetching, _) => None,
            _ => {
                self.want(by, slot);
                None
            }
        }
    }

    pub fn wait(&mut self, by: Member, slot: usize) -> Outcome {
        self.settled(by, slot).unwrap_or(Outcome::TimedOut)
    }

    pub fn wait_range(&mut self, by: Member, slot: usize, range: ByteRange) -> Outcome {
        if let Some(outcome) = self.settled(by, slot) {
            return outcome;
        }
        let object = &self.objects[slot];
        let range = range.clamp(object.size);
        let there = (0..object.size.div_ceil(GRAIN))
            .filter(|g| g * GRAIN < range.end && (g + 1) * GRAIN > range.start)
            .all(|g| object.landed.contains(&g));
        if range.is_empty() || there {
            Outcome::Ready
        } else {
            Outcome::TimedOut
        }
    }

    pub fn wait_any(&mut self, by: Member, slots: &[usize]) -> Option<(usize, Outcome)> {
        slots
            .iter()
            .enumerate()
            .find_map(|(place, slot)| self.settled(by, *slot).map(|outcome| (place, outcome)))
    }

    pub fn register_job(
        &mut self,
        by: Member,
        new: Job,
        ended: Option<(Result<(), Fault>, &[u8])>,
    ) -> Answer<usize> {
        let result = ended.map_or(0, |(_, result)| result.len());
        for (what, len, max) in [
            ("job name", new.name.len(), Limits::KEY_BYTES),
            ("job payload", new.payload.len(), Limits::PAYLOAD_BYTES),
            ("job result", result, Limits::PAYLOAD_BYTES),
        ] {
            if len > max {
                return Err(Refusal::TooLong(what));
            }
        }
        if let Some(&job) = self.names.get(&new.name) {
            if ended.is_none() {
                self.look_on(by, job);
            }
            return Ok(job);
        }
        let text = words(new.name.len()) + words(new.payload.len()) + words(result);
        let nodes = new.inputs.len() as u64;
        self.room_for_text(text)?;
        Model::room(self.nodes, nodes, self.limits.inputs.into(), "inputs")?;
        if new.inputs.iter().any(|slot| *slot >= self.objects.len()) {
            return Err(Refusal::NoSuchSlot);
        }
        let limit = self.limits.jobs.into();
        Model::room(self.jobs.len() as u64, 1, limit, "jobs")?;
        self.text_words += text;
        self.nodes += nodes;
        let job = self.jobs.len();
        for slot in &new.inputs {
            self.objects[*slot].jobs.push(job);
        }
        self.names.insert(new.name.clone(), job);
        self.jobs.push(new);
        if let Some((outcome, result)) = ended {
            self.jobs[job].result = Some(result.to_vec()).filter(|r| !r.is_empty());
            self.jobs[job].fault = outcome.err();
            match outcome {
                Ok(()) => {
                    self.jobs[job].state = JobState::Done;
                    self.happened(by, EventKind::JobDone, job, 1);
                }
                Err(fault) => {
                    self.jobs[job].state = JobState::Failed;
                    self.happened(by, EventKind::JobFailed, job, fault.to_bits().into());
                }
            }
        } else {
            self.happened(by, EventKind::JobWaiting, job, nodes);
            self.look_on(by, job);
        }
        Ok(job)
    }

    pub fn look_on(&mut self, by: Member, job: usize) {
        if self.jobs[job].state != JobState::Waiting {
            return;
        }
        let held = self.held && !self.jobs[job].admitted;
        while let Some(&slot) = self.jobs[job].inputs.get(self.jobs[job].watch) {
            match self.objects[slot].state {
                ObjectState::Ready => self.jobs[job].watch += 1,
                ObjectState::Failed => {
                    let fault = Fault::new(FaultCode::Input, slot as u32);
                    return self.fail_job(by, job, fault);
                }
                ObjectState::Evicted if !held => return self.want_for_jobs(by, slot),
                ObjectState::Evicted | ObjectState::Wanted | ObjectState::Fetching => return,
            }
        }
        if held {
            return;
        }
        self.jobs[job].state = JobState::Ready;
        self.happened(by, EventKind::JobReady, job, 0);
    }

    pub fn fail_job(&mut self, by: Member, job: usize, fault: Fault) {
        let record = &mut self.jobs[job];
        record.state = JobState::Failed;
        record.owner = Owner::NONE;
        record.fault = Some(fault);
        self.happened(by, EventKind::JobFailed, job, fault.to_bits().into());
    }

    pub fn claim_job(&mut self, by: Member) -> Option<(usize, u32)> {
        loop {
            let job = self.jobs.iter().position(|j| j.state == JobState::Ready)?;
            let record = &mut self.jobs[job];
            record.attempt += 1;
            let attempt = record.attempt;
            let all = |slot: &usize| self.objects[*slot].state == ObjectState::Ready;
            if record.inputs.iter().all(all) {
                record.state = JobState::Running;
                record.owner = by.owner;
                self.happened(by, EventKind::JobRunning, job, attempt.into());
                return Some((job, attempt));
            }
            // An input was evicted after the job became ready.
            record.state = JobState::Waiting;
            record.watch = 0;
            self.look_on(by, job);
        }
    }

    pub fn runs(&self, by: Member, claim: JobClaim) -> bool {
        let job = &self.jobs[claim.job.0 as usize];
        job.state == JobState::Running && job.owner == by.owner && job.attempt == claim.attempt
    }

    pub fn finish_job(&mut self, by: Member, claim: JobClaim, outcome: Result<(), Fault>) -> bool {
        if !self.holds(by, claim) {
            return false;
        }
        let job = claim.job.0 as usize;
        match outcome {
            Ok(()) => {
                self.jobs[job].state = JobState::Done;
                self.jobs[job].owner = Owner::NONE;
                self.happened(by, EventKind::JobDone, job, 0);
            }
            Err(fault) => self.fail_job(by, job, fault),
        }
        true
    }

    pub fn postpone_job(&mut self, by: Member, claim: JobClaim, fault: Fault) -> bool {
        let runs = self.runs(by, claim);
        if runs {
            let job = claim.job.0 as usize;
            self.jobs[job].state = JobState::Waiting;
            self.jobs[job].owner = Owner::NONE;
            let bits = fault.to_bits().into();
            self.happened(by, EventKind::JobPostponed, job, bits);
        }
        runs
    }

    pub fn set_result(&mut self, by: Member, claim: JobClaim, result: &[u8]) -> Answer<()> {
        if result.len() > Limits::PAYLOAD_BYTES {
            return Err(Refusal::TooLong("job result"));
        }
        if self.holds(by, claim) {
            self.room_for_text(words(result.len()))?;
            self.text_words += words(result.len());
            self.jobs[claim.job.0 as usize].result =
                Some(result.to_vec()).filter(|r| !r.is_empty());
        }
        Ok(())
    }

    pub fn finished(&self) -> bool {
        self.phase != Phase::Planning && self.jobs.iter().all(|j| j.state.ended())
    }

    // The run.

    pub fn say(&mut self, by: Member, text: &str, error: bool) -> Answer<()> {
        self.room_for_text(words(text.len()))?;
        self.text_words += words(text.len());
        self.happened(by, EventKind::Note, error.into(), 0);
        if let Some(last) = self.events.last_mut() {
            last.text = Some(text.to_owned());
        }
        Ok(())
    }

    pub fn planned(&mut self, by: Member, products: u32) {
        let jobs = self.jobs.len() as u64;
        self.happened(by, EventKind::Planned, products as usize, jobs);
        self.phase = self.phase.max(Phase::Planned);
    }

    pub fn retried(&mut self, by: Member, slot: usize, fault: Fault) {
        self.happened(by, EventKind::Retry, slot, fault.to_bits().into());
    }

    pub fn sweep(&mut self, by: Member, dead: &[Owner], attempts: u32) -> Swept {
        let mut swept = Swept::default();
        for slot in 0..self.objects.len() {
            let object = &self.objects[slot];
            if object.state == ObjectState::Fetching && dead.contains(&object.owner) {
                self.now_wanted(by, slot, true);
                swept.objects += 1;
            }
        }
        for job in 0..self.jobs.len() {
            // One that was postponed goes on at once.
            self.look_on(by, job);
            let record = &mut self.jobs[job];
            if record.state == JobState::Uploading && dead.contains(&record.owner) {
                record.owner = Owner::NONE;
                self.happened(by, EventKind::JobUploading, job, 0);
                swept.jobs += 1;
                continue;
            }
            if record.state != JobState::Running || !dead.contains(&record.owner) {
                continue;
            }
            let attempt = record.attempt;
            if attempt >= attempts {
                self.fail_job(by, job, Fault::new(FaultCode::WorkerDied, attempt));
                swept.given_up += 1;
            } else {
                record.state = JobState::Ready;
                record.owner = Owner::NONE;
                self.happened(by, EventKind::JobHandedOn, job, attempt.into());
                swept.jobs += 1;
            }
        }
        for (generation, member) in &mut self.members {
            if member.is_some_and(|m| dead.contains(&m.owner)) {
                *member = None;
                *generation += 1;
                swept.processes += 1;
            }
        }
        swept
    }
}

/// How a claim on an object ends.
#[derive(Clone, Copy, Debug)]
pub enum End {
    Ready(u64),
    Failed(Fault),
    Released,
}

impl Job {
    pub fn new(name: &str, task: u32, inputs: Vec<usize>, payload: Vec<u8>) -> Job {
        Job {
            name: name.to_owned(),
            task,
            payload,
            inputs,
            state: JobState::Waiting,
            attempt: 0,
            owner: Owner::NONE,
            fault: None,
            result: None,
            watch: 0,
            admitted: false,
        }
    }
}
