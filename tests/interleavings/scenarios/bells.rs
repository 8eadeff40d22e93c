//! Sleeping for want of work against what ends the sleep.

use std::time::Duration;

use super::jobs::sleep;
use super::objects::downloads;
use super::scenario;
use crate::table::{JobId, ObjectSpec, Outcome, Phase, SlotId, Table};
use crate::values::JobState;
use crate::world::{Scenario, World, fetch, job, object};

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "a job becomes ready while workers fall asleep",
        ready_against_sleep,
    ),
    scenario(
        "an object is wanted while the downloader falls asleep",
        wanted_against_sleep,
    ),
    scenario(
        "an input is waited for before its job has come",
        input_against_wait,
    ),
    scenario(
        "a job is registered while the downloader falls asleep",
        job_against_sleep,
    ),
    scenario(
        "a job ends while the downloader falls asleep for want of room",
        end_against_sleep,
    ),
    scenario("the last job ends while workers fall asleep", last_job),
    scenario("two last jobs end at once", two_last_jobs),
    scenario(
        "planning ends while workers fall asleep",
        phase_against_sleep,
    ),
    scenario(
        "the run is stopped while workers fall asleep",
        stop_against_sleep,
    ),
];

/// Works until the run is over.
pub fn works(t: Table) {
    while t.phase().unwrap() < Phase::Finishing && !t.finished().unwrap() {
        match t.claim_job().unwrap() {
            Some(claim) => assert!(t.finish_job(claim, Ok(())).unwrap()),
            None => sleep(&t),
        }
    }
}

fn ready_against_sleep(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    job(&w.table, "job", &[slot]);
    w.table.planned(1).unwrap();
    w.process("worker a", works);
    w.process("worker b", works);
    w.process("downloader", move |t| assert!(fetch(&t, slot)));
    w.race();
    assert_eq!(w.table.count_jobs().unwrap().done, 1);
}

/// The downloader sleeps as its bell's thread does: unless there was a ring since it looked.
fn end_against_sleep(w: &mut World) {
    w.table.hold_jobs().unwrap();
    let made = job(&w.table, "job", &[]);
    w.table.admit_job(made).unwrap();
    w.process("downloader", move |t| {
        loop {
            let rings = t.wanted_rings().unwrap();
            t.await_room(true).unwrap();
            if t.job_state(made).unwrap() == Some(JobState::Done) {
                return t.await_room(false).unwrap();
            }
            let awake = || Ok(t.wanted_rings()? != rings);
            t.sleep_until_wanted(Duration::from_secs(1), awake).unwrap();
        }
    });
    w.process("worker", |t| {
        let claim = t.claim_job().unwrap().unwrap();
        assert!(t.finish_job(claim, Ok(())).unwrap());
    });
    w.race();
}

fn wanted_against_sleep(w: &mut World) {
    w.process("downloader", downloads(2));
    for (name, key) in [("planner", "key 0"), ("stranger", "key 1")] {
        w.process(name, move |t| {
            object(&t, key, 5);
        });
    }
    w.race();
    assert_eq!(w.table.count_objects().unwrap().ready, 2);
}

/// Registers an object that is fetched when its job comes.
fn input(t: &Table) -> SlotId {
    let mut slots = Vec::new();
    let spec = ObjectSpec {
        key: "key",
        size: 5,
        etag: None,
    };
    t.register_inputs(&[spec], &mut slots).unwrap();
    slots[0]
}

fn input_against_wait(w: &mut World) {
    let slot = input(&w.table);
    w.process("downloader", move |t| {
        let mut cursor = 0;
        loop {
            let next = t.next_wanted(&mut cursor).unwrap();
            match next.map(|slot| t.is_for_jobs(slot).unwrap()) {
                Some(true) => {}
                Some(false) => return assert!(fetch(&t, slot)),
                None => {
                    let awake = || {
                        Ok(t.next_wanted(&mut cursor)?.is_some_and(|_| {
                            cursor = 0;
                            true
                        }))
                    };
                    t.sleep_until_wanted(Duration::from_secs(1), awake).unwrap();
                }
            }
        }
    });
    for name in ["waiter a", "waiter b"] {
        w.process(name, move |t| {
            assert_eq!(t.wait(slot, None).unwrap(), Outcome::Ready);
        });
    }
    w.race();
}

fn job_against_sleep(w: &mut World) {
    w.process("downloader", move |t| {
        let has_job = || {
            let jobs = t.jobs_len()?;
            Ok(jobs > 0 && t.job_state(JobId(0))?.is_some())
        };
        while !has_job().unwrap() {
            t.sleep_until_wanted(Duration::from_secs(1), has_job)
                .unwrap();
        }
        for slot in t.job_inputs(JobId(0)).unwrap() {
            assert!(fetch(&t, slot));
        }
    });
    w.process("planner", |t| {
        let slot = input(&t);
        job(&t, "job", &[slot]);
    });
    w.race();
    assert_eq!(w.table.count_jobs().unwrap().ready, 1);
}

fn last_job(w: &mut World) {
    job(&w.table, "job", &[]);
    w.table.planned(1).unwrap();
    w.process("worker a", works);
    w.process("worker b", works);
    w.race();
    assert!(w.table.finished().unwrap());
}

fn two_last_jobs(w: &mut World) {
    job(&w.table, "job 0", &[]);
    job(&w.table, "job 1", &[]);
    w.table.planned(2).unwrap();
    for name in ["worker a", "worker b"] {
        let claim = w.table.claim_job().unwrap().unwrap();
        let owner = w.table.clone();
        w.thread(name, Some(1), move || {
            assert!(owner.finish_job(claim, Ok(())).unwrap());
        });
    }
    w.process("worker c", works);
    w.race();
}

fn phase_against_sleep(w: &mut World) {
    w.process("worker", works);
    w.process("planner", |t| {
        job(&t, "job", &[]);
        t.planned(1).unwrap();
    });
    w.race();
    assert!(w.table.finished().unwrap());
}

fn stop_against_sleep(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    job(&w.table, "job", &[slot]);
    w.process("worker a", works);
    w.process("worker b", works);
    w.process("stopper", |t| t.set_phase(Phase::Finishing).unwrap());
    w.race();
}
