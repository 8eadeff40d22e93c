//! What a scenario is written with.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::model;
use crate::table::{JobId, JobSpec, ObjectSpec, SlotId, Table};
use crate::values::{Limits, Role};

/// One scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// Its name in reports.
    pub name: &'static str,
    /// What happens: sets the table up, lets processes race, and looks at what they left.
    pub body: fn(&mut World),
    /// Preemptions up to which every schedule is run.
    pub preemptions: usize,
    /// Whether those schedules switch before every access, not only before the moves.
    pub fine: bool,
    /// Whether one of its processes is mortal: then it is also run with every possible death.
    pub deaths: bool,
}

type Life = Box<dyn FnOnce() + Send>;

/// The table of a scenario and the processes that will race for it.
pub struct World {
    /// The coordinator's handle.
    pub table: Table,
    lives: Vec<Life>,
}

/// Small, so that an execution costs little.
pub const LIMITS: Limits = Limits {
    objects: 32,
    jobs: 200,
    inputs: 64,
    text_bytes: 4096,
    grain_words: 16,
    processes: 8,
    events: 64,
};

impl World {
    pub fn new(limits: Limits) -> World {
        World {
            table: Table::create(limits).unwrap(),
            lives: Vec::new(),
        }
    }

    /// Replaces the table by one with other limits.
    pub fn with_limits(&mut self, limits: Limits) {
        self.table = Table::create(limits).unwrap();
    }

    fn add(&mut self, pid: u32, role: Role, life: impl FnOnce(Table) + Send + 'static) -> u32 {
        let table = model::acting_as(pid, || self.table.join(role)).unwrap();
        self.lives.push(Box::new(move || life(table)));
        pid
    }

    /// Adds a process that has joined; returns its pid.
    pub fn process(
        &mut self,
        name: &'static str,
        life: impl FnOnce(Table) + Send + 'static,
    ) -> u32 {
        let pid = model::add_task(name, None, false);
        self.add(pid, Role::Worker, life)
    }

    /// Adds a process that dies wherever the run says.
    pub fn mortal(&mut self, name: &'static str, life: impl FnOnce(Table) + Send + 'static) -> u32 {
        let pid = model::add_task(name, None, true);
        self.add(pid, Role::Worker, life)
    }

    /// Adds a task with a handle of its own making, of a new process or a further thread of `pid`.
    pub fn thread(
        &mut self,
        name: &'static str,
        pid: Option<u32>,
        life: impl FnOnce() + Send + 'static,
    ) -> u32 {
        let pid = model::add_task(name, pid, false);
        self.lives.push(Box::new(life));
        pid
    }

    /// Adds a process that sweeps once `pid` has ended, as the coordinator does.
    pub fn sweeper(&mut self, pid: u32) {
        self.process("sweeper", move |table| {
            model::await_end(pid);
            table.sweep(ATTEMPTS).unwrap();
        });
    }

    /// Lets all processes added since the last time run to their end, in some order.
    pub fn race(&mut self) {
        let lives = std::mem::take(&mut self.lives);
        let count = lives.len();
        let handles: Vec<_> = lives
            .into_iter()
            .map(|life| shuttle::thread::spawn(move || live(life)))
            .collect();
        model::race(count);
        for handle in handles {
            let _ = handle.join();
        }
    }
}

/// After how many deaths of its worker a job is given up.
pub const ATTEMPTS: u32 = 3;

/// Runs a task; a death is no failure, any other panic is.
fn live(life: Life) {
    while !model::racing() {
        shuttle::thread::yield_now();
    }
    if let Err(payload) = catch_unwind(AssertUnwindSafe(life))
        && !payload.is::<model::Ended>()
    {
        model::fail(crate::explore::said(&*payload));
    }
    model::finish();
}

pub fn object(table: &Table, key: &str, size: u64) -> SlotId {
    let etag = None;
    table
        .register_object(&ObjectSpec { key, size, etag })
        .unwrap()
}

pub fn job(table: &Table, name: &str, inputs: &[SlotId]) -> JobId {
    table
        .register_job(&JobSpec {
            name,
            task: 0,
            inputs,
            payload: b"{}",
        })
        .unwrap()
}

/// Claims an object and publishes it; whether it was this call that did.
pub fn fetch(table: &Table, slot: SlotId) -> bool {
    match table.claim_object(slot).unwrap() {
        Some(claim) => table.publish_object(claim, 1).unwrap(),
        None => false,
    }
}
