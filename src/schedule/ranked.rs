//! Jobs that are not begun, ranked by what they lack: for all orders but that of the plan.
//!
//! An object that several jobs need is one slot with a list of those jobs, so that its bytes are
//! no longer missing for any of them once they come. The heaps are not searched when a job's
//! place changes: it is pushed once more, and entries that no longer say how things are go when
//! they come to the top. So the costs may change at any time without anything being sorted anew.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};

use super::costs::Costs;

/// No more of a list.
const END: u32 = u32::MAX;

/// A job's number, its task, and its inputs with their bytes.
pub(super) type Inputs = (u32, u32, Vec<(u32, u64)>);

/// The jobs that are not begun, and the slots that any job has.
#[derive(Debug, Default)]
pub(super) struct Ranked {
    jobs: Vec<Job>,
    /// The inputs of the jobs, one job after the other.
    nodes: Vec<Node>,
    slots: HashMap<u32, Slot>,
    tasks: BTreeMap<u32, Task>,
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
            begun: false,
        });
        let heaps = self.tasks.entry(task).or_default();
        heaps.small.push(Reverse((missing, place)));
        heaps.large.push((bytes, Reverse(place)));
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
            let Some(job) = self.jobs.get_mut(place as usize) else {
                continue;
            };
            job.missing = match missing {
                true => job.missing.saturating_add(bytes),
                false => job.missing.saturating_sub(bytes),
            };
            if !job.begun {
                let entry = Reverse((job.missing, place));
                self.tasks.entry(job.task).or_default().small.push(entry);
            }
        }
    }

    /// Whether a slot's bytes are neither there nor on their way.
    pub fn is_missing(&self, slot: u32) -> bool {
        self.slots.get(&slot).is_some_and(|slot| slot.missing)
    }

    /// The place of the job that is to begin next.
    pub fn first(&mut self, rule: Rule, costs: &Costs) -> Option<u32> {
        let jobs = &self.jobs;
        // Tasks without jobs left are not looked at again.
        self.tasks.retain(|_, task| task.trim(jobs));
        let small = |of: &dyn Fn(u32) -> bool| {
            let tasks = self.tasks.iter().filter(|(number, _)| of(**number));
            tasks
                .filter_map(|(_, task)| task.small.peek().map(|Reverse(entry)| *entry))
                .min()
                .map(|(_, place)| place)
        };
        let Rule::Johnson { workers } = rule else {
            return small(&|_| true);
        };
        // Where the workers need longer than the network, or nobody knows: what lacks least, so
        // that they have work soon. Then the rest, what they need longest for first, so that
        // little is left to do when the last bytes have come.
        let heavy = |task| {
            costs
                .balance(task, workers)
                .is_none_or(|balance| balance > 1.0)
        };
        small(&heavy).or_else(|| {
            let seconds = |task: u32, bytes: u64| costs.of(task).unwrap_or(0.0) * bytes as f64;
            let tasks = self.tasks.iter();
            tasks
                .filter_map(|(number, task)| {
                    let (bytes, Reverse(place)) = task.large.peek()?;
                    Some((seconds(*number, *bytes), Reverse(*place)))
                })
                .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)))
                .map(|(_, Reverse(place))| place)
        })
    }

    /// The number of a job, its task, and its inputs with their bytes.
    pub fn inputs(&self, place: u32) -> Option<Inputs> {
        let job = self.jobs.get(place as usize)?;
        let nodes = self.nodes.iter().skip(job.first as usize);
        let inputs = nodes.take(job.count as usize).map(|node| {
            let bytes = self.slots.get(&node.slot).map_or(0, |slot| slot.bytes);
            (node.slot, bytes)
        });
        Some((job.number, job.task, inputs.collect()))
    }

    /// A job begins: it has no place any more.
    pub fn begin(&mut self, place: u32) {
        if let Some(job) = self.jobs.get_mut(place as usize) {
            job.begun = true;
        }
    }
}

impl Task {
    /// Takes away what is no longer so from the top; whether a job is left.
    fn trim(&mut self, jobs: &[Job]) -> bool {
        let job = |place: u32| jobs.get(place as usize).filter(|job| !job.begun);
        while let Some(Reverse((missing, place))) = self.small.peek()
            && job(*place).is_none_or(|job| job.missing != *missing)
        {
            self.small.pop();
        }
        while let Some((_, Reverse(place))) = self.large.peek()
            && job(*place).is_none()
        {
            self.large.pop();
        }
        !self.small.is_empty()
    }
}
