//! The moves of slots and jobs, one thread at a time: what the words, the watch and the ready
//! bits do when nothing interferes.

#![allow(clippy::unwrap_used)]
use std::path::Path;
use std::time::Duration;

use cotec::table::{JobSpec, ObjectSpec, Outcome, Phase, SlotId, Table, TableError};
use cotec::values::{ByteRange, Fault, FaultCode, JobState, Limits, ObjectState, Role};

fn table() -> Table {
    Table::create(Limits::for_objects(4096)).unwrap()
}

fn object(table: &Table, key: &str, size: u64) -> SlotId {
    table
        .register_object(&ObjectSpec {
            key,
            size,
            etag: None,
        })
        .unwrap()
}

fn job(table: &Table, name: &str, inputs: &[SlotId]) -> cotec::table::JobId {
    table
        .register_job(&JobSpec {
            name,
            task: 0,
            inputs,
            payload: b"{}",
        })
        .unwrap()
}

fn fetch(table: &Table, slot: SlotId) {
    let claim = table.claim_object(slot).unwrap().unwrap();
    assert!(table.publish_object(claim, 1).unwrap());
}

#[test]
fn the_same_key_is_one_slot_and_attributes_come_back() {
    let t = table();
    for (i, etag) in [
        None,
        Some("d41d8cd98f00b204e9800998ecf8427e"),
        Some("d41d8cd98f00b204e9800998ecf8427e-17"),
        Some("D41D8CD98F00B204E9800998ECF8427E"),
        Some("d41d8cd98f00b204e9800998ecf8427e-017"),
        Some("5f3-some/other thing"),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("a key {i} ü");
        let spec = ObjectSpec {
            key: &key,
            size: 1 << 40 | i as u64,
            etag,
        };
        let slot = t.register_object(&spec).unwrap();
        assert_eq!(
            t.register_object(&ObjectSpec {
                size: 5,
                etag: None,
                ..spec
            })
            .unwrap(),
            slot
        );
        assert_eq!(t.find_object(&key).unwrap(), Some(slot));
        let view = t.object(slot).unwrap().unwrap();
        assert_eq!(
            (view.key.as_str(), view.size),
            (key.as_str(), 1 << 40 | i as u64)
        );
        assert_eq!(view.etag.as_deref(), etag);
        assert_eq!(view.state, ObjectState::Wanted);
    }
    assert_eq!(t.find_object("none").unwrap(), None);
    assert_eq!(t.objects_len().unwrap(), 6);
}

#[test]
fn a_job_becomes_ready_with_its_last_input_in_any_order() {
    let t = table();
    for (n, order) in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]]
        .into_iter()
        .enumerate()
    {
        let slots: Vec<_> = (0..3)
            .map(|i| object(&t, &format!("{n}/{i}"), 10))
            .collect();
        let job = job(&t, &format!("job {n}"), &slots);
        for (done, i) in order.into_iter().enumerate() {
            assert_eq!(
                t.job_state(job).unwrap(),
                Some(JobState::Waiting),
                "after {done}"
            );
            fetch(&t, slots[i]);
        }
        assert_eq!(t.job_state(job).unwrap(), Some(JobState::Ready));
        let claim = t.claim_job().unwrap().unwrap();
        assert_eq!(claim.job, job);
        assert!(t.claim_job().unwrap().is_none());
        assert!(t.finish_job(claim, Ok(())).unwrap());
        assert!(!t.finish_job(claim, Ok(())).unwrap(), "a job ends once");
    }
}

#[test]
fn jobs_without_inputs_or_with_ready_ones_are_ready_at_once_and_in_order() {
    let t = table();
    let slot = object(&t, "x", 1);
    fetch(&t, slot);
    let jobs: Vec<_> = (0..200)
        .map(|i| job(&t, &format!("{i}"), &[slot][..i % 2]))
        .collect();
    for expected in jobs {
        assert_eq!(t.claim_job().unwrap().unwrap().job, expected);
    }
}

#[test]
fn a_failed_input_fails_its_jobs_and_wakes_waiters() {
    let t = table();
    let (a, b) = (object(&t, "a", 1), object(&t, "b", 1));
    let early = job(&t, "early", &[a, b]);
    let claim = t.claim_object(b).unwrap().unwrap();
    let fault = Fault::new(FaultCode::NotFound, 404);
    assert!(t.fail_object(claim, fault).unwrap());
    assert_eq!(t.wait(b, None).unwrap(), Outcome::Failed(fault));
    assert_eq!(
        t.wait_range(b, ByteRange::new(0, 1), None).unwrap(),
        Outcome::Failed(fault)
    );
    assert_eq!(
        t.wait_any(&[a, b], None).unwrap(),
        Some((1, Outcome::Failed(fault)))
    );
    // The job watches `a`; it learns of `b` when it gets there.
    fetch(&t, a);
    assert_eq!(t.job_state(early).unwrap(), Some(JobState::Failed));
    assert_eq!(
        t.job_fault(early).unwrap(),
        Some(Fault::new(FaultCode::Input, b.0))
    );
    let late = job(&t, "late", &[b]);
    assert_eq!(t.job_state(late).unwrap(), Some(JobState::Failed));
}

#[test]
fn waits_time_out_and_return_at_once_when_ready() {
    let t = table();
    let slot = object(&t, "a", 5);
    let soon = Some(Duration::from_millis(5));
    assert_eq!(t.wait(slot, soon).unwrap(), Outcome::TimedOut);
    assert_eq!(
        t.wait_range(slot, ByteRange::new(0, 5), soon).unwrap(),
        Outcome::TimedOut
    );
    assert_eq!(t.wait_any(&[slot], soon).unwrap(), None);
    assert_eq!(
        t.wait_range(slot, ByteRange::new(2, 2), None).unwrap(),
        Outcome::Ready
    );
    fetch(&t, slot);
    assert_eq!(t.wait(slot, None).unwrap(), Outcome::Ready);
    assert_eq!(
        t.wait_any(&[slot], None).unwrap(),
        Some((0, Outcome::Ready))
    );
}

#[test]
fn ranges_land_grain_by_grain_and_survive_a_release() {
    const M: u64 = 1 << 20;
    let t = table();
    for size in [40 * M + 3, 5 * M, 1, M] {
        let slot = object(&t, &format!("big {size}"), size);
        let first = t.claim_object(slot).unwrap().unwrap();
        assert!(
            t.publish_range(first, ByteRange::new(M / 2, 3 * M + 1))
                .unwrap()
        );
        assert!(
            t.publish_range(first, ByteRange::new(size.saturating_sub(1) / M * M, size))
                .unwrap()
        );
        let landed = t.ranges_ready(slot).unwrap();
        if size > 4 * M {
            let last = ByteRange::new((size - 1) / M * M, size);
            assert_eq!(landed, [ByteRange::new(M, 3 * M), last]);
            let now = Some(Duration::ZERO);
            let wait = |a, b| t.wait_range(slot, ByteRange::new(a, b), now).unwrap();
            assert_eq!(wait(M, 3 * M), Outcome::Ready);
            assert_eq!(wait(size - 2, size), Outcome::Ready);
            assert_eq!(wait(M - 1, 3 * M), Outcome::TimedOut);
            assert_eq!(wait(M, 3 * M + 1), Outcome::TimedOut);
        } else {
            assert_eq!(landed, [ByteRange::new(0, size)]);
        }
        assert!(t.release_object(first).unwrap());
        let second = t.claim_object(slot).unwrap().unwrap();
        assert_eq!(second.attempt, first.attempt + 1);
        assert_eq!(t.ranges_ready(slot).unwrap(), landed);
        assert!(
            !t.publish_range(first, ByteRange::new(0, size)).unwrap(),
            "a late range"
        );
        assert!(!t.publish_object(first, 0).unwrap(), "a late publish");
        assert_eq!(t.ranges_ready(slot).unwrap(), landed);
        t.forget_landed(second).unwrap();
        assert!(t.ranges_ready(slot).unwrap().is_empty());
        assert!(t.publish_object(second, size).unwrap());
    }
}

#[test]
fn an_evicted_input_sends_its_job_back_to_waiting() {
    let t = table();
    let slot = object(&t, "a", 1);
    let job = job(&t, "j", &[slot]);
    fetch(&t, slot);
    assert!(t.evict(slot).unwrap());
    assert!(t.claim_job().unwrap().is_none());
    assert_eq!(t.job_state(job).unwrap(), Some(JobState::Waiting));
    assert_eq!(t.object_state(slot).unwrap(), Some(ObjectState::Wanted));
    fetch(&t, slot);
    let claim = t.claim_job().unwrap().unwrap();
    assert_eq!(claim.attempt, 2);
}

#[test]
fn wanted_slots_come_in_order_and_again_when_wanted_again() {
    let t = table();
    let slots: Vec<_> = (0..10).map(|i| object(&t, &format!("{i}"), 1)).collect();
    let mut cursor = 0;
    for slot in &slots {
        assert_eq!(t.next_wanted(&mut cursor).unwrap(), Some(*slot));
        fetch(&t, *slot);
    }
    assert_eq!(t.next_wanted(&mut cursor).unwrap(), None);
    t.evict(slots[3]).unwrap();
    t.evict(slots[7]).unwrap();
    t.want(slots[7]).unwrap();
    object(&t, "3", 1);
    assert_eq!(t.next_wanted(&mut cursor).unwrap(), Some(slots[3]));
    assert_eq!(t.next_wanted(&mut cursor).unwrap(), Some(slots[7]));
    assert_eq!(t.next_wanted(&mut cursor).unwrap(), None);
}

#[test]
fn an_input_waits_for_its_job_unless_somebody_else_wants_it() {
    let t = table();
    let spec = |key| ObjectSpec {
        key,
        size: 7,
        etag: Some("8d777f385d3dfec8815d20f7496026dc-3"),
    };
    let mut slots = Vec::new();
    t.register_inputs(&[spec("a"), spec("b"), spec("c"), spec("d")], &mut slots)
        .unwrap();
    let for_jobs = || -> Vec<bool> { slots.iter().map(|s| t.is_for_jobs(*s).unwrap()).collect() };
    assert_eq!(for_jobs(), [true; 4]);
    let mut cursor = 0;
    while t.next_wanted(&mut cursor).unwrap().is_some() {}
    t.want(slots[0]).unwrap();
    t.register_object(&spec("b")).unwrap();
    t.wait(slots[2], Some(Duration::ZERO)).unwrap();
    t.register_inputs(&[spec("a"), spec("d")], &mut Vec::new())
        .unwrap();
    assert_eq!(for_jobs(), [false, false, false, true]);
    for slot in &slots[..3] {
        assert_eq!(t.next_wanted(&mut cursor).unwrap(), Some(*slot));
    }
    assert_eq!(t.etag(slots[3]).unwrap().as_deref(), spec("d").etag);
    // An evicted input that a job wants again still waits for it.
    job(&t, "j", &[slots[3]]);
    fetch(&t, slots[3]);
    assert!(t.evict(slots[3]).unwrap());
    assert!(t.claim_job().unwrap().is_none());
    assert!(for_jobs()[3]);
    assert_eq!(t.next_wanted(&mut cursor).unwrap(), Some(slots[3]));
}

#[test]
fn the_end_is_seen_only_after_planning() {
    let t = table();
    let j = job(&t, "j", &[]);
    let claim = t.claim_job().unwrap().unwrap();
    t.finish_job(claim, Err(Fault::new(FaultCode::Processor, 3)))
        .unwrap();
    assert!(!t.finished().unwrap());
    t.set_phase(Phase::Planned).unwrap();
    assert!(t.finished().unwrap());
    assert_eq!(
        t.job(j).unwrap().unwrap().fault,
        Some(Fault::new(FaultCode::Processor, 3))
    );
    assert_eq!(t.count_jobs().unwrap().failed, 1);
}

#[test]
fn a_full_table_says_which_limit() {
    let limits = Limits {
        objects: 3,
        inputs: 4,
        ..Limits::for_objects(64)
    };
    let t = Table::create(limits).unwrap();
    let slots: Vec<_> = (0..3).map(|i| object(&t, &format!("{i}"), 1)).collect();
    let full = t
        .register_object(&ObjectSpec {
            key: "x",
            size: 1,
            etag: None,
        })
        .unwrap_err();
    assert!(full.to_string().contains("at most 3 objects"), "{full}");
    assert_eq!(object(&t, "1", 1), slots[1], "known keys still work");
    job(&t, "a", &slots);
    let many = JobSpec {
        name: "b",
        task: 0,
        inputs: &slots,
        payload: b"",
    };
    assert!(matches!(
        t.register_job(&many),
        Err(TableError::Full { what: "inputs", .. })
    ));
    let long = "k".repeat(5000);
    let long = t.register_object(&ObjectSpec {
        key: &long,
        size: 1,
        etag: None,
    });
    assert!(matches!(long, Err(TableError::TooLong { .. })));
}

#[test]
fn a_reader_sees_everything_and_moves_nothing() {
    let t = table();
    let slot = object(&t, "a", 7);
    let reader = Table::attach(Path::new(&t.path()), false).unwrap();
    assert_eq!(reader.object(slot).unwrap().unwrap().size, 7);
    assert!(matches!(
        reader.join(Role::Stranger),
        Err(TableError::ReadOnly)
    ));
    assert!(matches!(reader.want(slot), Err(TableError::ReadOnly)));
    assert!(matches!(
        reader.claim_object(slot),
        Err(TableError::ReadOnly)
    ));
    let writer = Table::attach(Path::new(&t.path()), true).unwrap();
    assert!(matches!(
        writer.claim_object(slot),
        Err(TableError::NotJoined)
    ));
    let writer = writer.join(Role::Stranger).unwrap();
    let claim = writer.claim_object(slot).unwrap().unwrap();
    assert!(t.claim_object(slot).unwrap().is_none());
    assert!(
        !t.publish_object(claim, 7).unwrap(),
        "another process's claim"
    );
    assert!(writer.publish_object(claim, 7).unwrap());
    assert_eq!(reader.wait(slot, None).unwrap(), Outcome::Ready);
}

#[test]
fn many_objects_and_jobs_keep_their_places() {
    let t = Table::create(Limits::for_objects(50_000)).unwrap();
    let slots: Vec<_> = (0..50_000)
        .map(|i| object(&t, &format!("p/{i:06}"), i))
        .collect();
    for (i, slot) in slots.iter().enumerate() {
        assert_eq!(t.find_object(&format!("p/{i:06}")).unwrap(), Some(*slot));
    }
    let jobs: Vec<_> = (0..20_000)
        .map(|i| job(&t, &format!("j{i}"), &slots[i..i + 2]))
        .collect();
    for slot in slots.iter().rev() {
        fetch(&t, *slot);
    }
    for expected in &jobs {
        let claim = t.claim_job().unwrap().unwrap();
        assert_eq!(claim.job, *expected);
        t.finish_job(claim, Ok(())).unwrap();
    }
    t.set_phase(Phase::Planned).unwrap();
    assert!(t.finished().unwrap());
    assert_eq!(t.count_objects().unwrap().ready, 50_000);
}
