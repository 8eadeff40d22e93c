//! Budgets of several processes on one segment. The processes are real, since their lives are
//! looked up; this one speaks for them.

#[cfg(test)] // All of it, and nothing before.
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::*;

/// A process that lives until it is dropped.
struct Process(Child);

impl Process {
    fn start() -> Process {
        let mut command = Command::new("sleep");
        command
            .arg("600")
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        Process(command.spawn().unwrap())
    }

    fn who(&self) -> Who {
        let pid = self.0.id();
        Who::of(pid, crate::sys::proc::start_time(pid).unwrap(), 0)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A segment of one test.
struct Segment(String);

impl Segment {
    fn new(what: &str) -> Segment {
        Segment(format!("cotec-test-{}-budget-{what}", std::process::id()))
    }

    fn path(&self) -> PathBuf {
        PathBuf::from("/dev/shm").join(&self.0)
    }

    fn join(&self, who: Who, profile: &EndpointProfile) -> Result<Budget, BudgetError> {
        let words = Words::open(&self.0, COUNT).unwrap();
        Budget::join(words, who, "endpoint", profile, None)
    }

    fn budget(&self, process: &Process, profile: &EndpointProfile) -> Budget {
        self.join(process.who(), profile).unwrap()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path());
    }
}

fn connections(connections: u32) -> EndpointProfile {
    EndpointProfile {
        connections: Some(connections),
        ..EndpointProfile::default()
    }
}

/// Takes all that there are.
fn take(budget: &Budget) -> Vec<Lease> {
    std::iter::from_fn(|| budget.connection())
        .take(2_000)
        .collect()
}

#[test]
fn no_limit_no_segment() {
    let before = fs::read_dir("/dev/shm").unwrap().flatten().filter(|e| {
        e.file_name()
            .to_string_lossy()
            .contains(&name("nothing.example:80"))
    });
    assert_eq!(before.count(), 0);
    let budget = Budget::open("nothing.example:80", &EndpointProfile::default()).unwrap();
    assert!(
        !PathBuf::from("/dev/shm")
            .join(name("nothing.example:80"))
            .exists()
    );
    let leases = take(&budget);
    assert_eq!(leases.len(), 2_000);
    assert_eq!(budget.connections_free(), usize::MAX);
    assert!((0..100_000).all(|_| budget.request(5).is_ok()));
    assert_eq!(leases[0].bytes(u64::MAX, 5), 0);
    assert!(!leases[0].wanted_back(5));
    assert_eq!(budget.month_left(), None);
}

#[test]
fn two_share_one_profile_and_come_to_a_half_each() {
    let segment = Segment::new("half");
    let (mut a, b) = (Process::start(), Process::start());
    let one = segment.budget(&a, &connections(4));
    let two = segment.budget(&b, &connections(4));
    let mut ones = take(&one);
    assert_eq!((ones.len(), one.connections_free()), (4, 0));
    assert!(ones.iter().all(|lease| !lease.wanted_back(now_ns())));
    let mut twos = Vec::new();
    // Each turn of `one` is the end of a part on each of its connections, and each turn of `two`
    // a question for one more.
    for _ in 0..8 {
        twos.extend(two.connection());
        ones.retain(|lease| !lease.wanted_back(now_ns()));
        ones.extend(one.connection());
        assert!(ones.len() + twos.len() <= 4);
    }
    twos.extend(take(&two));
    assert_eq!((ones.len(), twos.len()), (2, 2));
    // And stays so, whoever asks.
    for _ in 0..4 {
        assert!(one.connection().is_none() && two.connection().is_none());
        ones.retain(|lease| !lease.wanted_back(now_ns()));
        twos.retain(|lease| !lease.wanted_back(now_ns()));
    }
    assert_eq!((ones.len(), twos.len()), (2, 2));
    // One that ends leaves all to the other.
    a.kill();
    twos.extend(take(&two));
    assert_eq!(twos.len(), 4);
}

#[test]
fn a_part_that_ends_leaves_nothing_behind_and_parts_of_one_process_share() {
    let segment = Segment::new("parts");
    let parts: Vec<Budget> = (0..2)
        .map(|_| segment.join(Who::new().unwrap(), &connections(4)).unwrap())
        .collect();
    let leases = take(&parts[0]);
    assert_eq!(leases.len(), 4);
    assert!(parts[1].connection().is_none());
    assert!(leases[0].wanted_back(now_ns()));
    drop((leases, parts));
    let one = segment.join(Who::new().unwrap(), &connections(4)).unwrap();
    assert_eq!(take(&one).len(), 4);
}

#[test]
fn the_dead_give_their_share_back() {
    let segment = Segment::new("dead");
    let (mut a, b) = (Process::start(), Process::start());
    let one = segment.budget(&a, &connections(4));
    let two = segment.budget(&b, &connections(4));
    let ones = take(&one);
    assert!(two.connection().is_none());
    a.kill();
    let twos = take(&two);
    assert_eq!(twos.len(), 4);
    // What speaks for the dead takes nothing away from others.
    drop(ones);
    assert_eq!(two.connections_free(), 0);
    assert!(twos.iter().all(|lease| !lease.wanted_back(now_ns())));
}

#[test]
fn more_processes_than_connections_take_turns() {
    let segment = Segment::new("turns");
    let (a, b) = (Process::start(), Process::start());
    let one = segment.budget(&a, &connections(1));
    let two = segment.budget(&b, &connections(1));
    let lease = one.connection().unwrap();
    assert!(two.connection().is_none());
    assert!(!lease.wanted_back(now_ns()));
    assert!(lease.wanted_back(lease.since + TURN));
    drop(lease);
    // It waits now, so the first one does not take it again.
    assert!(one.connection().is_some() || two.connection().is_some());
}

#[test]
fn each_keeps_to_its_own_and_together_to_the_largest() {
    let segment = Segment::new("own");
    let (a, b) = (Process::start(), Process::start());
    let small = segment.budget(&a, &connections(2));
    let large = segment.budget(&b, &connections(8));
    let smalls = take(&small);
    let larges = take(&large);
    assert_eq!((smalls.len(), larges.len()), (2, 6));
    drop(smalls);
    assert!(small.connection().is_none());

    let per_minute = |n| EndpointProfile {
        requests_per_minute: Some(n),
        bytes_per_second: Some(u64::from(n) << 20),
        ..EndpointProfile::default()
    };
    let segment = Segment::new("own-rates");
    let slow = segment.budget(&a, &per_minute(20));
    let fast = segment.budget(&b, &per_minute(2_000));
    let now = now_ns();
    slow.inner.looked.store(0, Ordering::SeqCst);
    slow.beat();
    assert!(slow.request(now).is_ok() && slow.request(now).is_err());
    let at_once = (0..2_000).take_while(|_| fast.request(now).is_ok());
    assert_eq!(at_once.count(), 99);
    assert!(slow.request(now + 3_100_000_000).is_ok());
}

#[test]
fn requests_and_bytes_count_for_all() {
    let segment = Segment::new("rates");
    let (a, b) = (Process::start(), Process::start());
    let profile = EndpointProfile {
        requests_per_minute: Some(60),
        bytes_per_second: Some(1 << 20),
        bytes_per_connection: Some(1 << 19),
        bytes_per_month: Some(10 << 20),
        ..EndpointProfile::default()
    };
    let one = segment.budget(&a, &profile);
    let two = segment.budget(&b, &profile);
    let now = now_ns();
    let taken = (0..10).filter(|_| one.request(now).is_ok() | two.request(now).is_ok());
    assert!(taken.count() <= 3);
    assert!(one.request(now).is_err() && two.request(now).is_err());
    let (lease, other) = (one.connection().unwrap(), two.connection().unwrap());
    let second = 1_000_000_000;
    let pause = lease.bytes(1 << 20, now);
    assert!(
        (2 * second - second / 10..=2 * second).contains(&pause),
        "{pause}"
    );
    // The other connection has nothing of its own to wait for, but all together have.
    let pause = other.bytes(1 << 18, now);
    assert!((second..=second + second / 4).contains(&pause), "{pause}");
    let left = (10 << 20) - (1 << 20) - (1 << 18);
    assert_eq!(
        (one.month_left(), two.month_left()),
        (Some(left), Some(left))
    );
}

#[test]
fn nobody_uses_more_than_the_records_there_are() {
    let segment = Segment::new("full");
    let processes: Vec<Process> = (0..MOST_PARTIES).map(|_| Process::start()).collect();
    let budgets: Vec<Budget> = processes
        .iter()
        .map(|process| segment.budget(process, &connections(4)))
        .collect();
    let error = segment
        .join(Who::new().unwrap(), &connections(4))
        .unwrap_err();
    assert!(error.to_string().contains("128 others"), "{error}");
    drop((processes, budgets));
    segment.join(Who::new().unwrap(), &connections(4)).unwrap();
}

#[test]
fn any_bytes_in_the_segment_give_a_budget_that_goes_on() {
    let segment = Segment::new("hostile");
    let (a, mut b) = (Process::start(), Process::start());
    let profile = EndpointProfile {
        requests_per_minute: Some(2_000),
        bytes_per_second: Some(1 << 30),
        bytes_per_month: Some(1 << 40),
        ..connections(4)
    };
    let budget = segment.budget(&a, &profile);
    let _leases = take(&budget);
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(segment.path())
        .unwrap();
    let mut dice = 0x9e37_79b9_7f4a_7c15u64;
    let mut roll = move || {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        dice
    };
    let now = now_ns();
    let values = [
        0,
        1,
        u64::MAX,
        a.who().0,
        b.who().0,
        now,
        now + (1 << 40),
        ground::MAGIC,
    ];
    for round in 0..3_000 {
        for _ in 0..1 << (round % 11) {
            let index = match roll() % 3 {
                0 => roll() % 8,
                1 => roll() % COUNT as u64,
                _ => 8 + roll() % 528,
            };
            let value = match roll() % 4 {
                0 => roll(),
                _ => values[roll() as usize % values.len()],
            };
            file.write_all_at(&value.to_ne_bytes(), index * 8).unwrap();
        }
        let budget = match segment.join(a.who(), &profile) {
            Ok(budget) => budget,
            Err(BudgetError::Full { .. }) => continue,
            Err(other) => panic!("{other}"),
        };
        let now = now_ns();
        assert!(take(&budget).len() <= 4);
        assert!(budget.connections_free() <= 4);
        assert!(
            budget
                .request(now)
                .map_or_else(|wait| wait <= 120 * SECOND, |()| true)
        );
        assert!(budget.bytes(1 << 16, now) <= 601 * SECOND);
        assert!(budget.month_left().unwrap() <= 1 << 40);
        if let Some(lease) = budget.connection() {
            lease.wanted_back(now);
        }
        budget.inner.looked.store(0, Ordering::SeqCst);
        budget.beat();
    }
    // A connection that stands there for a process which never joined is taken back; so is one
    // of a process that gave no sign of life for minutes.
    b.kill();
    for index in 520..1544u64 {
        file.write_all_at(&Who::new().unwrap().0.to_ne_bytes(), index * 8)
            .unwrap();
    }
    for index in 8..520u64 {
        file.write_all_at(&0u64.to_ne_bytes(), index * 8).unwrap();
    }
    let budget = segment.join(a.who(), &profile).unwrap();
    assert_eq!(take(&budget).len(), 4);
}

#[test]
fn a_process_that_was_stopped_for_minutes_loses_its_share() {
    let segment = Segment::new("stopped");
    let (a, b) = (Process::start(), Process::start());
    let one = segment.budget(&a, &connections(4));
    let ones = take(&one);
    let two = segment.budget(&b, &connections(4));
    assert!(two.connection().is_none());
    let record = one.inner.record.load(Ordering::SeqCst) as usize;
    let before = now_ns().saturating_sub(ground::STALE + SECOND);
    one.inner.ground.beat(record, a.who(), before);
    let twos = take(&two);
    assert_eq!(twos.len(), 4);
    // It learns of it at its next part.
    assert!(ones.iter().all(|lease| lease.wanted_back(now_ns())));
    drop(ones);
    assert_eq!(two.connections_free(), 0);
}

#[test]
fn names_of_segments_differ() {
    assert_ne!(name("a:80"), name("a:81"));
    assert!(name("a").starts_with(&format!(
        "cotec-{}-endpoint-",
        rustix::process::geteuid().as_raw()
    )));
}

#[test]
fn looking_makes_and_changes_nothing() {
    let endpoint = Endpoint {
        name: format!("looked-at-{}.example:80", std::process::id()),
        limits: connections(3),
    };
    // The name of the segment that a budget of this endpoint has.
    let segment = Segment(name(&endpoint.name));
    assert_eq!(endpoint.used(&[]), None);
    assert!(!segment.path().exists(), "looking has made it");
    let unlimited = Endpoint {
        limits: EndpointProfile::default(),
        ..endpoint.clone()
    };
    assert_eq!(unlimited.used(&[]), None);

    let (one, mut two) = (Process::start(), Process::start());
    let budgets = [&one, &two].map(|process| segment.budget(process, &endpoint.limits));
    let first = [budgets[0].connection(), budgets[0].connection()];
    let second = budgets[1].connection();
    assert!(first.iter().all(Option::is_some) && second.is_some());
    assert!(budgets[1].connection().is_none());
    let before = fs::read(segment.path()).unwrap();
    let used = endpoint.used(&[one.0.id()]).unwrap();
    assert_eq!(
        (used.connections, used.connections_of, used.waiting),
        (3, 2, 1)
    );
    // What a dead process holds counts no more, though nobody has taken it back.
    two.kill();
    let used = endpoint.used(&[one.0.id(), two.0.id()]).unwrap();
    assert_eq!(
        (used.connections, used.connections_of, used.waiting),
        (2, 2, 0)
    );
    assert!(
        fs::read(segment.path()).unwrap() == before,
        "looking has changed it"
    );
    // What is no segment is neither believed nor replaced.
    fs::remove_file(segment.path()).unwrap();
    fs::write(segment.path(), b"something else").unwrap();
    assert_eq!(endpoint.used(&[]), None);
    assert_eq!(fs::read(segment.path()).unwrap(), b"something else");
}
