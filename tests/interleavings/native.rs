//! The same source with real threads over the heap: no kernel, no mapping, no scheduler. Nothing
//! in it needs more than an interpreter such as Miri has, so that it can be run as
//! `cargo +nightly miri test --no-default-features --test interleavings native`. The toolchain
//! that this was written with has no Miri: that this runs there has not been shown.

use std::time::Duration;

use crate::table::{Outcome, Table};
use crate::values::{ByteRange, Role};
use crate::world::{LIMITS, fetch, job, object};

const ROUNDS: usize = if cfg!(miri) { 3 } else { 300 };

#[test]
fn a_small_run_by_threads() {
    for _ in 0..ROUNDS {
        let table = Table::create(LIMITS).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| plan(&table));
                scope.spawn(|| work(&table.join(Role::Worker).unwrap()));
            }
            scope.spawn(|| download(&table.join(Role::Downloader).unwrap()));
            scope.spawn(|| wait(&table));
        });
        let (objects, jobs) = (table.count_objects().unwrap(), table.count_jobs().unwrap());
        assert_eq!((objects.ready, objects.wanted), (KEYS.len() as u64, 0));
        assert_eq!((jobs.done, jobs.total()), (3, 3));
    }
}

const KEYS: [&str; 3] = ["key 0", "key 1", "key 2"];
const SIZE: u64 = 3 << 20;

/// Both planners register everything.
fn plan(table: &Table) {
    let slots = KEYS.map(|key| object(table, key, SIZE));
    job(table, "job 0", &slots);
    job(table, "job 1", &slots[1..]);
    job(table, "job 2", &[]);
    table.planned(1).unwrap();
}

fn work(table: &Table) {
    use crate::values::clock::Deadline;
    while !table.finished().unwrap() {
        match table.claim_job().unwrap() {
            Some(claim) => assert!(table.finish_job(claim, Ok(())).unwrap()),
            None => {
                let bound = Duration::from_secs(1);
                table.sleep_until_job(Deadline::NEVER, bound).unwrap();
            }
        }
    }
}

fn download(table: &Table) {
    let (mut cursor, mut fetched) = (0, 0);
    while fetched < KEYS.len() {
        let Some(slot) = table.next_wanted(&mut cursor).unwrap() else {
            let again = &mut cursor;
            let awake = move || {
                let some = table.next_wanted(again)?.is_some();
                *again -= u32::from(some);
                Ok(some)
            };
            let timeout = Duration::from_secs(1);
            table.sleep_until_wanted(timeout, awake).unwrap();
            continue;
        };
        if fetched == 0 {
            let claim = table.claim_object(slot).unwrap().unwrap();
            let first = ByteRange::new(0, 1 << 20);
            assert!(table.publish_range(claim, first).unwrap());
            assert!(table.publish_object(claim, SIZE).unwrap());
        } else {
            assert!(fetch(table, slot));
        }
        fetched += 1;
    }
}

fn wait(table: &Table) {
    let slots = KEYS.map(|key| object(table, key, SIZE));
    let first = ByteRange::new(0, 1 << 20);
    assert!(table.wait_any(&slots, None).unwrap().is_some());
    for slot in slots {
        let outcome = table.wait_range(slot, first, None).unwrap();
        assert_eq!(outcome, Outcome::Ready);
        assert_eq!(table.wait(slot, None).unwrap(), Outcome::Ready);
    }
}
