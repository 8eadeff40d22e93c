//! Registrations: a name is one record, whoever comes first and whoever dies.

use std::collections::BTreeSet;

use super::{deadly, fine, scenario};
use crate::model;
use crate::table::{ObjectSpec, Table};
use crate::values::{JobState, ObjectState};
use crate::world::{Scenario, World, fetch, job, object};

pub const SCENARIOS: &[Scenario] = &[
    fine("one key registered twice", one_key),
    fine("pages that share keys", pages),
    fine("one job registered twice", one_job),
    scenario(
        "a job registered while its input becomes ready",
        job_against_ready,
    ),
    scenario(
        "a job registered while another is claimed",
        job_against_claim,
    ),
    deadly("a registrar dies and another goes on", registrar_dies),
    deadly(
        "a key's registrar dies and somebody waits",
        key_registrar_dies,
    ),
];

fn one_key(w: &mut World) {
    for name in ["planner a", "planner b"] {
        w.process(name, |t| {
            object(&t, "key", 5);
        });
    }
    w.race();
    let counts = w.table.count_objects().unwrap();
    assert_eq!((counts.wanted, counts.fetching, counts.ready), (1, 0, 0));
    let slot = w.table.find_object("key").unwrap().unwrap();
    assert_eq!(
        w.table.object_state(slot).unwrap(),
        Some(ObjectState::Wanted)
    );
    let mut cursor = 0;
    assert_eq!(w.table.next_wanted(&mut cursor).unwrap(), Some(slot));
}

fn pages(w: &mut World) {
    for (name, keys) in [("planner a", ["x", "y"]), ("planner b", ["y", "z"])] {
        w.process(name, move |t| {
            let specs = keys.map(|key| ObjectSpec {
                key,
                size: 5,
                etag: None,
            });
            let mut slots = Vec::new();
            t.register_objects(&specs, &mut slots).unwrap();
            for (key, slot) in keys.iter().zip(slots) {
                assert_eq!(t.key(slot).unwrap(), *key);
            }
        });
    }
    w.race();
    let counts = w.table.count_objects().unwrap();
    assert_eq!((counts.wanted, counts.fetching, counts.ready), (3, 0, 0));
    let (mut cursor, mut found) = (0, BTreeSet::new());
    while let Some(slot) = w.table.next_wanted(&mut cursor).unwrap() {
        found.insert(slot);
    }
    assert_eq!(found.len(), 3);
}

fn one_job(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    for name in ["planner a", "planner b"] {
        w.process(name, move |t| {
            job(&t, "job", &[slot]);
        });
    }
    w.race();
    assert_eq!(w.table.count_jobs().unwrap().waiting, 1);
    assert!(fetch(&w.table, slot));
    run_all(&w.table, 1);
}

fn job_against_ready(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    w.process("planner", move |t| {
        job(&t, "job", &[slot]);
    });
    w.process("downloader", move |t| assert!(fetch(&t, slot)));
    w.race();
    run_all(&w.table, 1);
}

fn job_against_claim(w: &mut World) {
    w.process("planner", |t| {
        job(&t, "job 0", &[]);
        job(&t, "job 1", &[]);
    });
    w.process("worker", |t| {
        for _ in 0..2 {
            if let Some(claim) = t.claim_job().unwrap() {
                assert!(t.finish_job(claim, Ok(())).unwrap());
            }
        }
    });
    w.race();
    while let Some(claim) = w.table.claim_job().unwrap() {
        assert!(w.table.finish_job(claim, Ok(())).unwrap());
    }
    assert_eq!(w.table.count_jobs().unwrap().done, 2);
}

fn registrar_dies(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    let first = w.mortal("planner a", move |t| {
        job(&t, "job", &[slot]);
    });
    w.process("planner b", move |t| {
        model::await_end(first);
        job(&t, "job", &[slot]);
        t.planned(1).unwrap();
    });
    w.process("downloader", move |t| assert!(fetch(&t, slot)));
    w.race();
    w.table.sweep(3).unwrap();
    run_all(&w.table, 1);
    assert!(w.table.finished().unwrap());
}

fn key_registrar_dies(w: &mut World) {
    let first = w.mortal("planner", |t| {
        object(&t, "key", 5);
    });
    w.sweeper(first);
    w.process("stranger", move |t| {
        model::await_end(first);
        if let Some(slot) = t.find_object("key").unwrap() {
            assert_eq!(t.wait(slot, None).unwrap(), crate::table::Outcome::Ready);
        }
    });
    w.process("downloader", move |t| {
        model::await_end(first);
        if t.find_object("key").unwrap().is_some() {
            super::objects::downloads(1)(t);
        }
    });
    w.race();
}

/// Every job runs once and is done.
pub fn run_all(table: &Table, jobs: u64) {
    while let Some(claim) = table.claim_job().unwrap() {
        assert!(table.finish_job(claim, Ok(())).unwrap());
    }
    let counts = table.count_jobs().unwrap();
    assert_eq!((counts.done, counts.total()), (jobs, jobs), "{counts:?}");
    for number in 0..table.jobs_len().unwrap() {
        if let Some(job) = table.job(crate::table::JobId(number)).unwrap() {
            assert_eq!(job.state, JobState::Done);
        }
    }
}
