//! Who is attached: a record for each process, and the phases of a run.
//!
//! A record belongs to the pid and start time in its second word. It is taken by one
//! compare-and-swap of that word from 0; then the taker, and nobody else, raises the generation
//! and writes its role, so that an owner never comes to mean another process. The sweep gives it
//! back: it takes the role away, which only one sweep can, and then the pid and start time.

use std::time::Duration;

use crate::sys::clock::now_ns;
use crate::sys::death;
use crate::sys::proc;
use crate::sys::seeded::Seed;
use crate::sys::sync::{AtomicU64, Ordering, seeded};
use crate::values::clock::Deadline;
use crate::values::{Owner, Role};

use super::bell::Bell;
use super::error::{Result, TableError};
use super::handle::Table;
use super::layout::{LINE, header};

const GENERATION_AND_ROLE: u64 = 0;
const IDENTITY: u64 = 8;
const GROUP: u64 = 16;
const BYTES: u64 = 24;
const REQUESTS: u64 = 32;
const BUSY_NS: u64 = 40;

const PID_BITS: u32 = 22;

/// How far the run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u64)]
pub enum Phase {
    /// The planner still registers jobs.
    Planning = 0,
    /// All jobs are registered.
    Planned = 1,
    /// What runs is finished, and no job is begun.
    Finishing = 2,
    /// The run is being stopped.
    Stopping = 3,
}

/// What a process's record says, for reports.
#[derive(Clone, Copy, Debug)]
pub struct ProcessView {
    /// Who it is.
    pub owner: Owner,
    /// What it is for.
    pub role: Role,
    /// Its process id.
    pub pid: u32,
    /// The process group of the command that it runs, or 0.
    pub group: u32,
    /// Bytes fetched so far.
    pub bytes: u64,
    /// Requests made so far.
    pub requests: u64,
    /// Nanoseconds spent with something to do.
    pub busy_ns: u64,
}

/// pid and start time in one word.
fn identity(pid: u32, start: u64) -> u64 {
    u64::from(pid) & ((1 << PID_BITS) - 1) | start << PID_BITS
}

fn pid_of(identity: u64) -> u32 {
    (identity & ((1 << PID_BITS) - 1)) as u32
}

pub(crate) fn identity_of_this_process() -> Result<u64> {
    let pid = proc::id();
    let start = proc::start_time(pid).ok_or(TableError::NotATable {
        why: "/proc is not mounted, so processes cannot be told apart".into(),
    })?;
    Ok(identity(pid, start))
}

/// Whether the process that an identity names still lives.
pub(crate) fn identity_lives(id: u64, start_time: impl Fn(u32) -> Option<u64>) -> bool {
    start_time(pid_of(id)).is_some_and(|start| identity(pid_of(id), start) == id)
}

impl Table {
    pub(crate) const JOBS_BELL: Bell = Bell {
        count: header::JOBS_BELL,
        sleepers: header::JOBS_SLEEPERS,
    };
    pub(crate) const FETCH_BELL: Bell = Bell {
        count: header::FETCH_BELL,
        sleepers: header::FETCH_SLEEPERS,
    };
    pub(crate) const UPLOADS_BELL: Bell = Bell {
        count: header::UPLOADS_BELL,
        sleepers: header::UPLOADS_SLEEPERS,
    };

    fn field(&self, index: u32, field: u64) -> Result<&AtomicU64> {
        if index >= self.mem.layout.limits.processes {
            return Err(TableError::corrupt("process", index.into()));
        }
        self.mem
            .word(self.mem.layout.processes.offset + u64::from(index) * LINE + field)
    }

    /// Takes a record for this process; the returned handle can claim work.
    pub fn join(&self, role: Role) -> Result<Table> {
        self.mem.writable()?;
        let id = identity_of_this_process()?;
        let limit = self.mem.layout.limits.processes;
        for index in 0..limit {
            let word = self.field(index, IDENTITY)?;
            if word
                .compare_exchange(0, id, Ordering::SeqCst, Ordering::SeqCst)
                .is_err()
            {
                continue;
            }
            death::point("record-taken");
            let head = self.field(index, GENERATION_AND_ROLE)?;
            // Generations go round after a million uses of one record, and are never 0: record 0
            // of generation 0 would be nobody.
            let before = (head.load(Ordering::SeqCst) >> 8) as u32 & 0xf_ffff;
            let raised = before % 0xf_ffff + u32::from(!seeded(Seed::GenerationKept));
            let generation = raised.max(1);
            head.store(u64::from(generation) << 8 | role as u64, Ordering::SeqCst);
            for field in [GROUP, BYTES, REQUESTS, BUSY_NS] {
                self.field(index, field)?.store(0, Ordering::SeqCst);
            }
            let table = Table {
                me: Owner::new(index, generation),
                role,
                ..self.clone()
            };
            table.tell_joined()?;
            return Ok(table);
        }
        Err(TableError::Full {
            what: "processes",
            limit: limit.into(),
        })
    }

    /// Who this handle is in the table; nobody for one that has not joined.
    pub fn me(&self) -> Owner {
        self.me
    }

    /// Errors unless this handle may claim work.
    pub(crate) fn joined(&self) -> Result<Owner> {
        self.mem.writable()?;
        if self.me.is_none() {
            Err(TableError::NotJoined)
        } else {
            Ok(self.me)
        }
    }

    /// Whether the coordinator still lives.
    pub fn coordinator_lives(&self) -> bool {
        identity_lives(self.coordinator, proc::start_time)
    }

    /// Gives a dead process's record back. Its work must have been swept.
    pub(crate) fn free_record(&self, owner: Owner) -> Result<bool> {
        let head = self.field(owner.index(), GENERATION_AND_ROLE)?;
        let seen = head.load(Ordering::SeqCst);
        let identity = self.field(owner.index(), IDENTITY)?;
        let id = identity.load(Ordering::SeqCst);
        if id == 0 || Owner::new(owner.index(), (seen >> 8) as u32) != owner {
            return Ok(false);
        }
        let without_role = seen & !0xff;
        let mine = if seen == without_role {
            // Another sweep is giving it back, or somebody is taking it; either may have died.
            !identity_lives(id, proc::start_time)
        } else {
            head.compare_exchange(seen, without_role, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        };
        if !mine {
            return Ok(false);
        }
        // Nobody changes the figures of the dead, and the next holder sets them to 0.
        let role = Role::from_bits(seen as u8);
        let figures = self.figures_in(owner.index())?;
        let freed = identity
            .compare_exchange(id, 0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok();
        if let (true, Some(role)) = (freed, role) {
            self.keep_figures(role, figures)?;
        }
        Ok(freed)
    }

    /// Bytes, requests and nanoseconds in a record.
    fn figures_in(&self, index: u32) -> Result<[u64; 3]> {
        let get = |field| Ok::<u64, TableError>(self.field(index, field)?.load(Ordering::Relaxed));
        Ok([get(BYTES)?, get(REQUESTS)?, get(BUSY_NS)?])
    }

    /// Who holds a record, with its pid and start time and its role; `None` if nobody does.
    fn holder(&self, index: u32) -> Result<Option<(Owner, u64, u8)>> {
        let identity = self.field(index, IDENTITY)?;
        let id = identity.load(Ordering::SeqCst);
        let head = self
            .field(index, GENERATION_AND_ROLE)?
            .load(Ordering::SeqCst);
        // The generation is this holder's only if it still holds the record.
        if id == 0 || identity.load(Ordering::SeqCst) != id {
            return Ok(None);
        }
        Ok(Some((
            Owner::new(index, (head >> 8) as u32),
            id,
            head as u8,
        )))
    }

    /// All processes that have a record.
    pub fn processes(&self) -> Result<Vec<ProcessView>> {
        let mut all = Vec::new();
        for index in 0..self.mem.layout.limits.processes {
            let Some((owner, id, role)) = self.holder(index)? else {
                continue;
            };
            let [bytes, requests, busy_ns] = self.figures_in(index)?;
            all.push(ProcessView {
                owner,
                role: Role::from_bits(role).unwrap_or(Role::Stranger),
                pid: pid_of(id),
                group: self.field(index, GROUP)?.load(Ordering::Relaxed) as u32,
                bytes,
                requests,
                busy_ns,
            });
        }
        Ok(all)
    }

    /// The strangers who have died: nobody holds a pidfd of them, so somebody has to look.
    pub fn dead_strangers(&self) -> Result<Vec<Owner>> {
        let mut strangers = self.processes()?;
        strangers.retain(|process| process.role == Role::Stranger);
        if strangers.is_empty() {
            return Ok(Vec::new());
        }
        let mut dead = self.dead()?;
        dead.retain(|owner| strangers.iter().any(|stranger| stranger.owner == *owner));
        Ok(dead)
    }

    /// The processes whose record is taken and who no longer live.
    pub(crate) fn dead(&self) -> Result<Vec<Owner>> {
        let mut dead = Vec::new();
        for index in 0..self.mem.layout.limits.processes {
            let id = self.field(index, IDENTITY)?.load(Ordering::SeqCst);
            if id == 0 || identity_lives(id, proc::start_time) {
                continue;
            }
            // The name after the death: a process may have died while it took the record.
            if let Some((owner, same, _)) = self.holder(index)?
                && same == id
            {
                dead.push(owner);
            }
        }
        Ok(dead)
    }

    /// Notes the process group of the command that this process runs, 0 for none, so that the
    /// coordinator can end the command if this process dies.
    pub fn set_group(&self, group: u32) -> Result<()> {
        self.field(self.joined()?.index(), GROUP)?
            .store(group.into(), Ordering::SeqCst);
        Ok(())
    }

    /// Adds to this process's figures: bytes fetched, requests made, nanoseconds busy.
    pub fn add_figures(&self, bytes: u64, requests: u64, busy_ns: u64) -> Result<()> {
        let index = self.joined()?.index();
        for (field, n) in [(BYTES, bytes), (REQUESTS, requests), (BUSY_NS, busy_ns)] {
            if n != 0 {
                self.field(index, field)?.fetch_add(n, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// How far the run has come.
    pub fn phase(&self) -> Result<Phase> {
        match self.mem.word(header::PHASE)?.load(Ordering::SeqCst) {
            0 => Ok(Phase::Planning),
            1 => Ok(Phase::Planned),
            2 => Ok(Phase::Finishing),
            3 => Ok(Phase::Stopping),
            other => Err(TableError::corrupt("phase", other)),
        }
    }

    /// Moves the run on; it never goes back. Everybody who sleeps on a bell looks again, and when
    /// the run stops, everybody who waits for an object.
    pub fn set_phase(&self, phase: Phase) -> Result<()> {
        self.mem.writable()?;
        self.mem
            .word(header::PHASE)?
            .fetch_max(phase as u64, Ordering::SeqCst);
        if seeded(Seed::PhaseSilent) {
            return Ok(());
        }
        if phase == Phase::Stopping {
            self.end_waits()?;
        }
        self.ring_all()
    }

    /// Rings all bells for everybody.
    pub fn ring_all(&self) -> Result<()> {
        self.mem.writable()?;
        Table::JOBS_BELL.ring(&self.mem, u32::MAX)?;
        Table::UPLOADS_BELL.ring(&self.mem, u32::MAX)?;
        Table::FETCH_BELL.ring(&self.mem, u32::MAX)
    }

    /// How often the bell for wanted objects was rung so far. Who remembers it from before its
    /// last look, and stays awake if it has changed, misses no ring between look and sleep.
    pub fn wanted_rings(&self) -> Result<u64> {
        let count = self.mem.word(Table::FETCH_BELL.count)?;
        Ok(count.load(Ordering::SeqCst))
    }

    /// Sleeps until an object may be wanted, the phase changes, or `timeout` passes.
    /// `awake` is asked last, and true keeps from sleeping.
    pub fn sleep_until_wanted(
        &self,
        timeout: Duration,
        awake: impl FnOnce() -> Result<bool>,
    ) -> Result<()> {
        self.mem.writable()?;
        let until = Deadline::NEVER.or_within(now_ns(), timeout);
        Table::FETCH_BELL.sleep(&self.mem, Some(until), awake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Limits;

    #[test]
    fn a_pid_used_again_is_not_the_same_process() {
        let id = identity(1234, 99);
        assert!(identity_lives(id, |pid| (pid == 1234).then_some(99)));
        assert!(!identity_lives(id, |pid| (pid == 1234).then_some(100)));
        assert!(!identity_lives(id, |_| None));
    }

    #[test]
    fn records_are_taken_freed_and_named_anew() {
        let table = Table::create(Limits::for_objects(64)).unwrap();
        let one = table.join(Role::Worker).unwrap();
        one.add_figures(5, 1, 7).unwrap();
        let seen = table.processes().unwrap();
        let mine = seen.iter().find(|p| p.owner == one.me()).unwrap();
        assert_eq!(
            (mine.role, mine.bytes, mine.pid),
            (Role::Worker, 5, std::process::id())
        );
        table.free_record(one.me()).unwrap();
        let two = table.join(Role::Planner).unwrap();
        assert_eq!(two.me().index(), one.me().index());
        assert_ne!(two.me(), one.me());
        table.free_record(one.me()).unwrap();
        assert!(
            table
                .processes()
                .unwrap()
                .iter()
                .any(|p| p.owner == two.me())
        );
    }

    #[test]
    fn phases_only_go_on() {
        let table = Table::create(Limits::for_objects(64)).unwrap();
        table.set_phase(Phase::Stopping).unwrap();
        table.set_phase(Phase::Planned).unwrap();
        assert_eq!(table.phase().unwrap(), Phase::Stopping);
    }
}
