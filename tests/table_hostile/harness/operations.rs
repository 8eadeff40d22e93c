//! Every public operation of the table, each with arguments that the dice choose.

use std::time::Duration;

use cotec::table::{
    EventReader, JobClaim, JobId, JobSpec, ObjectClaim, ObjectSpec, Phase, SlotId, Table,
    TableError,
};
use cotec::values::clock::Deadline;
use cotec::values::{ByteRange, Fault, FaultCode, Role};

use super::arena::Arena;
use super::dice::Dice;

/// What an operation works with.
pub struct Ground<'a> {
    pub arena: &'a Arena,
    pub dice: Dice,
    pub reader: EventReader,
    pub cursor: u32,
    pub objects: Vec<ObjectClaim>,
    pub jobs: Vec<JobClaim>,
}

type Answer = Result<(), TableError>;
pub type Operation = (&'static str, fn(&mut Ground, &Table) -> Answer);

const NOW: Option<Duration> = Some(Duration::ZERO);
const M: u64 = 1 << 20;

impl Ground<'_> {
    fn number(&mut self) -> u32 {
        match self.dice.below(32) {
            0 => self.dice.next() as u32,
            1 => 40,
            _ => self.dice.below(40) as u32,
        }
    }

    fn slot(&mut self) -> SlotId {
        SlotId(self.number())
    }

    fn job(&mut self) -> JobId {
        JobId(self.number())
    }

    fn key(&mut self) -> String {
        let i = self.dice.below(40);
        if self.dice.one_in(6) {
            return "k".repeat(i as usize * 11);
        }
        format!("tiles/29/T/NF/2026/11/{i}/B{i:02}.jp2")
    }

    fn range(&mut self) -> ByteRange {
        let at = self.dice.below(80) * M;
        let len = self.dice.pick(&[0, 1, M, 30 * M, u64::MAX >> 1]);
        ByteRange::new(at, at + len)
    }

    fn fault(&mut self) -> Fault {
        Fault::new(self.dice.pick(&FaultCode::ALL), self.dice.next() as u32)
    }

    /// A claim that the worker holds, or one that nobody ever gave it.
    fn object_claim(&mut self) -> ObjectClaim {
        match self.objects.len() as u64 {
            n if n > 0 && !self.dice.one_in(8) => self.objects[self.dice.below(n) as usize],
            _ => ObjectClaim {
                slot: self.slot(),
                attempt: self.dice.below(4) as u32,
            },
        }
    }

    fn job_claim(&mut self) -> JobClaim {
        match self.jobs.len() as u64 {
            n if n > 0 && !self.dice.one_in(8) => self.jobs[self.dice.below(n) as usize],
            _ => JobClaim {
                job: self.job(),
                attempt: self.dice.below(4) as u32,
            },
        }
    }

    fn register_job(&mut self, t: &Table, ended: Option<(Result<(), Fault>, &[u8])>) -> Answer {
        let name = format!("ndvi/product-{}", self.dice.below(40));
        let inputs: Vec<SlotId> = (0..self.dice.below(5)).map(|_| self.slot()).collect();
        let payload = vec![b'x'; self.dice.below(300) as usize];
        let spec = JobSpec {
            name: &name,
            task: 3,
            inputs: &inputs,
            payload: &payload,
        };
        match ended {
            None => t.register_job(&spec),
            Some((outcome, result)) => t.register_ended_job(&spec, outcome, result),
        }
        .map(drop)
    }
}

/// Looks at everything in a table.
fn look(t: &Table) -> Answer {
    let mut last = Ok(());
    for i in 0..t.objects_len()?.min(100) {
        let slot = SlotId(i);
        let all = [
            t.object(slot).map(drop),
            t.object_state(slot).map(drop),
            t.ranges_ready(slot).map(drop),
        ];
        last = all.into_iter().fold(last, Result::and);
    }
    for i in 0..t.jobs_len()?.min(100) {
        let job = JobId(i);
        let all = [
            t.job(job).map(drop),
            t.job_inputs(job).map(drop),
            t.job_payload(job).map(drop),
            t.job_result(job).map(drop),
        ];
        last = all.into_iter().fold(last, Result::and);
    }
    last.and(t.count_objects().map(drop))
        .and(t.count_jobs().map(drop))
}

/// Operations that make a few system calls; each runs in one case of eight.
pub const SLOW: [Operation; 6] = [
    ("attach", |g, _| {
        let writable = g.dice.one_in(2);
        look(&g.arena.attach(writable)?)
    }),
    ("attach and join", |g, _| {
        g.arena
            .attach(true)?
            .join(Role::Stranger)?
            .claim_job()
            .map(drop)
    }),
    ("join", |_, t| t.join(Role::Downloader).map(drop)),
    ("sweep", |_, t| t.sweep(2).map(drop)),
    ("coordinator_lives", |_, t| {
        t.coordinator_lives();
        Ok(())
    }),
    ("sleep_until_job", |_, t| {
        t.sleep_until_job(Deadline::NEVER, Duration::ZERO)
    }),
];

pub const QUICK: [Operation; 69] = [
    ("look", |_, t| look(t)),
    ("object", |g, t| t.object(g.slot()).map(drop)),
    ("object_state", |g, t| t.object_state(g.slot()).map(drop)),
    ("object_attempt", |g, t| {
        t.object_attempt(g.slot()).map(drop)
    }),
    ("object_fault", |g, t| t.object_fault(g.slot()).map(drop)),
    ("key", |g, t| t.key(g.slot()).map(drop)),
    ("size", |g, t| t.size(g.slot()).map(drop)),
    ("etag", |g, t| t.etag(g.slot()).map(drop)),
    ("find_object", |g, t| t.find_object(&g.key()).map(drop)),
    ("ranges_ready", |g, t| t.ranges_ready(g.slot()).map(drop)),
    ("register_object", |g, t| {
        let (key, etag) = (g.key(), g.key());
        let size = g.dice.pick(&[0, M, 70 * M, u64::MAX]);
        t.register_object(&ObjectSpec {
            key: &key,
            size,
            etag: Some(&etag),
        })
        .map(drop)
    }),
    ("register_objects", |g, t| {
        let keys: Vec<String> = (0..40).map(|_| g.key()).collect();
        let specs: Vec<ObjectSpec<'_>> = (keys.iter())
            .map(|key| ObjectSpec {
                key,
                size: 70 * M,
                etag: Some("an etag"),
            })
            .collect();
        t.register_objects(&specs, &mut Vec::new())
    }),
    ("register_object again", |g, t| {
        t.register_object(&ObjectSpec {
            key: &g.key(),
            size: 1,
            etag: None,
        })
        .map(drop)
    }),
    ("register_inputs", |g, t| {
        let keys: Vec<String> = (0..40).map(|_| g.key()).collect();
        let specs: Vec<ObjectSpec<'_>> = (keys.iter())
            .map(|key| ObjectSpec {
                key,
                size: 1,
                etag: None,
            })
            .collect();
        t.register_inputs(&specs, &mut Vec::new())
    }),
    ("want", |g, t| t.want(g.slot())),
    ("want_for_jobs", |g, t| t.want_for_jobs(g.slot())),
    ("is_for_jobs", |g, t| t.is_for_jobs(g.slot()).map(drop)),
    ("next_wanted", |g, t| {
        for _ in 0..3 {
            t.next_wanted(&mut g.cursor)?;
        }
        Ok(())
    }),
    ("next_wanted from a wild cursor", |g, t| {
        t.next_wanted(&mut (g.dice.next() as u32)).map(drop)
    }),
    ("claim_object", |g, t| {
        let claim = t.claim_object(g.slot())?;
        g.objects.extend(claim);
        Ok(())
    }),
    ("claim_object twice", |g, t| {
        let mut cursor = 0;
        while let Some(slot) = t.next_wanted(&mut cursor)? {
            if let Some(claim) = t.claim_object(slot)? {
                g.objects.push(claim);
                break;
            }
        }
        Ok(())
    }),
    ("publish_range", |g, t| {
        t.publish_range(g.object_claim(), g.range()).map(drop)
    }),
    ("forget_landed", |g, t| t.forget_landed(g.object_claim())),
    ("publish_object", |g, t| {
        t.publish_object(g.object_claim(), 9).map(drop)
    }),
    ("fail_object", |g, t| {
        t.fail_object(g.object_claim(), g.fault()).map(drop)
    }),
    ("release_object", |g, t| {
        t.release_object(g.object_claim()).map(drop)
    }),
    ("evict", |g, t| t.evict(g.slot()).map(drop)),
    ("retried", |g, t| t.retried(g.slot(), g.fault())),
    ("wait", |g, t| t.wait(g.slot(), NOW).map(drop)),
    ("wait_range", |g, t| {
        t.wait_range(g.slot(), g.range(), NOW).map(drop)
    }),
    ("wait_any", |g, t| {
        let slots: Vec<SlotId> = (0..g.dice.below(140)).map(|_| g.slot()).collect();
        t.wait_any(&slots, NOW).map(drop)
    }),
    ("wait a little", |g, t| {
        let slot = g.slot();
        if g.dice.one_in(64) {
            t.wait(slot, Some(Duration::from_micros(50)))?;
        }
        Ok(())
    }),
    ("job", |g, t| t.job(g.job()).map(drop)),
    ("job_state", |g, t| t.job_state(g.job()).map(drop)),
    ("job_name", |g, t| t.job_name(g.job()).map(drop)),
    ("job_payload", |g, t| t.job_payload(g.job()).map(drop)),
    ("job_result", |g, t| t.job_result(g.job()).map(drop)),
    ("job_task", |g, t| t.job_task(g.job()).map(drop)),
    ("job_fault", |g, t| t.job_fault(g.job()).map(drop)),
    ("job_inputs", |g, t| t.job_inputs(g.job()).map(drop)),
    ("find_job", |g, t| {
        t.find_job(&format!("ndvi/product-{}", g.dice.below(40)))
            .map(drop)
    }),
    ("register_job", |g, t| g.register_job(t, None)),
    ("register_ended_job", |g, t| {
        let fault = g.fault();
        let outcome = g.dice.pick(&[Ok(()), Err(fault)]);
        g.register_job(t, Some((outcome, b"no band")))
    }),
    ("claim_job", |g, t| {
        let claim = t.claim_job()?;
        g.jobs.extend(claim);
        Ok(())
    }),
    ("claim_job until none is left", |g, t| {
        for _ in 0..50 {
            match t.claim_job()? {
                Some(claim) => g.jobs.push(claim),
                None => break,
            }
        }
        Ok(())
    }),
    ("set_job_result", |g, t| {
        t.set_job_result(g.job_claim(), b"{\"width\":2}")
    }),
    ("finish_job", |g, t| {
        t.finish_job(g.job_claim(), Ok(())).map(drop)
    }),
    ("hand_over_job", |g, t| {
        t.hand_over_job(g.job_claim()).map(drop)
    }),
    ("claim_upload", |g, t| t.claim_upload(g.job()).map(drop)),
    ("sleep_until_upload", |_, t| {
        t.sleep_until_upload(std::time::Duration::ZERO)
    }),
    ("postpone_job", |g, t| {
        let fault = g.fault();
        t.postpone_job(g.job_claim(), fault).map(drop)
    }),
    ("admit_job", |g, t| t.admit_job(g.job())),
    ("hold_jobs", |g, t| match g.dice.one_in(8) {
        true => t.hold_jobs(),
        false => t.is_admitted(g.job()).map(drop),
    }),
    ("refuse_job", |g, t| {
        let fault = g.fault();
        t.refuse_job(g.job(), fault).map(drop)
    }),
    ("is_needed", |g, t| {
        t.is_needed(g.slot()).and(t.has_jobs(g.slot())).map(drop)
    }),
    ("await_room", |g, t| t.await_room(g.dice.one_in(2))),
    ("look_on", |g, t| t.look_on(g.job_claim().job)),
    ("finish_job badly", |g, t| {
        t.finish_job(g.job_claim(), Err(g.fault())).map(drop)
    }),
    ("finished", |_, t| t.finished().map(drop)),
    ("sweep_dead", |g, t| {
        let dead = [g.arena.handles[g.dice.below(2) as usize].me()];
        t.sweep_dead(&dead, g.dice.below(3) as u32).map(drop)
    }),
    ("phase", |_, t| t.phase().map(drop)),
    ("set_phase", |g, t| {
        use Phase::{Finishing, Planned, Planning, Stopping};
        t.set_phase(g.dice.pick(&[Planning, Planned, Finishing, Stopping]))
    }),
    ("planned", |_, t| t.planned(3)),
    ("processes", |_, t| t.processes().map(drop)),
    ("figures", |g, t| {
        t.set_group(g.number())?;
        t.add_figures(1, 2, 3)
    }),
    ("note", |g, t| {
        let text = "n".repeat(g.dice.below(90) as usize);
        t.note(&text).and(t.complain(&text))
    }),
    ("events", |g, t| {
        for _ in 0..64 {
            match g.reader.next(t)? {
                Some(event) => {
                    let _ = t.note_text(&event);
                }
                None => break,
            }
        }
        Ok(())
    }),
    ("ring_all and sleep_until_wanted", |_, t| {
        t.ring_all()?;
        t.sleep_until_wanted(Duration::ZERO, || Ok(false))
    }),
    ("created_ns", |_, t| {
        t.limits();
        t.created_ns().map(drop)
    }),
];
