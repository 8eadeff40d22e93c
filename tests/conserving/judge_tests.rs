//! The judge itself: what it calls a sleep, and what it excuses.

use super::judge::*;
use super::watch::{Process, Sample, Watched};
use cotec::values::{Event, EventKind, Role};

const MS: u64 = 1_000_000;
const DOWNLOADER: u16 = 1;

fn event(at: u64, kind: EventKind, role: Role, process: u16, job: u32) -> Event {
    Event {
        at_ns: at * MS,
        kind,
        role,
        process,
        id: job,
        value: 0,
    }
}

fn ready(at: u64, job: u32) -> Event {
    event(at, EventKind::JobReady, Role::Downloader, DOWNLOADER, job)
}

fn run(at: u64, worker: u16, job: u32) -> Event {
    event(at, EventKind::JobRunning, Role::Worker, worker, job)
}

fn done(at: u64, worker: u16, job: u32) -> Event {
    event(at, EventKind::JobDone, Role::Worker, worker, job)
}

/// A run of a downloader and two workers; `waits` says which process got a turn at which
/// millisecond, and how many it had waited for it.
fn watched(mut events: Vec<Event>, waits: &[(u16, u64, u64)]) -> Watched {
    events.sort_by_key(|event| event.at_ns);
    let process = |number: u16| {
        let samples = (0..300).map(|ms| {
            let mine = waits
                .iter()
                .filter(|(process, at, _)| *process == number && *at <= ms);
            Sample {
                at_ns: ms * MS,
                waited_ns: mine.clone().map(|(_, _, wait)| wait * MS).sum(),
                turns: mine.count() as u64,
            }
        });
        let process = Process {
            role: match number {
                DOWNLOADER => Role::Downloader,
                _ => Role::Worker,
            },
            since_ns: 0,
            samples: samples.collect(),
        };
        (number, process)
    };
    Watched {
        events,
        processes: [DOWNLOADER, 2, 3].map(process).into(),
        ..Watched::default()
    }
}

/// In milliseconds.
fn longest(events: Vec<Event>, waits: &[(u16, u64, u64)]) -> u64 {
    let verdict = judge(&watched(events, waits));
    verdict.longest().map_or(0, |fault| fault.slept_ns() / MS)
}

#[test]
fn a_wake_up_that_got_lost_is_found() {
    let events = vec![ready(10, 0), run(110, 2, 0), done(120, 2, 0)];
    assert_eq!(longest(events, &[]), 100);
}

#[test]
fn one_that_sleeps_while_the_other_works_through_a_backlog_is_found() {
    let mut events = vec![ready(10, 0), ready(10, 1), ready(10, 2)];
    for job in 0..3 {
        let at = 10 + 20 * u64::from(job);
        events.extend([run(at, 2, job), done(at + 19, 2, job)]);
    }
    assert_eq!(longest(events, &[]), 40);
}

#[test]
fn what_the_kernel_took_does_not_count() {
    // The worker that was woken waits; the other may sleep on, since there is one job.
    let events = vec![ready(10, 0), run(60, 2, 0), done(90, 2, 0)];
    assert_eq!(longest(events.clone(), &[(2, 60, 50)]), 0);
    assert_eq!(longest(events.clone(), &[(2, 60, 30)]), 20);
    // The downloader lost its processor before it could ring.
    let held_up = [events, vec![ready(95, 1), run(95, 3, 1)]].concat();
    assert_eq!(longest(held_up, &[(DOWNLOADER, 60, 50)]), 0);
}

#[test]
fn what_the_machine_was_without_does_not_count() {
    let mut watched = watched(vec![ready(10, 0), run(40, 2, 0), done(50, 2, 0)], &[]);
    watched.stolen = vec![
        (0, 0),
        (9 * MS, 70 * MS),
        (35 * MS, 90 * MS),
        (60 * MS, 90 * MS),
    ];
    let longest = judge(&watched).longest().copied().unwrap_or_default();
    assert_eq!(longest.slept_ns() / MS, 10);
}

#[test]
fn for_two_jobs_two_workers_must_be_on_their_way() {
    let events = vec![ready(10, 0), ready(10, 1), run(60, 2, 0), run(60, 3, 1)];
    assert_eq!(longest(events.clone(), &[(2, 60, 50)]), 50);
    assert_eq!(longest(events, &[(2, 60, 50), (3, 60, 48)]), 2);
}
