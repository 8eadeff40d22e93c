//! A run in virtual time: the agenda itself, a network that connections share, and workers that
//! claim as they do from the table.
//!
//! Connections that are at work have equal shares of the bandwidth. Each takes a part, and when no
//! part of a begun object is left, the next object of the agenda. A job is ready with its last
//! input, and a free worker takes the ready job that was registered first. Nothing is told to the
//! agenda that a downloader does not know: sizes when a job is registered, costs when it is done,
//! and the rate at which bytes have come.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashSet, VecDeque};

use super::agenda::{Agenda, Next};
use super::network::Part;
use super::room::Room;
use crate::values::order::Order;

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// The bytes of each object.
    pub objects: Vec<u64>,
    /// The jobs in the order in which they are registered.
    pub jobs: Vec<Job>,
}

/// A job of a workload.
#[derive(Clone, Debug)]
pub struct Job {
    /// The number of its task.
    pub task: u32,
    /// Its inputs, as positions among the objects.
    pub inputs: Vec<u32>,
    /// What its processor takes, in seconds of one worker.
    pub seconds: f64,
    /// When the planner registers it, in seconds; not before the job in front of it.
    pub registered: f64,
}

/// What it is done with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Bytes per second of all connections together.
    pub bandwidth: f64,
    /// Bytes per second of one connection at most.
    pub per_connection: f64,
    /// Connections at the same time, at the beginning.
    pub connections: usize,
    /// Other numbers of connections, each with the second from which on it is allowed.
    pub later: Vec<(f64, usize)>,
    /// Seconds between a request and its first byte.
    pub latency: f64,
    /// Bytes that are asked for at a time.
    pub part_bytes: u64,
    /// Jobs at the same time.
    pub workers: usize,
    /// In which order jobs begin.
    pub order: Order,
}

impl Setup {
    /// The most connections that are ever allowed.
    pub fn most_connections(&self) -> usize {
        let later = self.later.iter().map(|(_, connections)| *connections);
        later.fold(self.connections, usize::max)
    }

    /// Bytes per second that can come.
    pub fn rate(&self) -> f64 {
        self.bandwidth
            .min(self.per_connection * self.most_connections().max(1) as f64)
    }
}

/// How it went.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Seconds from the start until the last job is done.
    pub makespan: f64,
    /// Seconds until the first job is done.
    pub first: f64,
    /// Seconds until all bytes have come.
    pub downloaded: f64,
    /// The share of the workers' time, until the last job was done, in which they worked.
    pub busy: f64,
    /// The jobs in the order in which they were done.
    pub done: Vec<u32>,
}

/// What happened in virtual time, as it can be seen of a run.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// The parts in the order in which they were asked for.
    pub parts: Vec<Part>,
    /// The jobs' runs in the order in which they began.
    pub runs: Vec<Ran>,
}

/// A job that a worker ran. Times are seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ran {
    /// The job's position.
    pub job: u32,
    /// When its inputs were there.
    pub ready: f64,
    /// When it began.
    pub begun: f64,
    /// When it was done.
    pub ended: f64,
}

/// A point in time, or of the amount that each connection has brought.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Point(f64);

impl Eq for Point {}

impl PartialOrd for Point {
    fn partial_cmp(&self, other: &Point) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Point {
    fn cmp(&self, other: &Point) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// An object on its way.
#[derive(Debug)]
struct Coming {
    slot: u32,
    /// Not asked for.
    left: u64,
}

/// Everything of a run under way.
#[derive(Debug)]
struct Run<'a> {
    workload: &'a Workload,
    setup: &'a Setup,
    agenda: Agenda,
    now: f64,
    /// Connections that are allowed now, and how many other numbers of them there were.
    connections: usize,
    changed: usize,
    /// The jobs before this one are registered.
    registered: usize,
    /// Jobs of each object.
    users: Vec<Vec<u32>>,
    /// Inputs of each job that have not landed.
    missing: Vec<usize>,
    begun: HashSet<u32>,
    /// Parts of each object that have not landed.
    parts: Vec<u64>,
    landed: Vec<bool>,
    cutting: VecDeque<Coming>,
    /// Parts that were asked for, by the time of their first byte: slot, bytes, and place in the
    /// record.
    asked: BinaryHeap<Reverse<(Point, u32, u64, usize)>>,
    /// Parts that come, by what each connection will have brought when they are there.
    coming: BinaryHeap<Reverse<(Point, u32, usize)>>,
    /// What a connection has brought that was at work all the time.
    brought: f64,
    bytes: f64,
    ready: BTreeSet<u32>,
    record: Option<(Record, Vec<f64>)>,
    running: BinaryHeap<Reverse<(Point, u32)>>,
    worked: f64,
    ended: HashSet<u32>,
    outcome: Outcome,
}

/// Runs a workload. The same values give the same outcome. Ends early, with fewer jobs done, only
/// if a job names an object that is not there.
pub fn simulate(workload: &Workload, setup: &Setup) -> Outcome {
    run(workload, setup, None).0
}

/// Runs a workload and has all that happened.
pub fn record(workload: &Workload, setup: &Setup) -> (Outcome, Record) {
    let ready = vec![0.0; workload.jobs.len()];
    run(workload, setup, Some((Record::default(), ready)))
}

fn run(
    workload: &Workload,
    setup: &Setup,
    record: Option<(Record, Vec<f64>)>,
) -> (Outcome, Record) {
    let mut users = vec![Vec::new(); workload.objects.len()];
    let mut missing = vec![0; workload.jobs.len()];
    for (number, job) in workload.jobs.iter().enumerate() {
        let inputs: BTreeSet<u32> = job.inputs.iter().copied().collect();
        missing[number] = inputs.len();
        for slot in inputs {
            if let Some(users) = users.get_mut(slot as usize) {
                users.push(number as u32);
            }
        }
    }
    let mut run = Run {
        workload,
        setup,
        agenda: Agenda::new(setup.order, Room::unlimited(), setup.workers),
        now: 0.0,
        connections: setup.connections,
        changed: 0,
        registered: 0,
        users,
        missing,
        begun: HashSet::new(),
        parts: vec![0; workload.objects.len()],
        landed: vec![false; workload.objects.len()],
        cutting: VecDeque::new(),
        asked: BinaryHeap::new(),
        coming: BinaryHeap::new(),
        brought: 0.0,
        bytes: 0.0,
        ready: BTreeSet::new(),
        record,
        running: BinaryHeap::new(),
        worked: 0.0,
        ended: HashSet::new(),
        outcome: Outcome {
            makespan: 0.0,
            first: 0.0,
            downloaded: 0.0,
            busy: 0.0,
            done: Vec::new(),
        },
    };
    while run.step() {}
    let mut outcome = run.outcome;
    outcome.makespan = run.now;
    outcome.busy = run.worked / (run.now * setup.workers.max(1) as f64);
    let record = run.record.map(|(record, _)| record);
    (outcome, record.unwrap_or_default())
}

impl Run<'_> {
    /// Does what can be done now and goes on to the next event; false if there is none.
    fn step(&mut self) -> bool {
        self.register();
        self.claim();
        while let Some((at, connections)) = self.setup.later.get(self.changed)
            && *at <= self.now
        {
            self.connections = *connections;
            self.changed += 1;
        }
        while self.asked.len() + self.coming.len() < self.connections.max(1) {
            if !self.ask() {
                break;
            }
        }
        let share = self.share();
        let next_job = self.workload.jobs.get(self.registered);
        let times = [
            next_job.map(|job| job.registered),
            self.asked.peek().map(|Reverse((at, ..))| at.0),
            self.running.peek().map(|Reverse((at, _))| at.0),
            (self.coming.peek())
                .map(|Reverse((at, ..))| self.now + (at.0 - self.brought).max(0.0) / share),
            // Only while more connections may bring something.
            (self.setup.later.get(self.changed))
                .filter(|_| !(self.asked.is_empty() && self.coming.is_empty()))
                .map(|(at, _)| *at),
        ];
        let next = times.into_iter().flatten().min_by(f64::total_cmp);
        let Some(next) = next else {
            return false;
        };
        let next = next.max(self.now);
        if !self.coming.is_empty() {
            self.brought += (next - self.now) * share;
        }
        self.now = next;
        self.events(times[3] == Some(next));
        true
    }

    /// Bytes per second of each connection at work.
    fn share(&self) -> f64 {
        let connections = self.coming.len().max(1) as f64;
        (self.setup.bandwidth / connections).min(self.setup.per_connection)
    }

    fn register(&mut self) {
        while let Some(job) = self.workload.jobs.get(self.registered)
            && job.registered <= self.now
        {
            let number = self.registered as u32;
            self.registered += 1;
            let size = |slot: &u32| Some((*slot, *self.workload.objects.get(*slot as usize)?));
            let inputs: Vec<_> = job.inputs.iter().filter_map(size).collect();
            self.agenda.job(number, job.task, &inputs);
            for (slot, _) in inputs {
                if self.begun.contains(&slot) {
                    self.agenda.landed(slot);
                }
            }
            if self.missing[number as usize] == 0 {
                self.is_ready(number);
            }
        }
    }

    fn is_ready(&mut self, job: u32) {
        self.ready.insert(job);
        if let Some((_, ready)) = &mut self.record {
            ready[job as usize] = self.now;
        }
    }

    fn claim(&mut self) {
        while self.running.len() < self.setup.workers.max(1)
            && let Some(job) = self.ready.pop_first()
        {
            let seconds = self.workload.jobs[job as usize].seconds;
            self.worked += seconds;
            self.running.push(Reverse((Point(self.now + seconds), job)));
            if let Some((record, ready)) = &mut self.record {
                record.runs.push(Ran {
                    job,
                    ready: ready[job as usize],
                    begun: self.now,
                    ended: self.now + seconds,
                });
            }
        }
    }

    /// Asks for one more part; false if there is none.
    fn ask(&mut self) -> bool {
        while self.cutting.is_empty() {
            match self.agenda.next_up() {
                Next::Fetch(slot) if self.begun.insert(slot) => {
                    let left = self.workload.objects[slot as usize];
                    let parts = left.div_ceil(self.setup.part_bytes.max(1)).max(1);
                    self.parts[slot as usize] = parts;
                    self.cutting.push_back(Coming { slot, left });
                }
                Next::Fetch(_) => {}
                // What came for others was all that it needed.
                Next::Begin(job) if self.ended.contains(&job) => drop(self.agenda.ended(job)),
                Next::Begin(_) => {}
                Next::Nothing | Next::Full | Next::Recycle(_) => return false,
            }
        }
        let Some(object) = self.cutting.front_mut() else {
            return false;
        };
        let part = object.left.min(self.setup.part_bytes.max(1));
        object.left -= part;
        let at = Point(self.now + self.setup.latency);
        let mut place = 0;
        if let Some((record, _)) = &mut self.record {
            place = record.parts.len();
            record.parts.push(Part {
                object: object.slot,
                begun: self.now,
                answered: Some(at.0),
                ended: at.0,
                bytes: part,
            });
        }
        self.asked.push(Reverse((at, object.slot, part, place)));
        if object.left == 0 {
            self.cutting.pop_front();
        }
        true
    }

    /// Takes in everything that happens now.
    fn events(&mut self, landed: bool) {
        if landed && let Some(Reverse((at, slot, place))) = self.coming.pop() {
            if let Some((record, _)) = &mut self.record {
                record.parts[place].ended = self.now;
            }
            self.brought = self.brought.max(at.0);
            self.part_landed(slot);
        }
        while let Some(Reverse((at, slot, part, place))) = self.asked.peek().copied()
            && at.0 <= self.now
        {
            self.asked.pop();
            self.bytes += part as f64;
            let there = Point(self.brought + part as f64);
            self.coming.push(Reverse((there, slot, place)));
        }
        while let Some(Reverse((at, job))) = self.running.peek().copied()
            && at.0 <= self.now
        {
            self.running.pop();
            self.job_done(job);
        }
    }

    fn part_landed(&mut self, slot: u32) {
        if self.now > 0.0 {
            self.agenda.network(self.bytes / self.now);
        }
        let parts = &mut self.parts[slot as usize];
        *parts = parts.saturating_sub(1);
        if *parts > 0 {
            return;
        }
        self.outcome.downloaded = self.now;
        self.landed[slot as usize] = true;
        self.agenda.landed(slot);
        for job in self.users[slot as usize].clone() {
            let missing = &mut self.missing[job as usize];
            *missing -= 1;
            if *missing == 0 && (job as usize) < self.registered {
                self.is_ready(job);
            }
        }
    }

    fn job_done(&mut self, number: u32) {
        let job = &self.workload.jobs[number as usize];
        let bytes = |slot: &u32| self.workload.objects.get(*slot as usize);
        let bytes = job.inputs.iter().filter_map(bytes).sum();
        self.agenda.learn(job.task, bytes, job.seconds);
        self.agenda.ended(number);
        self.ended.insert(number);
        if self.outcome.done.is_empty() {
            self.outcome.first = self.now;
        }
        self.outcome.done.push(number);
    }
}
