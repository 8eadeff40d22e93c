//! Finds every time in which a worker slept although there was a job for it.
//!
//! The events say when each job was ready and when each worker had no job. Of the workers without
//! one some have been woken and wait for a processor, which the kernel's own figures tell. They are
//! on their way to a job. What must not be is more ready jobs than workers on their way, while
//! another worker sleeps.
//!
//! A job counts from when its ready bit was set and the bell rung. The event is written just
//! before: where the kernel took the processor away from its writer in between, the job counts from
//! the writer's next event, or from when the writer had waited for its turn.

use std::collections::{BTreeMap, HashMap};

use cotec::values::{EventKind, Role};

use super::watch::{Process, Watched};

/// Waiting for a processor that is too short to ask when it was.
const SHORT_NS: u64 = 500_000;

/// A worker slept although there was a job for it, from `from_ns` on for `length_ns`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    pub from_ns: u64,
    pub length_ns: u64,
    /// How long the machine was without a processor around that time.
    pub stolen_ns: u64,
    /// The most jobs that nobody was on his way to.
    pub jobs: u32,
    /// The most workers that slept.
    pub asleep: u32,
}

impl Fault {
    /// How long the worker slept for want of being woken.
    pub fn slept_ns(&self) -> u64 {
        self.length_ns.saturating_sub(self.stolen_ns)
    }
}

/// A job was claimed by a worker that had none when the job became ready.
#[derive(Clone, Copy, Debug)]
pub struct WakeUp {
    /// From when the job was ready until it ran.
    pub length_ns: u64,
    /// How much of it the worker waited for a processor.
    pub kernel_ns: u64,
}

/// What is to be said of a run.
#[derive(Debug, Default)]
pub struct Verdict {
    pub faults: Vec<Fault>,
    pub wake_ups: Vec<WakeUp>,
}

impl Verdict {
    /// The longest sleep of a worker for which there was a job, if there was any.
    pub fn longest(&self) -> Option<&Fault> {
        self.faults.iter().max_by_key(|fault| fault.slept_ns())
    }
}

/// A time from the first to the second number.
type Time = (u64, u64);

/// Looks through all that was seen of a run.
pub fn judge(watched: &Watched) -> Verdict {
    // Changes of the numbers of jobs that are ready, of workers without a job, and of those of them
    // that are on their way.
    let mut changes: Vec<(u64, [i32; 3])> = Vec::new();
    let mut change = |(from, to): Time, which: usize| {
        for (at, by) in [(from, 1), (to, -1)] {
            let mut numbers = [0; 3];
            numbers[which] = by;
            changes.push((at, numbers));
        }
    };
    let mut verdict = Verdict::default();
    let idle = idle_times(watched);
    for job in ready_times(watched) {
        change((job.from, job.to), 0);
        let claimed = |(worker, time): &&(u16, Time)| *worker == job.claimed_by && time.1 == job.to;
        if let Some((worker, (since, _))) = idle.iter().find(claimed)
            && *since < job.from
        {
            let process = watched.processes.get(worker);
            let times = process.map(|process| on_its_way(process, &[job.to]));
            let waited = times
                .into_iter()
                .flatten()
                .map(|time| within(time, (job.from, job.to)));
            verdict.wake_ups.push(WakeUp {
                length_ns: job.to - job.from,
                kernel_ns: waited.map(|(from, to)| to - from).sum(),
            });
        }
    }
    for (number, process) in &watched.processes {
        let mine: Vec<Time> = idle
            .iter()
            .filter(|(worker, _)| worker == number)
            .map(|(_, time)| *time)
            .collect();
        let claims: Vec<u64> = mine.iter().map(|time| time.1).collect();
        let awake = on_its_way(process, &claims);
        let mut at = 0;
        for time in mine {
            change(time, 1);
            while awake.get(at).is_some_and(|way| way.1 <= time.0) {
                at += 1;
            }
            for way in awake[at..].iter().take_while(|way| way.0 < time.1) {
                change(within(*way, time), 2);
            }
        }
    }
    verdict.faults = faults(changes);
    for fault in &mut verdict.faults {
        fault.stolen_ns = stolen(watched, fault);
    }
    verdict
}

fn within((from, to): Time, (first, last): Time) -> Time {
    let from = from.clamp(first, last);
    (from, to.clamp(from, last))
}

fn stolen(watched: &Watched, fault: &Fault) -> u64 {
    let until = fault.from_ns + fault.length_ns;
    let before = watched
        .stolen
        .partition_point(|(at, _)| *at <= fault.from_ns);
    let after = watched.stolen.partition_point(|(at, _)| *at < until);
    let of = |place: usize| watched.stolen.get(place).or(watched.stolen.last());
    match (of(before.saturating_sub(1)), of(after)) {
        (Some((_, before)), Some((_, after))) => after.saturating_sub(*before),
        _ => 0,
    }
}

/// Goes through the changes in order of time.
fn faults(mut changes: Vec<(u64, [i32; 3])>) -> Vec<Fault> {
    changes.sort_unstable();
    let mut found = Vec::new();
    let mut now: Option<Fault> = None;
    let mut numbers = [0; 3];
    for (place, (at, by)) in changes.iter().enumerate() {
        for (number, by) in numbers.iter_mut().zip(by) {
            *number += by;
        }
        if changes.get(place + 1).is_some_and(|next| next.0 == *at) {
            continue;
        }
        let [ready, idle, on_their_way] = numbers;
        let jobs = u32::try_from(ready - on_their_way).unwrap_or(0);
        let asleep = u32::try_from(idle - on_their_way).unwrap_or(0);
        if jobs > 0 && asleep > 0 {
            let fault = now.get_or_insert(Fault {
                from_ns: *at,
                ..Fault::default()
            });
            fault.jobs = fault.jobs.max(jobs);
            fault.asleep = fault.asleep.max(asleep);
        } else if let Some(mut fault) = now.take() {
            fault.length_ns = at - fault.from_ns;
            found.push(fault);
        }
    }
    found
}

/// Times in which a worker had no job, in order for each worker.
fn idle_times(watched: &Watched) -> Vec<(u16, Time)> {
    let workers = watched
        .processes
        .iter()
        .filter(|(_, process)| process.role == Role::Worker);
    let mut since: BTreeMap<u16, u64> = workers
        .map(|(number, process)| (*number, process.since_ns))
        .collect();
    let mut found = Vec::new();
    for event in &watched.events {
        match event.kind {
            EventKind::JobRunning => {
                if let Some(from) = since.remove(&event.process) {
                    found.push((event.process, (from.min(event.at_ns), event.at_ns)));
                }
            }
            EventKind::JobDone | EventKind::JobFailed | EventKind::JobPostponed
                if event.role == Role::Worker =>
            {
                since.insert(event.process, event.at_ns);
            }
            _ => {}
        }
    }
    let last = watched.events.last().map_or(0, |event| event.at_ns);
    let left = since.into_iter().filter(|(_, from)| *from < last);
    found.extend(left.map(|(worker, from)| (worker, (from, last))));
    found
}

/// A time in which a job was ready and nobody ran it.
struct Ready {
    from: u64,
    to: u64,
    claimed_by: u16,
}

fn ready_times(watched: &Watched) -> Vec<Ready> {
    // The time of each event's process's next event.
    let mut next = vec![u64::MAX; watched.events.len()];
    let mut later: HashMap<u16, u64> = HashMap::new();
    for (place, event) in watched.events.iter().enumerate().rev() {
        if let Some(at) = later.insert(event.process, event.at_ns) {
            next[place] = at;
        }
    }
    let last = watched.events.last().map_or(0, |event| event.at_ns);
    let mut waiting: HashMap<u32, (u64, u64, u16)> = HashMap::new();
    let mut found = Vec::new();
    let mut end = |(at, next, writer): (u64, u64, u16), to: u64, claimed_by: u16| {
        let latest = next.min(to);
        let waited = watched.processes.get(&writer);
        let waited = waited.map_or(0, |process| waited_in(process, (at, latest)));
        let from = (at + waited).min(latest);
        if from < to {
            found.push(Ready {
                from,
                to,
                claimed_by,
            });
        }
    };
    for (place, event) in watched.events.iter().enumerate() {
        match event.kind {
            EventKind::JobReady | EventKind::JobHandedOn => {
                waiting.insert(event.id, (event.at_ns, next[place], event.process));
            }
            EventKind::JobRunning | EventKind::JobFailed => {
                if let Some(since) = waiting.remove(&event.id) {
                    end(since, event.at_ns, event.process);
                }
            }
            _ => {}
        }
    }
    for since in waiting.into_values() {
        end(since, last, u16::MAX);
    }
    found
}

/// The times in which a process waited for a processor, in order and without overlap. A sample
/// tells how long it had waited for the turns since the one before. A single turn ended the waiting
/// for the job that it claimed next. Where it claimed none, or had several turns and waited long,
/// it may have waited at any time from the one sample to the other.
fn on_its_way(process: &Process, claims: &[u64]) -> Vec<Time> {
    let mut found: Vec<Time> = Vec::new();
    for pair in process.samples.windows(2) {
        let &[before, after] = pair else { continue };
        let waited = after.waited_ns.saturating_sub(before.waited_ns);
        if waited == 0 {
            continue;
        }
        let first = claims.partition_point(|claim| *claim <= before.at_ns);
        let claim = claims.get(first).filter(|claim| **claim <= after.at_ns);
        let single = after.turns == before.turns + 1 || waited < SHORT_NS;
        let (from, to) = match claim.filter(|_| single) {
            Some(claim) => (claim.saturating_sub(waited), *claim),
            None => (before.at_ns.saturating_sub(waited), after.at_ns),
        };
        let from = found.last().map_or(from, |last| from.max(last.1));
        if from < to {
            found.push((from, to));
        }
    }
    found
}

/// How long a process waited for a processor in a time at most: from the last sample before it to
/// the first one after it in which the process has had a turn again.
fn waited_in(process: &Process, (from, to): Time) -> u64 {
    let samples = &process.samples;
    let before = samples.partition_point(|sample| sample.at_ns <= from);
    let Some(first) = samples.get(before.saturating_sub(1)) else {
        return 0;
    };
    let after = samples.partition_point(|sample| sample.at_ns < to);
    let turned = samples[after..].iter().find(|s| s.turns > first.turns);
    let last = turned.or(samples.last()).unwrap_or(first);
    last.waited_ns.saturating_sub(first.waited_ns)
}
