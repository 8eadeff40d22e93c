//! The cases. The process of a case creates the table and is its coordinator.

use std::time::Duration;

use cotec::sys::fork::fork;
use cotec::sys::pidfd::{Child, Ended};
use cotec::table::{
    JobClaim, JobId, JobSpec, ObjectClaim, ObjectSpec, Outcome, Phase, SlotId, Table, TableError,
};
use cotec::values::{ByteRange, Fault, FaultCode, JobState, Limits, ObjectState, Role};
use rustix::process::Signal;

use super::forks::{
    a_panic_is_an_exit_status, a_signal_for_the_group_ends_no_command_that_begins,
    no_fork_with_threads,
};
use super::helpers::{child, end, until, well};
use super::runner::Case;

/// Each case under its function's name.
macro_rules! cases {
    ($($name:ident)*) => { &[$((stringify!($name), $name)),*] };
}

pub const CASES: &[Case] = cases! {
    a_publish_wakes_a_waiter
    a_failure_wakes_a_waiter
    fifty_waiters_all_wake
    any_of_several_wakes
    a_range_wakes_before_the_rest
    a_killed_claimant_is_swept
    a_swept_claimant_cannot_publish
    a_killed_workers_job_is_handed_on
    a_deadly_job_is_given_up
    a_record_is_used_again
    killed_waiters_hang_nobody
    killed_sleepers_on_a_bell_hang_nobody
    a_stopped_worker_stops_no_other
    a_stopped_run_ends_every_wait
    a_dead_coordinator_ends_every_wait
    a_reader_sees_and_moves_nothing
    children_die_with_their_parent
    a_panic_is_an_exit_status
    no_fork_with_threads
    a_signal_for_the_group_ends_no_command_that_begins
};

const MIB: u64 = 1 << 20;

fn table() -> Table {
    Table::create(Limits::for_objects(4096)).unwrap()
}

fn object(table: &Table, key: &str, size: u64) -> SlotId {
    let etag = None;
    table
        .register_object(&ObjectSpec { key, size, etag })
        .unwrap()
}

fn job(table: &Table, name: &str, inputs: &[SlotId]) -> JobId {
    let spec = JobSpec {
        name,
        task: 0,
        inputs,
        payload: b"",
    };
    table.register_job(&spec).unwrap()
}

fn kill(child: Child) {
    child.signal(Signal::KILL);
    assert_eq!(end(&child), Ended::Killed(9));
}

/// Sleeps until the child sleeps in a futex, so that what follows has to wake it.
fn until_asleep(child: &Child) {
    let path = format!("/proc/{}/syscall", child.pid());
    let stat = format!("/proc/{}/stat", child.pid());
    loop {
        // futex, or futex_waitv; where the call cannot be read, any sleep.
        let call = std::fs::read_to_string(&path);
        let asleep = match call.as_deref().map(|c| c.split(' ').next().unwrap_or("")) {
            Ok(number) => number == nix::libc::SYS_futex.to_string() || number == "449",
            Err(_) => std::fs::read_to_string(&stat).unwrap().contains(") S "),
        };
        if asleep {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn claim(table: &Table, slot: SlotId) -> ObjectClaim {
    table.claim_object(slot).unwrap().unwrap()
}

fn gives<T: PartialEq>(got: Result<T, TableError>, expected: T) -> bool {
    got.is_ok_and(|got| got == expected)
}

fn fault() -> Fault {
    Fault::new(FaultCode::NotFound, 404)
}

fn a_publish_wakes_a_waiter() {
    let table = table().join(Role::Downloader).unwrap();
    let slot = object(&table, "a", 10);
    let waiter = child(|| gives(table.wait(slot, None), Outcome::Ready));
    until_asleep(&waiter);
    assert!(table.publish_object(claim(&table, slot), 10).unwrap());
    well(waiter);
}

fn a_failure_wakes_a_waiter() {
    let table = table().join(Role::Downloader).unwrap();
    let slot = object(&table, "a", 10);
    let whole = ByteRange::new(0, 10);
    let waiters = [
        child(|| gives(table.wait(slot, None), Outcome::Failed(fault()))),
        child(|| {
            gives(
                table.wait_range(slot, whole, None),
                Outcome::Failed(fault()),
            )
        }),
        child(|| {
            gives(
                table.wait_any(&[slot], None),
                Some((0, Outcome::Failed(fault()))),
            )
        }),
    ];
    waiters.iter().for_each(until_asleep);
    assert!(table.fail_object(claim(&table, slot), fault()).unwrap());
    waiters.into_iter().for_each(well);
}

fn fifty_waiters_all_wake() {
    let table = table().join(Role::Downloader).unwrap();
    let slot = object(&table, "a", 10);
    let waiters: Vec<Child> = (0..50)
        .map(|_| child(|| gives(table.wait(slot, None), Outcome::Ready)))
        .collect();
    waiters.iter().for_each(until_asleep);
    assert!(table.publish_object(claim(&table, slot), 10).unwrap());
    waiters.into_iter().for_each(well);
}

fn any_of_several_wakes() {
    let table = table().join(Role::Downloader).unwrap();
    let slots: Vec<SlotId> = (0..100)
        .map(|i| object(&table, &format!("{i}"), 1))
        .collect();
    for place in [0, 57, 99] {
        let open: Vec<SlotId> = slots[place..].to_vec();
        let expected = Some((0, Outcome::Ready));
        let first = child(|| gives(table.wait_any(&open, None), expected));
        let others: Vec<SlotId> = slots[place..].iter().rev().copied().collect();
        let expected = Some((others.len() - 1, Outcome::Ready));
        let last = child(|| gives(table.wait_any(&others, None), expected));
        until_asleep(&first);
        until_asleep(&last);
        assert!(
            table
                .publish_object(claim(&table, slots[place]), 1)
                .unwrap()
        );
        well(first);
        well(last);
    }
}

fn a_range_wakes_before_the_rest() {
    let table = table().join(Role::Downloader).unwrap();
    for size in [8 * MIB, 100 * MIB] {
        let slot = object(&table, &format!("{size}"), size);
        let claim = claim(&table, slot);
        let early = ByteRange::new(2 * MIB, 4 * MIB);
        let late = ByteRange::new(6 * MIB, 7 * MIB);
        let first = child(|| gives(table.wait_range(slot, early, None), Outcome::Ready));
        let second = child(|| gives(table.wait_range(slot, late, None), Outcome::Ready));
        until_asleep(&first);
        until_asleep(&second);
        for from in [3, 2] {
            let part = ByteRange::new(from * MIB, (from + 1) * MIB);
            assert!(table.publish_range(claim, part).unwrap());
        }
        well(first);
        assert_eq!(second.ended().unwrap(), None);
        assert_eq!(
            table.object_state(slot).unwrap(),
            Some(ObjectState::Fetching)
        );
        assert!(table.publish_object(claim, size).unwrap());
        well(second);
    }
}

fn a_killed_claimant_is_swept() {
    let table = table();
    let slot = object(&table, "a", 4 * MIB);
    let job = job(&table, "j", &[slot]);
    let victim = child(|| {
        let table = table.join(Role::Downloader).unwrap();
        let claim = claim(&table, slot);
        table.publish_range(claim, ByteRange::new(0, MIB)).unwrap();
        table.set_group(1).unwrap();
        table.wait(slot, None).is_ok()
    });
    until(|| table.processes().unwrap().iter().any(|p| p.group == 1));
    let waiter = child(|| gives(table.wait(slot, None), Outcome::Ready));
    until_asleep(&waiter);
    kill(victim);
    let swept = table.sweep(3).unwrap();
    assert_eq!((swept.processes, swept.objects, swept.jobs), (1, 1, 0));
    assert_eq!(table.object_state(slot).unwrap(), Some(ObjectState::Wanted));
    // The next one finds it, with what has landed, and the one who waits hears of it.
    well(child(|| {
        let table = table.join(Role::Downloader).unwrap();
        let mut cursor = 0;
        assert_eq!(table.next_wanted(&mut cursor).unwrap(), Some(slot));
        let claim = claim(&table, slot);
        assert_eq!(claim.attempt, 2);
        assert_eq!(table.ranges_ready(slot).unwrap(), [ByteRange::new(0, MIB)]);
        table.publish_object(claim, 4 * MIB).unwrap()
    }));
    well(waiter);
    assert_eq!(table.job_state(job).unwrap(), Some(JobState::Ready));
}

/// A process that goes on with the handle of one that is dead is the nearest thing to one that
/// was taken for dead and comes back.
fn a_swept_claimant_cannot_publish() {
    let table = table();
    let slot = object(&table, "a", 2 * MIB);
    job(&table, "j", &[]);
    let victim = child(|| {
        let table = table.join(Role::Downloader).unwrap();
        let (object, job) = (claim(&table, slot), table.claim_job().unwrap().unwrap());
        let _late = fork(|| {
            rustix::process::set_parent_process_death_signal(None).unwrap();
            until(|| table.object_attempt(slot).unwrap() == 2);
            i32::from(!late_moves_are_refused(&table, object, job))
        })
        .unwrap();
        table.wait(slot, None).is_ok()
    });
    until_asleep(&victim);
    kill(victim);
    let swept = table.sweep(3).unwrap();
    assert_eq!((swept.objects, swept.jobs), (1, 1));
    let table = table.join(Role::Downloader).unwrap();
    let again = table.claim_job().unwrap().unwrap();
    assert_eq!(again.attempt, 2);
    let new = claim(&table, slot);
    until(|| table.find_object("refused").unwrap().is_some());
    assert!(table.ranges_ready(slot).unwrap().is_empty());
    assert_eq!(
        table.object_state(slot).unwrap(),
        Some(ObjectState::Fetching)
    );
    assert!(table.publish_object(new, 1).unwrap());
    assert!(table.finish_job(again, Ok(())).unwrap());
    until(|| {
        cotec::sys::proc::children(std::process::id())
            .iter()
            .all(|p| !lives(*p))
    });
}

fn late_moves_are_refused(table: &Table, object: ObjectClaim, job: JobClaim) -> bool {
    let moved = [
        table.publish_range(object, ByteRange::new(0, MIB)).unwrap(),
        table.publish_object(object, 1).unwrap(),
        table.fail_object(object, fault()).unwrap(),
        table.release_object(object).unwrap(),
        table.finish_job(job, Ok(())).unwrap(),
        table.finish_job(job, Err(fault())).unwrap(),
    ];
    let refused = moved == [false; 6];
    self::object(table, if refused { "refused" } else { "accepted" }, 0);
    refused
}

fn lives(pid: u32) -> bool {
    cotec::sys::proc::start_time(pid).is_some()
}

/// A worker that claims the first job and stays in it.
fn stuck(table: &Table) -> Child {
    let worker = child(|| {
        let table = table.join(Role::Worker).unwrap();
        table.claim_job().unwrap().unwrap();
        let never = object(&table, "never", 1);
        table.wait(never, None).is_ok()
    });
    until_asleep(&worker);
    worker
}

fn a_killed_workers_job_is_handed_on() {
    let table = table();
    let (first, second) = (job(&table, "first", &[]), job(&table, "second", &[]));
    let victim = stuck(&table);
    // One that sleeps because there is nothing to do is woken by the sweep.
    let sleeper = child(|| {
        let table = table.join(Role::Worker).unwrap();
        let other = table.claim_job().unwrap().unwrap();
        assert_eq!(other.job, second);
        loop {
            if let Some(claim) = table.claim_job().unwrap() {
                assert_eq!((claim.job, claim.attempt), (first, 2));
                return table.finish_job(claim, Ok(())).unwrap();
            }
            let never = cotec::values::clock::Deadline::NEVER;
            table
                .sleep_until_job(never, Duration::from_secs(3600))
                .unwrap();
        }
    });
    until_asleep(&sleeper);
    kill(victim);
    assert_eq!(table.sweep(3).unwrap().jobs, 1);
    well(sleeper);
    assert_eq!(table.job_state(first).unwrap(), Some(JobState::Done));
}

fn a_deadly_job_is_given_up() {
    let table = table();
    let job = job(&table, "deadly", &[]);
    for attempt in 1..=3 {
        kill(stuck(&table));
        let swept = table.sweep(3).unwrap();
        assert_eq!(
            (swept.jobs, swept.given_up),
            if attempt < 3 { (1, 0) } else { (0, 1) }
        );
    }
    assert_eq!(table.job_state(job).unwrap(), Some(JobState::Failed));
    assert_eq!(
        table.job_fault(job).unwrap(),
        Some(Fault::new(FaultCode::WorkerDied, 3))
    );
    table.planned(1).unwrap();
    assert!(table.finished().unwrap());
}

fn a_record_is_used_again() {
    let limits = Limits {
        processes: 4,
        ..Limits::for_objects(64)
    };
    let table = Table::create(limits).unwrap();
    let taken = table.processes().unwrap().len();
    let mut seen = Vec::new();
    for round in 0..20 {
        let member = child(|| {
            let me = table.join(Role::Worker).unwrap();
            me.set_group(100 + round).unwrap();
            table.wait(object(&table, "never", 1), None).is_ok()
        });
        let process = || {
            table
                .processes()
                .unwrap()
                .into_iter()
                .find(|p| p.group == 100 + round)
        };
        until(|| process().is_some());
        let owner = process().unwrap().owner;
        assert!(!seen.contains(&owner), "{owner:?} would mean two processes");
        seen.push(owner);
        kill(member);
        assert_eq!(table.sweep(3).unwrap().processes, 1);
        assert_eq!(table.processes().unwrap().len(), taken);
    }
}

fn killed_waiters_hang_nobody() {
    let table = table().join(Role::Downloader).unwrap();
    let slot = object(&table, "a", 4 * MIB);
    let claim = claim(&table, slot);
    let range = ByteRange::new(0, MIB);
    for _ in 0..10 {
        let victims = [
            child(|| table.wait(slot, None).is_ok()),
            child(|| table.wait_range(slot, range, None).is_ok()),
            child(|| table.wait_any(&[slot], None).is_ok()),
        ];
        victims.iter().for_each(until_asleep);
        victims.into_iter().for_each(kill);
    }
    let others = [
        child(|| gives(table.wait(slot, None), Outcome::Ready)),
        child(|| gives(table.wait_range(slot, range, None), Outcome::Ready)),
    ];
    others.iter().for_each(until_asleep);
    table.sweep(3).unwrap();
    assert!(table.publish_range(claim, range).unwrap());
    let [whole, part] = others;
    well(part);
    assert_eq!(whole.ended().unwrap(), None);
    assert!(table.publish_object(claim, 1).unwrap());
    well(whole);
    well(child(|| gives(table.wait(slot, None), Outcome::Ready)));
}

fn killed_sleepers_on_a_bell_hang_nobody() {
    let table = table();
    let long = Duration::from_secs(3600);
    let never = cotec::values::clock::Deadline::NEVER;
    for _ in 0..10 {
        let victims = [
            child(|| table.sleep_until_job(never, long).is_ok()),
            child(|| table.sleep_until_wanted(long, || Ok(false)).is_ok()),
        ];
        victims.iter().for_each(until_asleep);
        victims.into_iter().for_each(kill);
    }
    let worker = child(|| table.sleep_until_job(never, long).is_ok());
    let fetcher = child(|| table.sleep_until_wanted(long, || Ok(false)).is_ok());
    until_asleep(&worker);
    until_asleep(&fetcher);
    job(&table, "j", &[]);
    object(&table, "a", 1);
    well(worker);
    well(fetcher);
}

fn a_stopped_worker_stops_no_other() {
    let table = table();
    let never = cotec::values::clock::Deadline::NEVER;
    let work = || {
        let table = table.join(Role::Worker).unwrap();
        while table
            .claim_job()
            .unwrap()
            .map(|c| table.finish_job(c, Ok(())).unwrap())
            != Some(true)
        {
            table
                .sleep_until_job(never, Duration::from_millis(100))
                .unwrap();
        }
        true
    };
    let (stopped, other) = (child(work), child(work));
    until_asleep(&stopped);
    stopped.signal(Signal::STOP);
    let first = job(&table, "first", &[]);
    well(other);
    assert_eq!(table.job_state(first).unwrap(), Some(JobState::Done));
    job(&table, "second", &[]);
    stopped.signal(Signal::CONT);
    well(stopped);
}

fn a_stopped_run_ends_every_wait() {
    let table = table();
    let slot = object(&table, "a", MIB);
    let ended = |outcome: Result<(), TableError>| matches!(outcome, Err(TableError::RunEnded));
    let waiters = [
        child(|| ended(table.wait(slot, None).map(drop))),
        child(|| ended(table.wait_range(slot, ByteRange::new(0, 1), None).map(drop))),
        child(|| ended(table.wait_any(&[slot], None).map(drop))),
    ];
    waiters.iter().for_each(until_asleep);
    table.set_phase(Phase::Stopping).unwrap();
    waiters.into_iter().for_each(well);
}

fn a_dead_coordinator_ends_every_wait() {
    // The child creates a table and leaves it to a stranger, which is this process.
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("table");
    let coordinator = child(|| {
        let table = table();
        object(&table, "a", 1);
        std::fs::write(dir.path().join("part"), table.path()).unwrap();
        std::fs::rename(dir.path().join("part"), &place).unwrap();
        table.wait(SlotId(0), None).is_ok()
    });
    until(|| place.exists());
    let path = std::fs::read_to_string(&place).unwrap();
    let table = Table::attach(path.as_ref(), true).unwrap();
    let waiter = child(|| matches!(table.wait(SlotId(0), None), Err(TableError::RunEnded)));
    until_asleep(&waiter);
    kill(coordinator);
    well(waiter);
}

fn a_reader_sees_and_moves_nothing() {
    let table = table();
    let slot = object(&table, "a key", 5);
    let path = table.path();
    well(child(|| {
        let reader = Table::attach(path.as_ref(), false).unwrap();
        assert_eq!(reader.find_object("a key").unwrap(), Some(slot));
        assert_eq!(reader.count_objects().unwrap().wanted, 1);
        assert!(matches!(
            reader.join(Role::Worker),
            Err(TableError::ReadOnly)
        ));
        assert!(matches!(reader.sweep(3), Err(TableError::ReadOnly)));
        assert!(matches!(reader.wait(slot, None), Err(TableError::ReadOnly)));
        let spec = ObjectSpec {
            key: "b",
            size: 1,
            etag: None,
        };
        assert!(matches!(
            reader.register_object(&spec),
            Err(TableError::ReadOnly)
        ));
        true
    }));
    // One that has not joined may register and wait, but not claim.
    well(child(|| {
        let stranger = Table::attach(path.as_ref(), true).unwrap();
        object(&stranger, "b", 1);
        matches!(stranger.claim_object(slot), Err(TableError::NotJoined))
    }));
    assert_eq!(table.objects_len().unwrap(), 2);
}

fn children_die_with_their_parent() {
    let table = table();
    let slot = object(&table, "a", 1);
    let middle = child(|| {
        let _inner = fork(|| {
            let table = table.join(Role::Worker).unwrap();
            table.set_group(7).unwrap();
            table.wait(slot, None).map_or(1, |_| 0)
        })
        .unwrap();
        table.wait(slot, None).is_ok()
    });
    let inner = || {
        table
            .processes()
            .unwrap()
            .into_iter()
            .find(|p| p.group == 7)
    };
    until(|| inner().is_some());
    let pid = inner().unwrap().pid;
    assert!(lives(pid));
    kill(middle);
    until(|| !lives(pid));
}
