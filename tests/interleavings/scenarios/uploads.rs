//! Uploads: a job is handed over, and whoever uploads its results ends it.

use super::{deadly, scenario};
use crate::model;
use crate::table::{JobId, Table};
use crate::values::JobState;
use crate::world::{ATTEMPTS, Scenario, World, job};

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "a job is handed over while the uploader falls asleep",
        handed_over,
    ),
    deadly("an uploader dies", uploader_dies),
    deadly("a worker dies while it hands over", worker_dies),
];

/// Uploads until the run is over.
fn uploads(t: Table) {
    while !t.finished().unwrap() {
        match t.claim_upload(JobId(0)).unwrap() {
            Some(claim) => assert!(t.finish_job(claim, Ok(())).unwrap()),
            None => t
                .sleep_until_upload(std::time::Duration::from_secs(1))
                .unwrap(),
        }
    }
}

/// Runs one job, if there is one, and hands it over.
fn runs_one(t: &Table) {
    if let Some(claim) = t.claim_job().unwrap() {
        assert!(t.hand_over_job(claim).unwrap());
    }
}

fn handed_over(w: &mut World) {
    let made = job(&w.table, "job", &[]);
    w.table.planned(1).unwrap();
    w.process("uploader", uploads);
    w.process("worker", |t| runs_one(&t));
    w.race();
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Done));
}

fn uploader_dies(w: &mut World) {
    let made = job(&w.table, "job", &[]);
    w.table.planned(1).unwrap();
    runs_one(&w.table);
    let first = w.mortal("uploader a", |t| {
        if let Some(claim) = t.claim_upload(JobId(0)).unwrap() {
            t.finish_job(claim, Ok(())).unwrap();
        }
    });
    w.process("uploader b", uploads);
    w.process("sweeper", move |t| {
        model::await_end(first);
        t.sweep(ATTEMPTS).unwrap();
    });
    w.race();
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Done));
}

fn worker_dies(w: &mut World) {
    let made = job(&w.table, "job", &[]);
    w.table.planned(1).unwrap();
    let first = w.mortal("worker a", |t| runs_one(&t));
    w.process("uploader", uploads);
    w.process("worker b", move |t| {
        model::await_end(first);
        t.sweep(ATTEMPTS).unwrap();
        runs_one(&t);
    });
    w.race();
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Done));
}
