//! Jobs: the watch that moves on, claims, and inputs that go away again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use super::names::run_all;
use super::scenario;
use crate::model;
use crate::values::{Fault, FaultCode, JobState, Limits};
use crate::world::{LIMITS, Scenario, World, fetch, job, object};

pub const SCENARIOS: &[Scenario] = &[
    scenario("two inputs become ready at once", two_inputs),
    Scenario {
        preemptions: 1,
        ..scenario("three inputs become ready at once", three_inputs)
    },
    scenario("one input fails while the other becomes ready", one_fails),
    scenario("two jobs share an input", shared_input),
    scenario("two claims of one job", two_claims),
    scenario(
        "a job becomes ready while another is claimed",
        ready_against_claim,
    ),
    scenario("evict against claim", evict_against_claim),
    scenario(
        "a job is admitted while its inputs become ready",
        admitted_against_ready,
    ),
    scenario(
        "a job is admitted while its input is evicted",
        admitted_against_evict,
    ),
];

fn two_inputs(w: &mut World) {
    inputs(w, &["key 0", "key 1"]);
}

fn three_inputs(w: &mut World) {
    inputs(w, &["key 0", "key 1", "key 2"]);
}

fn inputs(w: &mut World, keys: &[&str]) {
    let slots: Vec<_> = keys.iter().map(|key| object(&w.table, key, 5)).collect();
    let made = job(&w.table, "job", &slots);
    for (slot, name) in slots
        .into_iter()
        .zip(["downloader a", "downloader b", "downloader c"])
    {
        w.process(name, move |t| assert!(fetch(&t, slot)));
    }
    w.race();
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Ready));
    run_all(&w.table, 1);
}

fn one_fails(w: &mut World) {
    let slots = [object(&w.table, "key 0", 5), object(&w.table, "key 1", 5)];
    let made = job(&w.table, "job", &slots);
    w.table.planned(1).unwrap();
    w.process("downloader a", move |t| assert!(fetch(&t, slots[0])));
    w.process("downloader b", move |t| {
        let claim = t.claim_object(slots[1]).unwrap().unwrap();
        let fault = Fault::new(FaultCode::NotFound, 404);
        assert!(t.fail_object(claim, fault).unwrap());
    });
    w.race();
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Failed));
    let fault = Fault::new(FaultCode::Input, slots[1].0);
    assert_eq!(w.table.job_fault(made).unwrap(), Some(fault));
    assert!(w.table.finished().unwrap());
}

fn shared_input(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    job(&w.table, "job 0", &[slot]);
    w.process("planner", move |t| {
        job(&t, "job 1", &[slot]);
    });
    w.process("downloader", move |t| assert!(fetch(&t, slot)));
    w.race();
    run_all(&w.table, 2);
}

fn two_claims(w: &mut World) {
    let made = job(&w.table, "job", &[]);
    let ran = Arc::new(AtomicUsize::new(0));
    for name in ["worker a", "worker b"] {
        let ran = ran.clone();
        w.process(name, move |t| {
            while let Some(claim) = t.claim_job().unwrap() {
                ran.fetch_add(1, SeqCst);
                assert!(t.finish_job(claim, Ok(())).unwrap());
            }
        });
    }
    w.race();
    assert_eq!(ran.load(SeqCst), 1);
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Done));
}

/// While one worker is busy with the first job, another must find the second: they share the
/// words of ready bits, so clearing one meets setting the other.
fn ready_against_claim(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    job(&w.table, "job 0", &[]);
    job(&w.table, "job 1", &[slot]);
    let done = w.process("worker b", |t| {
        let claim = loop {
            match t.claim_job().unwrap() {
                Some(claim) => break claim,
                None => sleep(&t),
            }
        };
        assert!(t.finish_job(claim, Ok(())).unwrap());
    });
    w.process("worker a", move |t| {
        let Some(claim) = t.claim_job().unwrap() else {
            return;
        };
        // Busy until the other one has found something to do.
        model::await_end(done);
        assert!(t.finish_job(claim, Ok(())).unwrap());
    });
    w.process("downloader", move |t| assert!(fetch(&t, slot)));
    w.race();
    while let Some(claim) = w.table.claim_job().unwrap() {
        assert!(w.table.finish_job(claim, Ok(())).unwrap());
    }
    run_all(&w.table, 2);
}

/// Sleeps as a worker does that found nothing to claim.
pub fn sleep(t: &crate::table::Table) {
    use crate::values::clock::Deadline;
    let bound = std::time::Duration::from_secs(1);
    t.sleep_until_job(Deadline::NEVER, bound).unwrap();
}

fn admitted_against_ready(w: &mut World) {
    w.table.hold_jobs().unwrap();
    let slots = [object(&w.table, "key 0", 5), object(&w.table, "key 1", 5)];
    let made = job(&w.table, "job", &slots);
    for (slot, name) in slots.into_iter().zip(["downloader a", "downloader b"]) {
        w.process(name, move |t| assert!(fetch(&t, slot)));
    }
    w.process("room", move |t| t.admit_job(made).unwrap());
    w.race();
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Ready));
    run_all(&w.table, 1);
}

/// Nobody who admits a job evicts its inputs, but a stranger may.
fn admitted_against_evict(w: &mut World) {
    w.table.hold_jobs().unwrap();
    let slot = object(&w.table, "key", 5);
    assert!(fetch(&w.table, slot));
    let made = job(&w.table, "job", &[slot]);
    assert_eq!(w.table.job_state(made).unwrap(), Some(JobState::Waiting));
    assert!(w.table.claim_job().unwrap().is_none());
    w.process("room", move |t| t.admit_job(made).unwrap());
    w.process("evictor", move |t| assert!(t.evict(slot).unwrap()));
    w.race();
    if w.table.claim_job().unwrap().is_some_and(|claim| {
        // It became ready before, and nobody looked since.
        w.table.finish_job(claim, Ok(())).unwrap()
    }) {
        panic!("an input is gone");
    }
    w.table.look_on(made).unwrap();
    assert!(fetch(&w.table, slot));
    run_all(&w.table, 1);
}

fn evict_against_claim(w: &mut World) {
    // Enough room for events that nobody reads here.
    w.with_limits(Limits {
        events: 256,
        ..LIMITS
    });
    let slot = object(&w.table, "key", 5);
    assert!(fetch(&w.table, slot));
    job(&w.table, "job", &[slot]);
    w.process("evictor", move |t| assert!(t.evict(slot).unwrap()));
    w.process("worker", move |t| {
        if let Some(claim) = t.claim_job().unwrap() {
            assert!(t.finish_job(claim, Ok(())).unwrap());
        }
    });
    w.race();
    if w.table
        .claim_job()
        .unwrap()
        .is_some_and(|c| w.table.finish_job(c, Ok(())).unwrap())
    {
        return run_all(&w.table, 1);
    }
    let _ = w
        .table
        .claim_object(slot)
        .unwrap()
        .map(|c| w.table.publish_object(c, 1).unwrap());
    run_all(&w.table, 1);
}
