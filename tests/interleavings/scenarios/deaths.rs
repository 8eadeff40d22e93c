//! Deaths: one process stops before each of its moves, and a sweep repairs what it left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::bells::works;
use super::names::run_all;
use super::objects::downloads;
use super::{deadly, scenario};
use crate::model;
use crate::table::Outcome;
use crate::values::Role;
use crate::world::{ATTEMPTS, Scenario, World, fetch, job, object};

pub const SCENARIOS: &[Scenario] = &[
    deadly("a downloader dies", downloader_dies),
    deadly("a worker dies", worker_dies),
    deadly("a worker dies among sleepers", worker_dies_among_sleepers),
    deadly("a planner dies when planning ends", planner_dies),
    deadly("an evictor dies", evictor_dies),
    deadly("a joining process dies", joiner_dies),
    deadly("a sweeper dies", sweeper_dies),
    scenario("two sweeps at once and a new process", two_sweeps),
];

fn downloader_dies(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    job(&w.table, "job", &[slot]);
    let first = w.mortal("downloader a", move |t| {
        fetch(&t, slot);
    });
    w.process("waiter", move |t| {
        assert_eq!(t.wait(slot, None).unwrap(), Outcome::Ready);
    });
    w.process("downloader b", move |t| {
        model::await_end(first);
        t.sweep(ATTEMPTS).unwrap();
        fetch(&t, slot);
    });
    w.race();
    run_all(&w.table, 1);
}

fn worker_dies(w: &mut World) {
    let ran = Arc::new(AtomicUsize::new(0));
    job(&w.table, "job 0", &[]);
    job(&w.table, "job 1", &[]);
    w.table.planned(2).unwrap();
    let first = w.mortal("worker a", works);
    w.sweeper(first);
    let ran_here = ran.clone();
    w.process("worker b", move |t| {
        works(t);
        ran_here.fetch_add(1, SeqCst);
    });
    w.race();
    assert_eq!(ran.load(SeqCst), 1);
    assert!(w.table.finished().unwrap());
    run_all(&w.table, 2);
}

fn worker_dies_among_sleepers(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    job(&w.table, "job", &[slot]);
    w.table.planned(1).unwrap();
    let first = w.mortal("worker a", works);
    w.sweeper(first);
    w.process("worker b", works);
    w.process("downloader", move |t| assert!(fetch(&t, slot)));
    w.race();
    run_all(&w.table, 1);
}

fn planner_dies(w: &mut World) {
    let first = w.mortal("planner a", |t| {
        job(&t, "job", &[]);
        t.planned(1).unwrap();
    });
    w.process("worker", works);
    w.process("planner b", move |t| {
        model::await_end(first);
        t.sweep(ATTEMPTS).unwrap();
        if t.phase().unwrap() == crate::table::Phase::Planning {
            job(&t, "job", &[]);
            t.planned(1).unwrap();
        }
    });
    w.race();
    run_all(&w.table, 1);
}

fn evictor_dies(w: &mut World) {
    let slot = object(&w.table, "key", 5 << 20);
    let claim = w.table.claim_object(slot).unwrap().unwrap();
    let whole = crate::values::ByteRange::new(0, 5 << 20);
    assert!(w.table.publish_range(claim, whole).unwrap());
    assert!(w.table.publish_object(claim, 1).unwrap());
    let first = w.mortal("evictor", move |t| {
        t.evict(slot).unwrap();
    });
    w.sweeper(first);
    w.race();
    object(&w.table, "key", 5 << 20);
    if let Some(again) = w.table.claim_object(slot).unwrap() {
        assert!(
            w.table.ranges_ready(slot).unwrap().is_empty(),
            "bytes that were removed"
        );
        assert!(w.table.publish_object(again, 1).unwrap());
    }
}

fn joiner_dies(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    let table = w.table.clone();
    let first = w.mortal("process a", move |_| {
        let own = table.join(Role::Downloader).unwrap();
        fetch(&own, slot);
    });
    w.sweeper(first);
    w.race();
    w.table.sweep(ATTEMPTS).unwrap();
    if w.table.object_state(slot).unwrap() != Some(crate::values::ObjectState::Ready) {
        assert!(fetch(&w.table, slot), "nobody can fetch it");
    }
    let left: Vec<u32> = w.table.processes().unwrap().iter().map(|p| p.pid).collect();
    assert_eq!(left, [1], "records left behind");
}

/// A death and, while it is swept, the death of the sweeper: the next sweep has it all.
fn sweeper_dies(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    job(&w.table, "job 0", &[]);
    let first = w.process("both", move |t| {
        t.claim_object(slot).unwrap().unwrap();
        t.claim_job().unwrap().unwrap();
    });
    w.race();
    let second = w.mortal("sweeper a", move |t| {
        model::await_end(first);
        t.sweep(ATTEMPTS).unwrap();
    });
    w.process("sweeper b", move |t| {
        model::await_end(second);
        t.sweep(ATTEMPTS).unwrap();
    });
    w.process("downloader", downloads(1));
    w.race();
    run_all(&w.table, 1);
}

/// A record that is given back is somebody else's at once, and stays theirs.
fn two_sweeps(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    let first = w.process("downloader a", move |t| {
        t.claim_object(slot).unwrap().unwrap();
    });
    w.race();
    w.sweeper(first);
    w.sweeper(first);
    let table = w.table.clone();
    let fresh = w.thread("downloader b", None, move || {
        let own = table.join(Role::Downloader).unwrap();
        if let Some(claim) = own.claim_object(slot).unwrap() {
            assert!(
                own.publish_object(claim, 1).unwrap(),
                "a live claim was swept"
            );
        }
        let here = own.processes().unwrap();
        assert!(
            here.iter().any(|p| p.owner == own.me()),
            "a live record was given back"
        );
    });
    w.race();
    assert!(fresh > first);
    if w.table.object_state(slot).unwrap() != Some(crate::values::ObjectState::Ready) {
        assert!(fetch(&w.table, slot), "nobody can fetch it");
    }
}
