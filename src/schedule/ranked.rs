//! Jobs that are not begun, ranked by what they lack: for all orders but that of the plan.
//!
//! An object that several jobs need is one slot with a list of those jobs, so that its bytes are
//! no longer missing for any of them once they come. The heaps are not searched when a job's
//! place changes: it is pushed once more, and entries that no longer say how things are go when
//! they come to the top. So the costs may change at any time without anything being sorted anew.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::costs::{Costs, Load};

/// No more of a list.
const END: u32 = u32::MAX;
/// A job that takes this share of all that is left has to begin now.
const CRITICAL: f64 = 0.8;

/// The jobs that are not begun, and the slots that any job has.
#[derive(Debug, Default)]
pub(super) struct Ranked {
    jobs: Vec<Job>,
    /// The inputs of the jobs, one job after the other.
    nodes: Vec<Node>,
    slots: HashMap<u32, Slot>,
    tasks: BTreeMap<u32, Task>,
    /// Jobs that lack half of their bytes or less because others need them too.
    half: BinaryHeap<Reverse<(u64, u32)>>,
    /// Bytes of all jobs that are not begun.
    left: Load,
}

#[derive(Debug)]
struct Job {
    number: u32,
    task: u32,
    /// Its nodes: the first, and how many.
    first: u32,
    count: u32,
    /// Bytes that have neither landed nor are being fetched.
    missing: u64,
    bytes: u64,
    begun: bool,
}

/// An input of a job, and the next node of the same slot.
#[derive(Debug)]
struct Node {
    slot: u32,
    job: u32,
    next: u32,
}

#[derive(Debug)]
struct Slot {
    bytes: u64,
    /// Its first node.
    head: u32,
    /// Its bytes are neither there nor on their way.
    missing: bool,
}

/// The jobs of a task: those that lack least, and those that are largest.
#[derive(Debug, Default)]
struct Task {
    small: BinaryHeap<Reverse<(u64, u32)>>,
    large: BinaryHeap<(u64, Reverse<u32>)>,
}

/// By which rule the first job is found.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    Smallest,
    Johnson { workers: usize },
}

/// A job that is to begin.
#[derive(Clone, Debug)]
pub(super) struct First {
    /// Its place among the ranked.
    pub place: u32,
    pub job: u32,
    pub task: u32,
    pub inputs: Box<[(u32, u64)]>,
}

impl Ranked {
    /// Takes a job in.
    pub fn add(&mut self, number: u32, task: u32, inputs: &[(u32, u64)]) {
        let place = self.jobs.len() as u32;
        let first = self.nodes.len() as u32;
        let (mut missing, mut bytes) = (0_u64, 0_u64);
        for (at, &(slot, size)) in inputs.iter().enumerate() {
            let known = self.slots.entry(slot).or_insert(Slot {
                bytes: size,
                head: END,
                missing: true,
            });
            // The same object twice is one object.
            if inputs[..at].iter().any(|(other, _)| *other == slot) {
                continue;
            }
            self.nodes.push(Node {
                slot,
                job: place,
                next: known.head,
            });
            known.head = (self.nodes.len() - 1) as u32;
            bytes = bytes.saturating_add(known.bytes);
            if known.missing {
                missing = missing.saturating_add(known.bytes);
            }
        }
        self.jobs.push(Job {
            number,
            task,
            first,
            count: self.nodes.len() as u32 - first,
            missing,
            bytes,
            begun: false,
        });
        self.left.add(task, bytes);
        let heaps = self.tasks.entry(task).or_default();
        heaps.large.push((bytes, Reverse(place)));
        self.push(place);
    }

    /// Gives a job the place that it has by what it lacks.
    fn push(&mut self, place: u32) {
        let Some(job) = self.jobs.get(place as usize).filter(|job| !job.begun) else {
            return;
        };
        let entry = Reverse((job.missing, place));
        self.tasks.entry(job.task).or_default().small.push(entry);
        if job.missing <= job.bytes / 2 {
            self.half.push(entry);
        }
    }

    /// A slot of a job that began elsewhere.
    pub fn know(&mut self, slot: u32, bytes: u64) {
        self.slots.entry(slot).or_insert(Slot {
            bytes,
            head: END,
            missing: true,
        });
    }

    /// The bytes of a slot are there or on their way, or they are missing once more.
    pub fn set_missing(&mut self, slot: u32, missing: bool) {
        let Some(known) = self.slots.get_mut(&slot) else {
            return;
        };
        if known.missing == missing {
            return;
        }
        known.missing = missing;
        let (bytes, mut at) = (known.bytes, known.head);
        while let Some(node) = self.nodes.get(at as usize) {
            at = node.next;
            let place = node.job;
            if let Some(job) = self.jobs.get_mut(place as usize) {
                job.missing = match missing {
                    true => job.missing.saturating_add(bytes),
                    false => job.missing.saturating_sub(bytes),
                };
                self.push(place);
            }
        }
    }

    /// Whether a slot's bytes are there or on their way. Nothing is known of slots that only jobs
    /// have which began before this value was made.
    pub fn is_coming(&self, slot: u32) -> bool {
        self.slots.get(&slot).is_some_and(|slot| !slot.missing)
    }

    /// The job that is to begin next, while the workers still have `ahead` to do.
    pub fn first(&mut self, rule: Rule, costs: &Costs, ahead: &Load) -> Option<First> {
        let jobs = &self.jobs;
        trim(&mut self.half, jobs);
        // Tasks without jobs left are not looked at again.
        self.tasks.retain(|_, task| task.trim(jobs));
        let place = match rule {
            Rule::Smallest => self.smallest(|_| true),
            Rule::Johnson { workers } => self.johnson(costs, ahead, workers),
        }?;
        let job = self.jobs.get(place as usize)?;
        let nodes = self.nodes.iter().skip(job.first as usize);
        let inputs = nodes.take(job.count as usize).map(|node| {
            let bytes = self.slots.get(&node.slot).map_or(0, |slot| slot.bytes);
            (node.slot, bytes)
        });
        Some(First {
            place,
            job: job.number,
            task: job.task,
            inputs: inputs.collect(),
        })
    }

    /// The job that lacks least, of some tasks.
    fn smallest(&self, of: impl Fn(u32) -> bool) -> Option<u32> {
        let tasks = self.tasks.iter().filter(|(task, _)| of(**task));
        tasks
            .filter_map(|(_, task)| task.small.peek().map(|Reverse(entry)| *entry))
            .min()
            .map(|(_, place)| place)
    }

    /// The job that takes the workers longest, with its seconds.
    fn longest(&self, costs: &Costs) -> Option<(f64, u32)> {
        let tasks = self.tasks.iter().filter_map(|(number, task)| {
            let (bytes, Reverse(place)) = task.large.peek()?;
            let seconds = costs.of(*number).unwrap_or(0.0) * *bytes as f64;
            Some((seconds, Reverse(*place)))
        });
        tasks
            .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
            .map(|(seconds, Reverse(place))| (seconds, place))
    }

    /// Johnson's rule, for several workers: where they need longer than the network, or nobody
    /// knows, what lacks least begins first, so that they have work soon; then the rest, what they
    /// need longest for first, so that little is left to do when the last bytes have come. Two
    /// things differ with several workers: a long job that begins late keeps one of them at work
    /// when the others are done, so the longest begins as soon as all have enough to do while it
    /// comes, or when it is what everything waits for. And a job of which half is there anyway
    /// costs the network little.
    fn johnson(&self, costs: &Costs, ahead: &Load, workers: usize) -> Option<u32> {
        if let Some(Reverse((_, place))) = self.half.peek() {
            return Some(*place);
        }
        let longest = self.longest(costs);
        let now = longest.is_some_and(|(seconds, place)| {
            let missing = self.jobs.get(place as usize).map_or(0, |job| job.missing);
            let Some(download) = costs.download(missing).filter(|_| seconds > 0.0) else {
                return false;
            };
            let workers = workers.max(1) as f64;
            let ahead = costs.seconds(ahead) / workers;
            let network = costs.download(self.left.bytes()).unwrap_or(0.0);
            let left = network.max(ahead + costs.seconds(&self.left) / workers);
            download < ahead || download + seconds > CRITICAL * left
        });
        let heavy = |task| {
            let balance = costs.balance(task, workers);
            balance.is_none_or(|balance| balance > 1.0)
        };
        let smallest = if now { None } else { self.smallest(heavy) };
        smallest.or(longest.map(|(_, place)| place))
    }

    /// A job begins: it has no place any more.
    pub fn begin(&mut self, first: &First) {
        if let Some(job) = self.jobs.get_mut(first.place as usize) {
            job.begun = true;
            self.left.take(job.task, job.bytes);
        }
    }
}

/// Takes what is no longer so away from the top.
fn trim(heap: &mut BinaryHeap<Reverse<(u64, u32)>>, jobs: &[Job]) {
    while let Some(Reverse((missing, place))) = heap.peek() {
        let job = jobs.get(*place as usize);
        if job.is_some_and(|job| !job.begun && job.missing == *missing) {
            return;
        }
        heap.pop();
    }
}

impl Task {
    /// Takes what is no longer so away from the top; whether a job is left.
    fn trim(&mut self, jobs: &[Job]) -> bool {
        trim(&mut self.small, jobs);
        while let Some((_, Reverse(place))) = self.large.peek()
            && jobs.get(*place as usize).is_none_or(|job| job.begun)
        {
            self.large.pop();
        }
        !self.small.is_empty()
    }
}
