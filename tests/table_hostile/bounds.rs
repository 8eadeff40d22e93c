//! Damage made to keep a walk going: every walk is bounded by the table's size, not by its square.

use std::ops::Range;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cotec::sys::mapping::Mapping;
use cotec::sys::sync::Ordering;
use cotec::table::{JobId, JobSpec, ObjectSpec, SlotId, Table};
use cotec::values::{Limits, Role};

/// The header's counters: objects, jobs, inputs.
const COUNTERS: u64 = 128;

/// A large table and the way to its words.
struct Victim {
    table: Table,
    raw: Mapping,
}

impl Victim {
    fn new(limits: Limits) -> Victim {
        let table = Table::create(limits).unwrap();
        let raw = Mapping::attach(Path::new(&table.path()), true).unwrap();
        Victim { table, raw }
    }

    fn place(&self, name: &str) -> Range<u64> {
        let places = self.table.places();
        places.into_iter().find(|p| p.0 == name).unwrap().1
    }

    fn set(&self, at: u64, value: u64) {
        self.raw.word(at).unwrap().store(value, Ordering::SeqCst);
    }

    fn fill(&self, range: Range<u64>, value: u64) {
        for at in range.step_by(8) {
            self.set(at, value);
        }
    }

    fn object(&self, key: &str) -> SlotId {
        self.table
            .register_object(&ObjectSpec {
                key,
                size: 1,
                etag: None,
            })
            .unwrap()
    }
}

/// Ends within a minute, or hangs: what would walk in squares takes many minutes.
fn ends<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(what()));
    told.recv_timeout(Duration::from_secs(60))
        .expect("ends within a minute")
}

#[test]
fn marks_of_ready_jobs_that_mean_nothing() {
    let jobs = 1 << 22;
    let victim = Victim::new(Limits {
        jobs,
        ..Limits::for_objects(64)
    });
    victim.set(COUNTERS + 8, jobs.into());
    for level in ["ready 1", "ready 2"] {
        victim.fill(victim.place(level), u64::MAX);
    }
    // The summaries say that there is something everywhere; only the last quarter has marks, and
    // those of jobs that do not exist.
    let marks = victim.place("ready 0");
    victim.fill(
        marks.start + (marks.end - marks.start) / 4 * 3..marks.end,
        u64::MAX,
    );
    let claim = ends(move || victim.table.claim_job().unwrap());
    assert_eq!(claim, None);
}

#[test]
fn jobs_that_all_claim_all_inputs() {
    let (jobs, inputs) = (1 << 16, 1 << 20);
    let victim = Victim::new(Limits {
        jobs,
        inputs,
        text_bytes: 1 << 20,
        ..Limits::for_objects(64)
    });
    let slot = victim.object("a");
    let all = vec![slot; 1 << 16];
    let spec = JobSpec {
        name: "large",
        task: 0,
        inputs: &all,
        payload: b"",
    };
    let large = victim.table.register_job(&spec).unwrap();
    for i in 1..20_000u32 {
        let name = i.to_string();
        let spec = JobSpec {
            name: &name,
            task: 0,
            inputs: &all[..1],
            payload: b"",
        };
        let job = victim.table.register_job(&spec).unwrap();
        // Its inputs are those of the large one.
        let at = victim.place("jobs").start + u64::from(job.0) * 64 + 32;
        victim.set(at, 1 << 48);
    }
    ends(move || {
        let claim = victim.table.claim_object(slot).unwrap().unwrap();
        let told = victim
            .table
            .publish_object(claim, 1)
            .unwrap_err()
            .to_string();
        assert!(told.contains("node"), "{told}");
        assert!(victim.table.job_inputs(JobId(5)).is_err());
        assert_eq!(victim.table.job_inputs(large).unwrap().len(), 1 << 16);
    });
}

#[test]
fn a_set_without_an_end() {
    let victim = Victim::new(Limits::for_objects(1 << 20));
    let slot = victim.object("a");
    let set = victim.place("object set");
    // Memory for the set's pieces first: each has its bit in the header.
    let header = victim.place("header");
    victim.raw.back(set.start, set.end - set.start).unwrap();
    victim.fill(896..header.end, u64::MAX);
    victim.fill(set, 1 | 7 << 32);
    ends(move || {
        let told = victim.table.find_object("b").unwrap_err().to_string();
        assert!(told.contains("set"), "{told}");
        let spec = ObjectSpec {
            key: "b",
            size: 1,
            etag: None,
        };
        assert!(victim.table.register_object(&spec).is_err());
        assert_eq!(victim.table.key(slot).unwrap(), "a");
    });
}

#[test]
fn records_of_processes_that_never_were() {
    let victim = Victim::new(Limits {
        processes: 4096,
        ..Limits::for_objects(1 << 16)
    });
    for i in 0..60_000 {
        victim.object(&i.to_string());
    }
    let processes = victim.place("processes");
    for at in processes.step_by(64).skip(1) {
        victim.set(at, u64::MAX);
        victim.set(at + 8, u64::MAX - at);
    }
    // All objects are fetched by somebody who is not among them.
    for at in victim.place("slots").step_by(64) {
        victim.set(at, 2 | 1 << 5 | 77 << 32);
    }
    ends(move || {
        assert!(victim.table.join(Role::Worker).is_err());
        let swept = victim.table.sweep(3).unwrap();
        assert_eq!((swept.objects, swept.processes), (0, 4095));
        assert!(victim.table.join(Role::Worker).is_ok());
    });
}

#[test]
fn an_event_ring_from_the_future() {
    let victim = Victim::new(Limits {
        events: 1 << 20,
        ..Limits::for_objects(64)
    });
    victim.object("a");
    // Whichever of the header's words counts the events: all that can be large are.
    for at in (384..896).step_by(8) {
        victim.set(at, u64::MAX - 5);
    }
    ends(move || {
        let mut reader = cotec::table::EventReader::default();
        for _ in 0..10 {
            assert!(victim.table.note("x").is_ok());
            while reader.next(&victim.table).unwrap().is_some() {}
        }
        assert!(reader.lost() > 0);
    });
}
