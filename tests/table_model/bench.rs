//! A table and its model side by side: each step is taken on both, and all that can be seen is
//! compared.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use cotec::table::{
    EventReader, JobClaim, JobId, JobSpec, ObjectClaim, ObjectSpec, Phase, SlotId, Table,
    TableError,
};
use cotec::values::{ByteRange, EventKind, Fault, Limits, ObjectState, Role};

use crate::history::{LENGTHS, SIZES, Step, etags, names};
use crate::model::{End, GRAIN, Model, Refusal};
use crate::records::{Happened, Job, Member};

/// A process: alive, or dead and still able to try something late.
pub struct Process {
    pub table: Table,
    pub member: Member,
    pub alive: bool,
    pub figures: (u64, u64, u32),
}

pub struct Bench {
    pub model: Model,
    pub processes: Vec<Process>,
    /// A read-only attachment, through which everything is looked at.
    pub reader: Table,
    objects: Vec<(usize, ObjectClaim)>,
    pub jobs: Vec<(usize, JobClaim)>,
    cursor: u32,
    events: EventReader,
    /// Events of the model that the reader has passed, and how many of them were lost.
    passed: usize,
    pub lost: u64,
    pub refusals: BTreeSet<String>,
}

pub type Told = Result<(), String>;

pub fn same<T: PartialEq + Debug>(what: &str, table: T, model: T) -> Told {
    if table == model {
        return Ok(());
    }
    Err(format!(
        "{what}: the table says {table:?}, the model {model:?}"
    ))
}

fn refusal(error: &TableError) -> Result<Refusal, String> {
    Ok(match error {
        TableError::Full { what, .. } => Refusal::Full(what),
        TableError::TooLong { what, .. } => Refusal::TooLong(what),
        TableError::Corrupt { what: "slot", .. } => Refusal::NoSuchSlot,
        other => return Err(format!("unexpected error: {other}")),
    })
}

/// A place in an object of `size` bytes: mostly at the edges of grains.
fn place(selector: u8, size: u64) -> u64 {
    let grain = u64::from(selector >> 2) % (size / GRAIN + 2).min(64);
    match selector & 3 {
        0 => grain * GRAIN + 1,
        1 => (grain * GRAIN).saturating_sub(1),
        2 if selector > 200 => size,
        _ => grain * GRAIN,
    }
}

impl Bench {
    pub fn new(limits: Limits) -> Bench {
        let table = Table::create(limits).unwrap();
        let mut model = Model::new(limits);
        let member = model.join(Role::Coordinator).unwrap();
        let reader = Table::attach(Path::new(&table.path()), false).unwrap();
        Bench {
            model,
            reader,
            processes: vec![Process {
                table,
                member,
                alive: true,
                figures: (0, 0, 0),
            }],
            objects: Vec::new(),
            jobs: Vec::new(),
            cursor: 0,
            events: EventReader::default(),
            passed: 0,
            lost: 0,
            refusals: BTreeSet::new(),
        }
    }

    /// The answers of both, which must be the same or the same refusal.
    pub fn agree<T: PartialEq + Debug>(
        &mut self,
        table: Result<T, TableError>,
        model: Result<T, Refusal>,
    ) -> Result<Option<T>, String> {
        let table = match table {
            Ok(answer) => Ok(answer),
            Err(error) => Err(refusal(&error)?),
        };
        if let Err(refusal) = &table {
            self.refusals.insert(format!("{refusal:?}"));
        }
        match (table, model) {
            (Ok(t), Ok(m)) if t == m => Ok(Some(t)),
            (Err(t), Err(m)) if t == m => Ok(None),
            (t, m) => Err(format!("the table answers {t:?}, the model {m:?}")),
        }
    }

    fn alive(&self, who: u8) -> usize {
        let alive: Vec<usize> = (0..self.processes.len())
            .filter(|i| self.processes[*i].alive)
            .collect();
        alive[usize::from(who) % alive.len()]
    }

    /// Who uses a claim: nearly always the process that made it, dead or not.
    fn user(&self, who: u8, owner: usize) -> usize {
        if who < 230 {
            owner
        } else {
            usize::from(who) % self.processes.len()
        }
    }

    fn slot(&self, selector: u8) -> Option<usize> {
        let n = self.model.objects.len();
        (n > 0).then(|| usize::from(selector) % n)
    }

    fn object_claim(&self, who: u8, back: u8) -> Option<(usize, ObjectClaim)> {
        let n = self.objects.len();
        let (owner, claim) = *self
            .objects
            .get(n.checked_sub(1 + usize::from(back) % n.max(1))?)?;
        Some((self.user(who, owner), claim))
    }

    fn job_claim(&self, who: u8, back: u8) -> Option<(usize, JobClaim)> {
        let n = self.jobs.len();
        let (owner, claim) = *self
            .jobs
            .get(n.checked_sub(1 + usize::from(back) % n.max(1))?)?;
        Some((self.user(who, owner), claim))
    }

    /// Takes a step on both sides.
    pub fn take(&mut self, who: u8, step: &Step) -> Told {
        let by = self.alive(who);
        let table = self.processes[by].table.clone();
        let member = self.processes[by].member;
        match step {
            Step::Join { .. } | Step::Die { .. } | Step::Sweep { .. } => {
                return self.come_and_go(by, step);
            }
            Step::PublishObject { .. }
            | Step::FailObject { .. }
            | Step::ReleaseObject(_)
            | Step::PublishRange { .. }
            | Step::ForgetLanded(_) => return self.use_object(who, step),
            Step::SetResult { .. }
            | Step::FinishJob { .. }
            | Step::PostponeJob { .. }
            | Step::HandOver { .. } => return self.use_job(who, step),
            Step::ClaimUpload(from) => self.claim_upload(by, *from)?,
            Step::HoldJobs => {
                self.model.held = true;
                self.agree(table.hold_jobs(), Ok(()))?;
            }
            Step::AdmitJob(job) => self.admit_job(by, *job)?,
            Step::RefuseJob(job, fault) => self.refuse_job(by, *job, *fault)?,
            Step::LookOn(job) => {
                let jobs = self.model.jobs.len();
                if jobs > 0 {
                    let job = usize::from(*job) % jobs;
                    self.model.look_on(member, job);
                    self.agree(table.look_on(JobId(job as u32)), Ok(()))?;
                }
            }
            Step::RegisterObject { key, size, etag } => {
                let (key, size) = (&names()[*key], SIZES[*size]);
                let (etag, is_text) = &etags()[*etag];
                let etag = etag.as_deref();
                let model = self
                    .model
                    .register_object(member, key, size, etag, *is_text, false);
                let told = table.register_object(&ObjectSpec { key, size, etag });
                self.agree(told.map(|slot| slot.0 as usize), model)?;
            }
            Step::RegisterObjects { page, for_jobs } => {
                let (names, etags) = (names(), etags());
                let specs: Vec<ObjectSpec<'_>> = (page.iter())
                    .map(|(key, size, etag)| ObjectSpec {
                        key: &names[*key],
                        size: SIZES[*size],
                        etag: etags[*etag].0.as_deref(),
                    })
                    .collect();
                // As if they were registered one after the other until one is refused.
                let (mut slots, mut expected) = (Vec::new(), Vec::new());
                let mut model = Ok(());
                for (spec, (.., etag)) in specs.iter().zip(page) {
                    let made = self.model.register_object(
                        member,
                        spec.key,
                        spec.size,
                        spec.etag,
                        etags[*etag].1,
                        *for_jobs,
                    );
                    match made {
                        Ok(slot) => expected.push(slot),
                        Err(refusal) => {
                            model = Err(refusal);
                            break;
                        }
                    }
                }
                let ways = [Table::register_objects, Table::register_inputs];
                let told = ways[usize::from(*for_jobs)](&table, &specs, &mut slots);
                self.agree(told, model)?;
                let slots: Vec<usize> = slots.iter().map(|slot| slot.0 as usize).collect();
                if slots != expected {
                    return Err(format!("the table registers {slots:?}, not {expected:?}"));
                }
            }
            Step::RegisterJob {
                name,
                task,
                inputs,
                payload,
            } => {
                let payload = vec![b'p'; LENGTHS[*payload]];
                self.register_job(by, &names()[*name], *task, inputs, payload, None)?;
            }
            Step::EndedJob {
                name,
                inputs,
                fault,
                result,
            } => {
                let result = vec![b'r'; LENGTHS[*result]];
                let ended = Some((fault.map_or(Ok(()), Err), result.as_slice()));
                self.register_job(by, &names()[*name], 7, inputs, Vec::new(), ended)?;
            }
            Step::ClaimObject(slot) => {
                let Some(slot) = self.slot(*slot) else {
                    return Ok(());
                };
                self.claim_object(by, slot)?;
            }
            Step::ClaimNextWanted => {
                let next = table
                    .next_wanted(&mut self.cursor)
                    .map_err(|e| e.to_string())?;
                let first = self.model.untold.first().copied();
                let Some(slot) = next.map(|slot| slot.0 as usize) else {
                    return same("next wanted", None, first);
                };
                if first.is_some_and(|first| first < slot) {
                    return Err(format!("next wanted: {slot} before {first:?}"));
                }
                same(
                    "wanted",
                    self.model.objects[slot].state,
                    ObjectState::Wanted,
                )?;
                self.model.untold.remove(&slot);
                self.claim_object(by, slot)?;
            }
            Step::Evict(slot) => {
                let Some(slot) = self.slot(*slot) else {
                    return Ok(());
                };
                let model = self.model.evict(member, slot);
                self.agree(table.evict(SlotId(slot as u32)), Ok(model))?;
            }
            Step::Want(slot) => {
                let Some(slot) = self.slot(*slot) else {
                    return Ok(());
                };
                self.model.want(member, slot);
                self.agree(table.want(SlotId(slot as u32)), Ok(()))?;
            }
            Step::ClaimJob => {
                let model = self.model.claim_job(member);
                let told = table.claim_job();
                if let Ok(Some(claim)) = &told {
                    self.jobs.push((by, *claim));
                }
                let told = told.map(|claim| claim.map(|c| (c.job.0 as usize, c.attempt)));
                self.agree(told, Ok(model))?;
            }
            Step::Wait(slot) => {
                let Some(slot) = self.slot(*slot) else {
                    return Ok(());
                };
                let model = self.model.wait(member, slot);
                let told = table.wait(SlotId(slot as u32), Some(Duration::ZERO));
                self.agree(told, Ok(model))?;
            }
            Step::WaitRange { slot, from, to } => {
                let Some(slot) = self.slot(*slot) else {
                    return Ok(());
                };
                let size = self.model.objects[slot].size;
                let range = ByteRange::new(place(*from, size), place(*to, size));
                let model = self.model.wait_range(member, slot, range);
                let told = table.wait_range(SlotId(slot as u32), range, Some(Duration::ZERO));
                self.agree(told, Ok(model))?;
            }
            Step::WaitAny(slots) => {
                let slots: Vec<usize> = slots.iter().filter_map(|s| self.slot(*s)).collect();
                let model = self.model.wait_any(member, &slots);
                let slots: Vec<SlotId> = slots.iter().map(|s| SlotId(*s as u32)).collect();
                self.agree(table.wait_any(&slots, Some(Duration::ZERO)), Ok(model))?;
            }
            Step::Note { text, error } => {
                let text = "n".repeat(LENGTHS[*text].min(1 << 20));
                let model = self.model.say(member, &text, *error);
                let told = if *error {
                    table.complain(&text)
                } else {
                    table.note(&text)
                };
                self.agree(told, model)?;
            }
            Step::Retried { slot, fault } => {
                let Some(slot) = self.slot(*slot) else {
                    return Ok(());
                };
                self.model.retried(member, slot, *fault);
                self.agree(table.retried(SlotId(slot as u32), *fault), Ok(()))?;
            }
            Step::Figures {
                bytes,
                requests,
                group,
            } => {
                let (bytes, requests) = (*bytes >> 8, *requests >> 8);
                let figures = &mut self.processes[by].figures;
                *figures = (figures.0 + bytes, figures.1 + requests, *group);
                self.agree(table.add_figures(bytes, requests, 0), Ok(()))?;
                self.agree(table.set_group(*group), Ok(()))?;
            }
            Step::Planned { products } => {
                self.model.planned(member, *products);
                self.agree(table.planned((*products).into()), Ok(()))?;
            }
            Step::Stop => {
                self.model.phase = Phase::Stopping;
                self.agree(table.set_phase(Phase::Stopping), Ok(()))?;
            }
            Step::ReadEvents => self.read_events()?,
        }
        Ok(())
    }

    fn register_job(
        &mut self,
        by: usize,
        name: &str,
        task: u32,
        inputs: &[u8],
        payload: Vec<u8>,
        ended: Option<(Result<(), Fault>, &[u8])>,
    ) -> Told {
        // Now and then a slot that is not there.
        let objects = self.model.objects.len();
        let pick = |s: &u8| usize::from(*s) % (objects + usize::from(*s > 250)).max(1);
        let inputs: Vec<usize> = inputs
            .iter()
            .filter(|s| objects > 0 || **s > 250)
            .map(pick)
            .collect();
        let slots: Vec<SlotId> = inputs.iter().map(|s| SlotId(*s as u32)).collect();
        let spec = JobSpec {
            name,
            task,
            inputs: &slots,
            payload: &payload,
        };
        let Process { table, member, .. } = &self.processes[by];
        let told = match ended {
            None => table.register_job(&spec),
            Some((outcome, result)) => table.register_ended_job(&spec, outcome, result),
        };
        let new = Job::new(name, task, inputs, payload.clone());
        let model = self.model.register_job(*member, new, ended);
        self.agree(told.map(|job| job.0 as usize), model)?;
        Ok(())
    }

    fn claim_object(&mut self, by: usize, slot: usize) -> Told {
        let Process { table, member, .. } = &self.processes[by];
        let told = table.claim_object(SlotId(slot as u32));
        let model = self.model.claim_object(*member, slot);
        if let Ok(Some(claim)) = &told {
            self.objects.push((by, *claim));
        }
        self.agree(told.map(|claim| claim.map(|c| c.attempt)), Ok(model))?;
        Ok(())
    }

    fn use_object(&mut self, who: u8, step: &Step) -> Told {
        let (Step::PublishObject { claim, .. }
        | Step::FailObject { claim, .. }
        | Step::ReleaseObject(claim)
        | Step::PublishRange { claim, .. }
        | Step::ForgetLanded(claim)) = step
        else {
            return Ok(());
        };
        let Some((by, claim)) = self.object_claim(who, *claim) else {
            return Ok(());
        };
        let Process { table, member, .. } = &self.processes[by];
        let (table, member) = (table.clone(), *member);
        let size = self.model.objects[claim.slot.0 as usize].size;
        let (told, model) = match step {
            Step::PublishObject { fetched, .. } => (
                table.publish_object(claim, *fetched),
                self.model.end_object(member, claim, End::Ready(*fetched)),
            ),
            Step::FailObject { fault, .. } => (
                table.fail_object(claim, *fault),
                self.model.end_object(member, claim, End::Failed(*fault)),
            ),
            Step::PublishRange { from, to, .. } => {
                let range = ByteRange::new(place(*from, size), place(*to, size));
                (
                    table.publish_range(claim, range),
                    self.model.land(member, claim, range),
                )
            }
            Step::ForgetLanded(_) => {
                self.model.forget(member, claim);
                (table.forget_landed(claim).map(|()| true), true)
            }
            _ => (
                table.release_object(claim),
                self.model.end_object(member, claim, End::Released),
            ),
        };
        self.agree(told, Ok(model))?;
        Ok(())
    }

    fn use_job(&mut self, who: u8, step: &Step) -> Told {
        let (Step::SetResult { claim, .. }
        | Step::FinishJob { claim, .. }
        | Step::PostponeJob { claim, .. }
        | Step::HandOver { claim }) = step
        else {
            return Ok(());
        };
        let Some((by, claim)) = self.job_claim(who, *claim) else {
            return Ok(());
        };
        let Process { table, member, .. } = &self.processes[by];
        let (table, member) = (table.clone(), *member);
        match step {
            Step::SetResult { text, .. } => {
                let text = vec![b's'; LENGTHS[*text]];
                let model = self.model.set_result(member, claim, &text);
                self.agree(table.set_job_result(claim, &text), model)?;
            }
            Step::PostponeJob { fault, .. } => {
                let model = self.model.postpone_job(member, claim, *fault);
                self.agree(table.postpone_job(claim, *fault), Ok(model))?;
            }
            Step::HandOver { .. } => self.hand_over(by, claim)?,
            Step::FinishJob { fault, .. } => {
                let outcome = fault.map_or(Ok(()), Err);
                let model = self.model.finish_job(member, claim, outcome);
                self.agree(table.finish_job(claim, outcome), Ok(model))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn come_and_go(&mut self, by: usize, step: &Step) -> Told {
        let Process { table, member, .. } = &self.processes[by];
        let (table, member) = (table.clone(), *member);
        match step {
            Step::Join { worker } => {
                let role = if *worker {
                    Role::Worker
                } else {
                    Role::Downloader
                };
                let fresh = Table::attach(Path::new(&table.path()), true).unwrap();
                let told = fresh.join(role);
                let model = self.model.join(role);
                let owner = told.as_ref().ok().map(Table::me);
                self.agree(
                    told.as_ref().map(Table::me).map_err(copy),
                    model.map(|m| m.owner),
                )?;
                if let (Ok(table), Ok(member), Some(_)) = (told, model, owner) {
                    self.processes.push(Process {
                        table,
                        member,
                        alive: true,
                        figures: (0, 0, 0),
                    });
                }
            }
            Step::Die {
                who,
                others,
                attempts,
            } => {
                // The sweeper lives; the others may die alone or two at once.
                let dying: Vec<usize> = (0..self.processes.len())
                    .filter(|i| *i != by && self.processes[*i].alive)
                    .filter(|i| *others || *i % 4 == usize::from(*who) % 4)
                    .collect();
                let dead: Vec<_> = dying
                    .iter()
                    .map(|i| self.processes[*i].member.owner)
                    .collect();
                for i in dying {
                    self.processes[i].alive = false;
                }
                let model = self.model.sweep(member, &dead, *attempts);
                self.agree(table.sweep_dead(&dead, *attempts), Ok(model))?;
                // Once more: the names of the dead mean nobody now.
                self.agree(table.sweep_dead(&dead, *attempts), Ok(Default::default()))?;
            }
            Step::Sweep { attempts } => {
                let model = self.model.sweep(member, &[], *attempts);
                self.agree(table.sweep(*attempts), Ok(model))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Reads all events and compares those that the ring still held.
    fn read_events(&mut self) -> Told {
        let ring = self.model.limits.events as usize;
        let behind = self.model.events.len() - self.passed;
        if behind > ring {
            self.lost += (behind - ring) as u64;
            self.passed += behind - ring;
        }
        while let Some(event) = self.events.next(&self.reader).map_err(|e| e.to_string())? {
            let note = event.kind == EventKind::Note;
            let text = match note {
                true => Some(self.reader.note_text(&event).map_err(|e| e.to_string())?),
                false => None,
            };
            let happened = Happened {
                kind: event.kind,
                role: event.role,
                process: event.process,
                id: event.id,
                value: if note { 0 } else { event.value },
                text,
            };
            same("event", Some(&happened), self.model.events.get(self.passed))?;
            self.passed += 1;
        }
        same("events read", self.passed, self.model.events.len())?;
        same("events lost", self.events.lost(), self.lost)
    }
}

fn copy(error: &TableError) -> TableError {
    match error {
        TableError::Full { what, limit } => TableError::Full {
            what,
            limit: *limit,
        },
        other => TableError::NotATable {
            why: other.to_string(),
        },
    }
}
