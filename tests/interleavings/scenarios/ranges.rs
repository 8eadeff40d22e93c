//! Landed ranges against those who wait for them.

use super::{deadly, scenario};
use crate::model;
use crate::table::{Outcome, Table};
use crate::values::{ByteRange, Limits};
use crate::world::{ATTEMPTS, Scenario, World, object};

pub const SCENARIOS: &[Scenario] = &[
    scenario("range publish against range wait", publish_against_wait),
    scenario("two ranges against two range waits", two_ranges),
    scenario("fail against range wait", fail_against_wait),
    scenario("evict against range wait", evict_against_wait),
    scenario("a late range of a claim that was released", late_range),
    deadly("a publisher of ranges dies", publisher_dies),
];

const GRAIN: u64 = 1 << Limits::GRAIN_SHIFT;

fn grain(n: u64) -> ByteRange {
    ByteRange::new(n * GRAIN, (n + 1) * GRAIN)
}

fn wait_ready(t: &Table, slot: crate::table::SlotId, n: u64) {
    assert_eq!(t.wait_range(slot, grain(n), None).unwrap(), Outcome::Ready);
}

fn publish_against_wait(w: &mut World) {
    let slot = object(&w.table, "key", 2 * GRAIN);
    w.process("downloader", move |t| {
        let claim = t.claim_object(slot).unwrap().unwrap();
        assert!(t.publish_range(claim, grain(0)).unwrap());
    });
    w.process("waiter", move |t| wait_ready(&t, slot, 0));
    w.race();
}

/// The second range lands only when the first was waited for: nothing else wakes that waiter.
fn two_ranges(w: &mut World) {
    let slot = object(&w.table, "key", 2 * GRAIN);
    let claim = w.table.claim_object(slot).unwrap().unwrap();
    let first = w.process("waiter a", move |t| wait_ready(&t, slot, 0));
    w.process("waiter b", move |t| wait_ready(&t, slot, 1));
    let owner = w.table.clone();
    w.thread("downloader", Some(1), move || {
        assert!(owner.publish_range(claim, grain(0)).unwrap());
        model::await_end(first);
        assert!(owner.publish_range(claim, grain(1)).unwrap());
    });
    w.race();
}

fn fail_against_wait(w: &mut World) {
    let slot = object(&w.table, "key", 2 * GRAIN);
    let fault = crate::values::Fault::new(crate::values::FaultCode::Changed, 412);
    w.process("downloader", move |t| {
        let claim = t.claim_object(slot).unwrap().unwrap();
        assert!(t.publish_range(claim, grain(0)).unwrap());
        assert!(t.fail_object(claim, fault).unwrap());
    });
    w.process("waiter", move |t| {
        let outcome = t.wait_range(slot, grain(1), None).unwrap();
        assert_eq!(outcome, Outcome::Failed(fault));
    });
    w.race();
}

/// Whoever asks for a range after its bytes were removed waits for the next attempt's.
fn evict_against_wait(w: &mut World) {
    let slot = object(&w.table, "key", 2 * GRAIN);
    let claim = w.table.claim_object(slot).unwrap().unwrap();
    assert!(w.table.publish_range(claim, grain(0)).unwrap());
    assert!(w.table.publish_object(claim, 1).unwrap());
    let evictor = w.process("evictor", move |t| assert!(t.evict(slot).unwrap()));
    w.process("downloader", move |t| {
        while t.claim_object(slot).unwrap().is_none() {
            t.want(slot).unwrap();
            if t.object_state(slot).unwrap() == Some(crate::values::ObjectState::Ready) {
                model::await_end(evictor);
            }
        }
    });
    w.race();
    assert_eq!(w.table.object_attempt(slot).unwrap(), 2);
    assert!(
        w.table.ranges_ready(slot).unwrap().is_empty(),
        "bytes that were removed"
    );
}

fn late_range(w: &mut World) {
    let slot = object(&w.table, "key", 2 * GRAIN);
    let claim = w.table.claim_object(slot).unwrap().unwrap();
    let owner = w.table.clone();
    w.thread("its thread", Some(1), move || {
        owner.publish_range(claim, grain(0)).unwrap();
    });
    let owner = w.table.clone();
    w.thread("downloader", Some(1), move || {
        assert!(owner.release_object(claim).unwrap());
        let again = owner.claim_object(slot).unwrap().unwrap();
        owner.forget_landed(again).unwrap();
        assert!(owner.ranges_ready(slot).unwrap().is_empty(), "a late range");
        assert!(owner.publish_range(again, grain(1)).unwrap());
    });
    w.race();
    let landed = w.table.ranges_ready(slot).unwrap();
    assert_eq!(landed, [ByteRange::new(GRAIN, 2 * GRAIN)]);
}

/// What has landed is told, or told again by the sweep.
fn publisher_dies(w: &mut World) {
    let slot = object(&w.table, "key", 2 * GRAIN);
    let first = w.mortal("downloader a", move |t| {
        let claim = t.claim_object(slot).unwrap().unwrap();
        assert!(t.publish_range(claim, grain(0)).unwrap());
        assert!(t.publish_object(claim, 1).unwrap());
    });
    w.process("waiter", move |t| wait_ready(&t, slot, 0));
    w.process("downloader b", move |t| {
        model::await_end(first);
        t.sweep(ATTEMPTS).unwrap();
        // Takes over only where the first grain did not land, so that its news is not repeated.
        if t.ranges_ready(slot).unwrap().is_empty() {
            super::objects::downloads(1)(t);
        }
    });
    w.race();
}
