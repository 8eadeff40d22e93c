//! Each is about two words: one side writes the first and reads the second, the other the other
//! way round.

use std::time::Duration;

use loom::thread::spawn;

use crate::sys::sync::RACING;
use crate::table::{EventReader, JobSpec, ObjectSpec, Outcome, Phase, SlotId, Table};
use crate::values::clock::Deadline;
use crate::values::{ByteRange, Limits};

const LIMITS: Limits = Limits {
    objects: 4,
    jobs: 4,
    inputs: 8,
    text_bytes: 512,
    grain_words: 1,
    processes: 1,
    events: 16,
};

/// All scenarios, by name.
pub const SCENARIOS: &[(&str, fn())] = &[
    (
        "a job is opened while its input becomes ready",
        open_against_ready,
    ),
    ("two inputs become ready at once", two_inputs),
    (
        "a job becomes ready while a worker falls asleep",
        ready_against_sleep,
    ),
    (
        "planning ends while a worker falls asleep",
        planned_against_sleep,
    ),
    ("two last jobs end at once", two_last_jobs),
    (
        "an object becomes ready while somebody falls asleep",
        ready_against_wait,
    ),
    (
        "a range lands while somebody falls asleep",
        range_against_wait,
    ),
    ("an event is read while it is written", event),
];

/// Which words loom watches, as bytes from the start of a place and how many words.
type Watched = &'static [(&'static str, u64, u64)];

const SLOT_WORDS: (&str, u64, u64) = ("slots", 0, 1);
const SLOT_LISTS: (&str, u64, u64) = ("slots", 8, 1);
const JOB_WORDS: (&str, u64, u64) = ("jobs", 0, 2);
const READY: [(&str, u64, u64); 3] = [("ready 0", 0, 1), ("ready 1", 0, 1), ("ready 2", 0, 1)];
const JOBS_BELL: (&str, u64, u64) = ("header", 448, 2);
const PHASE: (&str, u64, u64) = ("header", 384, 1);
const UNFINISHED: (&str, u64, u64) = ("header", 640, 1);

fn table() -> Table {
    Table::create(LIMITS).unwrap()
}

fn object(table: &Table, key: &str) -> SlotId {
    let (size, etag) = (5, None);
    table
        .register_object(&ObjectSpec { key, size, etag })
        .unwrap()
}

fn job(table: &Table, name: &str, inputs: &[SlotId]) {
    let (task, payload) = (0, &b"{}"[..]);
    let spec = JobSpec {
        name,
        task,
        inputs,
        payload,
    };
    table.register_job(&spec).unwrap();
}

/// Watches the words, in the first two records of a place of records, and lets threads race.
fn race(table: &Table, watched: &[(&str, u64, u64)], lives: Vec<Box<dyn FnOnce(Table) + Send>>) {
    for (place, from, words) in watched {
        let places = table.places();
        let (_, place) = places.iter().find(|(name, _)| name == place).unwrap();
        let records: &[u64] = match place.start {
            _ if matches!(*from, 0 | 8 | 32) && place.end - place.start >= 128 => &[0, 64],
            _ => &[0],
        };
        for record in records {
            for word in 0..*words {
                let offset = place.start + record + from + word * 8;
                table.mem.map().word(offset).unwrap().watch();
            }
        }
    }
    RACING.set(true);
    let threads: Vec<_> = lives
        .into_iter()
        .map(|life| {
            let table = table.clone();
            spawn(move || life(table))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    RACING.set(false);
}

fn publish(slot: SlotId) -> Box<dyn FnOnce(Table) + Send> {
    Box::new(move |t| {
        let claim = t.claim_object(slot).unwrap().unwrap();
        assert!(t.publish_object(claim, 1).unwrap());
    })
}

fn with_ready(words: &[(&'static str, u64, u64)]) -> Vec<(&'static str, u64, u64)> {
    [words, &READY].concat()
}

fn open_against_ready() {
    let t = table();
    let slot = object(&t, "key");
    let plan = move |t: Table| job(&t, "job", &[slot]);
    let watched = [SLOT_WORDS, SLOT_LISTS, JOB_WORDS];
    race(&t, &watched, vec![Box::new(plan), publish(slot)]);
    assert!(t.claim_job().unwrap().is_some(), "the job waits for ever");
}

fn two_inputs() {
    let t = table();
    let slots = [object(&t, "key 0"), object(&t, "key 1")];
    job(&t, "job", &slots);
    let watched = [SLOT_WORDS, JOB_WORDS];
    race(&t, &watched, slots.map(publish).into());
    assert!(t.claim_job().unwrap().is_some(), "the job waits for ever");
}

fn ready_against_sleep() {
    let t = table();
    let slot = object(&t, "key");
    job(&t, "job", &[slot]);
    let work = |t: Table| {
        while t.claim_job().unwrap().is_none() {
            sleep(&t);
        }
    };
    let watched = with_ready(&[JOBS_BELL]);
    race(&t, &watched, vec![Box::new(work), publish(slot)]);
}

fn sleep(t: &Table) {
    let bound = Duration::from_secs(1);
    t.sleep_until_job(Deadline::NEVER, bound).unwrap();
}

fn planned_against_sleep() {
    let t = table();
    let plan = |t: Table| t.set_phase(Phase::Planned).unwrap();
    let work = |t: Table| {
        while t.phase().unwrap() != Phase::Planned {
            sleep(&t);
        }
    };
    race(
        &t,
        &[PHASE, JOBS_BELL],
        vec![Box::new(work), Box::new(plan)],
    );
}

fn two_last_jobs() {
    let t = table();
    job(&t, "job 0", &[]);
    job(&t, "job 1", &[]);
    t.planned(1).unwrap();
    let end = |t: &Table| -> Box<dyn FnOnce(Table) + Send> {
        let claim = t.claim_job().unwrap().unwrap();
        Box::new(move |t| assert!(t.finish_job(claim, Ok(())).unwrap()))
    };
    let ends = vec![end(&t), end(&t)];
    let before = t
        .mem
        .map()
        .word(448)
        .unwrap()
        .load(std::sync::atomic::Ordering::SeqCst);
    race(&t, &[JOB_WORDS, UNFINISHED], ends);
    let after = t
        .mem
        .map()
        .word(448)
        .unwrap()
        .load(std::sync::atomic::Ordering::SeqCst);
    assert!(after > before, "nobody rang at the end");
}

fn ready_against_wait() {
    let t = table();
    let slot = object(&t, "key");
    let wait = move |t: Table| assert_eq!(t.wait(slot, None).unwrap(), Outcome::Ready);
    race(&t, &[SLOT_WORDS], vec![Box::new(wait), publish(slot)]);
}

fn range_against_wait() {
    let t = table();
    let slot = object(&t, "key");
    let claim = t.claim_object(slot).unwrap().unwrap();
    let all = ByteRange::new(0, 5);
    let wait = move |t: Table| {
        assert_eq!(t.wait_range(slot, all, None).unwrap(), Outcome::Ready);
    };
    let publish = move |t: Table| assert!(t.publish_range(claim, all).unwrap());
    let watched: Watched = &[SLOT_WORDS, ("slots", 32, 2)];
    race(&t, watched, vec![Box::new(wait), Box::new(publish)]);
}

fn event() {
    let t = table();
    t.note("first").unwrap();
    let write = |t: Table| t.note("second").unwrap();
    let read = |t: Table| {
        let mut reader = EventReader::default();
        while let Some(event) = reader.next(&t).unwrap() {
            assert_eq!(event.id, 0);
        }
        assert_eq!(reader.lost(), 0, "a whole event was not believed");
    };
    // The head, and the record of the second event.
    let watched: Watched = &[("header", 704, 1), ("events", 32, 4)];
    race(&t, watched, vec![Box::new(write), Box::new(read)]);
}
