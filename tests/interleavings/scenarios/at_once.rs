//! Jobs that start before their inputs are there, and jobs that are taken from their workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::names::run_all;
use super::{deadly, scenario};
use crate::model;
use crate::table::{JobClaim, JobId, JobSpec, SlotId, Table};
use crate::values::{Fault, FaultCode, JobState};
use crate::world::{ATTEMPTS, Scenario, World, fetch, job, object};

pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "a job is started at once while its input becomes ready",
        started_against_ready,
    ),
    deadly("whoever starts a job at once dies", starter_dies),
    scenario(
        "a job is taken from its worker while it ends",
        taken_against_end,
    ),
];

fn early(table: &Table, slot: SlotId) -> JobId {
    let spec = JobSpec {
        name: "early",
        task: 0,
        inputs: &[slot],
        payload: b"{}",
    };
    table.register_job_at_once(&spec).unwrap()
}

fn started_against_ready(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    let made = early(&w.table, slot);
    w.process("downloader", move |t| assert!(fetch(&t, slot)));
    w.process("beginner", move |t| {
        t.start_at_once(made).unwrap();
    });
    w.race();
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Ready));
    run_all(&w.table, 1);
}

fn starter_dies(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    let made = early(&w.table, slot);
    let first = w.mortal("downloader a", move |t| {
        t.start_at_once(made).unwrap();
    });
    w.process("sweeper", move |t| {
        model::await_end(first);
        t.sweep(ATTEMPTS).unwrap();
        // The next downloader begins anew.
        t.start_at_once(made).unwrap();
    });
    w.race();
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Ready));
    run_all(&w.table, 1);
}

fn taken_against_end(w: &mut World) {
    let made = job(&w.table, "job", &[]);
    let ends = Arc::new(AtomicUsize::new(0));
    let (by_worker, by_coordinator) = (ends.clone(), ends.clone());
    w.process("worker", move |t| {
        if let Some(claim) = t.claim_job().unwrap()
            && t.finish_job(claim, Ok(())).unwrap()
        {
            by_worker.fetch_add(1, SeqCst);
        }
    });
    w.process("coordinator", move |t| {
        let claim = JobClaim {
            job: made,
            attempt: 1,
        };
        let fault = Fault::new(FaultCode::TimedOut, 1);
        if t.take_job(claim, fault, false).unwrap().is_some() {
            by_coordinator.fetch_add(1, SeqCst);
        }
    });
    w.race();
    assert_eq!(ends.load(SeqCst), 1);
    assert!(w.table.finished().is_ok());
    let state = w.table.job_state(made).unwrap();
    assert!(state.is_some_and(JobState::ended), "{state:?}");
}
