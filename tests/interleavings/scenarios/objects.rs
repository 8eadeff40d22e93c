//! An object's life against those who wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use super::scenario;
use crate::model;
use crate::table::{Outcome, Phase, Table, TableError};
use crate::values::{ByteRange, Fault, FaultCode, ObjectState};
use crate::world::{Scenario, World, fetch, object};

pub const SCENARIOS: &[Scenario] = &[
    scenario("fetch against wait", fetch_against_wait),
    scenario("fail against wait", fail_against_wait),
    scenario("wait with a time-out", wait_with_timeout),
    scenario("wait for any", wait_any),
    scenario("the run stops while somebody waits", stop_against_wait),
    scenario("two claims of one object", two_claims),
    scenario("evict against wait", evict_against_wait),
    scenario("evict against re-request", evict_against_request),
    scenario(
        "release against a late publish",
        release_against_late_publish,
    ),
    scenario("sweep against a late publish", sweep_against_late_publish),
];

const FAULT: Fault = Fault {
    code: FaultCode::NotFound,
    detail: 404,
};

fn fetch_against_wait(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    w.process("downloader", move |t| assert!(fetch(&t, slot)));
    for name in ["waiter a", "waiter b"] {
        w.process(name, move |t| {
            assert_eq!(t.wait(slot, None).unwrap(), Outcome::Ready);
        });
    }
    w.race();
}

fn fail_against_wait(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    w.process("downloader", move |t| {
        let claim = t.claim_object(slot).unwrap().unwrap();
        assert!(t.fail_object(claim, FAULT).unwrap());
    });
    w.process("waiter", move |t| {
        assert_eq!(t.wait(slot, None).unwrap(), Outcome::Failed(FAULT));
    });
    w.race();
}

fn wait_with_timeout(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    w.process("downloader", move |t| assert!(fetch(&t, slot)));
    w.process("waiter", move |t| {
        let outcome = t.wait(slot, Some(Duration::from_nanos(100))).unwrap();
        assert!(matches!(outcome, Outcome::Ready | Outcome::TimedOut));
    });
    w.thread("time", None, || model::pass_time(200));
    w.race();
}

fn stop_against_wait(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    w.process("waiter", move |t| {
        assert!(matches!(t.wait(slot, None), Err(TableError::RunEnded)));
    });
    w.process("range waiter", move |t| {
        let waited = t.wait_range(slot, ByteRange::new(0, 5), None);
        assert!(matches!(waited, Err(TableError::RunEnded)));
    });
    w.process("stopper", |t| t.set_phase(Phase::Stopping).unwrap());
    w.race();
}

fn wait_any(w: &mut World) {
    let slots = [object(&w.table, "key 0", 5), object(&w.table, "key 1", 5)];
    w.process("downloader", move |t| {
        let claim = t.claim_object(slots[1]).unwrap().unwrap();
        assert!(t.fail_object(claim, FAULT).unwrap());
    });
    w.process("waiter", move |t| {
        let first = t.wait_any(&slots, None).unwrap();
        assert_eq!(first, Some((1, Outcome::Failed(FAULT))));
    });
    w.race();
}

fn two_claims(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    let won = Arc::new(AtomicUsize::new(0));
    for name in ["downloader a", "downloader b"] {
        let won = won.clone();
        w.process(name, move |t| {
            if let Some(claim) = t.claim_object(slot).unwrap() {
                won.fetch_add(1, SeqCst);
                assert!(t.publish_object(claim, 1).unwrap());
            }
        });
    }
    w.race();
    assert_eq!(won.load(SeqCst), 1);
    assert_eq!(w.table.object_attempt(slot).unwrap(), 1);
}

/// Fetches whatever is wanted until `times` objects were fetched.
pub fn downloads(times: usize) -> impl FnOnce(Table) + Send {
    move |t| {
        let mut cursor = 0;
        let mut fetched = 0;
        while fetched < times {
            match t.next_wanted(&mut cursor).unwrap() {
                Some(slot) => fetched += usize::from(fetch(&t, slot)),
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
    }
}

fn evict_against_wait(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    assert!(fetch(&w.table, slot));
    w.process("evictor", move |t| assert!(t.evict(slot).unwrap()));
    w.process("waiter", move |t| {
        model::await_end(2);
        assert_eq!(t.wait(slot, None).unwrap(), Outcome::Ready);
    });
    w.process("early waiter", move |t| {
        assert_eq!(t.wait(slot, None).unwrap(), Outcome::Ready);
    });
    w.process("downloader", downloads(1));
    w.race();
    assert_eq!(w.table.object_attempt(slot).unwrap(), 2);
}

fn evict_against_request(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    assert!(fetch(&w.table, slot));
    w.process("evictor", move |t| {
        assert!(t.evict(slot).unwrap());
    });
    w.process("planner", move |t| {
        assert_eq!(object(&t, "key", 5), slot);
    });
    w.race();
    let state = w.table.object_state(slot).unwrap().unwrap();
    assert!(matches!(state, ObjectState::Evicted | ObjectState::Wanted));
    // Wanted or not, one request more brings it back, and the downloader finds it.
    assert_eq!(object(&w.table, "key", 5), slot);
    assert_eq!(w.table.next_wanted(&mut 1).unwrap(), Some(slot));
}

fn release_against_late_publish(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    let handle = Arc::new(std::sync::Mutex::new(None));
    let late = handle.clone();
    let pid = w.process("downloader", move |t| {
        let claim = t.claim_object(slot).unwrap().unwrap();
        *late.lock().unwrap() = Some((t.clone(), claim));
        assert!(t.release_object(claim).unwrap());
        let again = t.claim_object(slot).unwrap().unwrap();
        assert!(again.attempt > claim.attempt);
        assert!(t.publish_object(again, 1).unwrap(), "the claim was lost");
    });
    w.thread("its thread", Some(pid), move || {
        let held = handle.lock().unwrap().take();
        if let Some((t, claim)) = held {
            // The release may not have come yet; then this is the publish, or else it is late.
            if t.object_attempt(slot).unwrap() > claim.attempt {
                assert!(!t.publish_object(claim, 1).unwrap(), "a late publish");
            }
        }
    });
    w.race();
}

fn sweep_against_late_publish(w: &mut World) {
    let slot = object(&w.table, "key", 5);
    let first = w.process("downloader a", move |t| {
        let claim = t.claim_object(slot).unwrap().unwrap();
        let pid = crate::sys::proc::id();
        model::declare_dead(pid);
        // What a thread of a killed process still does before the kernel stops it.
        let moved = t.publish_object(claim, 1).unwrap();
        let attempt = t.object_attempt(slot).unwrap();
        assert!(!moved || attempt == claim.attempt, "a late publish");
    });
    w.sweeper(first);
    w.process("downloader b", move |t| {
        model::await_end(first);
        if let Some(claim) = t.claim_object(slot).unwrap() {
            assert!(t.publish_object(claim, 1).unwrap(), "the claim was lost");
        }
    });
    w.race();
    if w.table.object_state(slot).unwrap() != Some(ObjectState::Ready) {
        assert!(fetch(&w.table, slot), "nobody can fetch it");
    }
}
