//! A run that was seen, once more in virtual time: as it was, to know how far the simulator is
//! off, and with one thing changed, to say what that would have brought.
//!
//! What the simulator does not know: limits of staging, uploads, processors that begin before
//! their inputs are there, and cores that jobs have to share.

use std::collections::BTreeSet;

use super::network::{Growth, Network, Part};
use super::simulate::{Job, Setup, Workload, simulate};
use crate::values::order::Order;

/// So many parts and jobs are simulated as often as one likes.
const SMALL: usize = 30_000;
/// Of more than these, only the three changes are tried that tell most.
const HUGE: usize = 500_000;
/// Savings of a smaller share than this are chance: jobs come in another order.
const LEAST: f64 = 0.02;
/// Connections that can be asked for.
const MOST_CONNECTIONS: usize = 1024;

/// What was seen of a run. Times are seconds since it began.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The bytes of each object that had to come; 0 for what was in staging.
    pub objects: Vec<u64>,
    /// The parts that came.
    pub parts: Vec<Part>,
    /// Seconds in which something was downloaded: for the rate, where no parts are known.
    pub downloading: f64,
    /// The jobs that ran, in the order in which they were registered.
    pub jobs: Vec<Job>,
    /// When the last of them was done.
    pub ended: f64,
    /// Connections that were allowed, each number from a time on.
    pub settings: Vec<(f64, usize)>,
    /// The number of connections, if it never changed.
    pub connections: Option<usize>,
    /// The most connections that could have been, where something limits them.
    pub most_connections: Option<usize>,
    /// Jobs at the same time.
    pub workers: usize,
    /// In which order jobs began.
    pub order: Order,
}

/// One thing that could have been another way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// So many connections from the beginning.
    Connections(usize),
    /// So many workers.
    Workers(usize),
    /// The network so many times as fast, all in all and each connection.
    Network(f64),
    /// Another order.
    Order(Order),
    /// Everything in staging before the run.
    Staged,
    /// Processors that take no time.
    Instant,
}

/// What would have come of a change.
#[derive(Clone, Copy, Debug)]
pub struct WhatIf {
    /// The change.
    pub change: Change,
    /// Seconds in virtual time.
    pub seconds: f64,
    /// It takes for granted that more connections bring more in proportion, which held for those
    /// that were seen.
    pub assumed: bool,
}

/// A run in virtual time, as it was and as it could have been.
#[derive(Clone, Debug)]
pub struct Replay {
    /// What the run had to do with.
    pub setup: Setup,
    /// How its network was seen; `None` if nothing came through it.
    pub network: Option<Network>,
    /// Seconds from the first registered job until the last was done, as it was.
    pub actual: f64,
    /// The same in virtual time.
    pub replayed: f64,
    /// What could have been.
    pub what_ifs: Vec<WhatIf>,
    /// The run is large, and fewer changes were tried.
    pub is_large: bool,
}

impl Replay {
    /// Replays a run; `None` if there is no job in it.
    pub fn of(observed: &Observed) -> Option<Replay> {
        let (workload, setup, network) = fit(observed)?;
        let begun = begun(observed);
        let replayed = simulate(&workload, &setup).makespan;
        let size = observed.parts.len() + workload.jobs.len();
        let is_large = size > SMALL;
        let base = Base {
            workload: &workload,
            setup: &setup,
            network: network.as_ref(),
            pinned: observed.connections,
            most: observed.most_connections.unwrap_or(MOST_CONNECTIONS),
        };
        let mut changes = base.changes(is_large);
        if size > HUGE {
            let twice = setup.most_connections() * 2;
            changes.retain(|change| match change {
                Change::Connections(connections) => *connections == twice,
                change => matches!(change, Change::Workers(_) | Change::Staged),
            });
        }
        let what_ifs = changes.into_iter().map(|change| base.ask(change)).collect();
        Some(Replay {
            setup,
            network,
            actual: (observed.ended - begun).max(0.0),
            replayed,
            what_ifs,
            is_large,
        })
    }

    /// How far the replay is off: the share of the actual time by which it is longer.
    pub fn off(&self) -> f64 {
        match self.actual > 0.0 {
            true => (self.replayed - self.actual) / self.actual,
            false => 0.0,
        }
    }

    /// Seconds that a change would have saved, or cost if negative; `None` if that is less than
    /// the replay itself is off, or than two hundredths of the time.
    pub fn saved(&self, what_if: &WhatIf) -> Option<f64> {
        let saved = self.replayed - what_if.seconds;
        // Less to do takes no longer, even if jobs happen to come in a worse order.
        let is_less = matches!(
            what_if.change,
            Change::Network(_) | Change::Staged | Change::Instant
        );
        let saved = if is_less { saved.max(0.0) } else { saved };
        let least = (self.replayed - self.actual)
            .abs()
            .max(self.replayed * LEAST);
        (saved.abs() > least).then_some(saved)
    }
}

/// When the first job was registered.
fn begun(observed: &Observed) -> f64 {
    let registered = observed.jobs.iter().map(|job| job.registered);
    registered.fold(f64::INFINITY, f64::min)
}

/// What was to be done in a run, and with what; `None` if there is no job in it. Without parts,
/// the network is as fast as bytes came while something was downloaded.
pub fn fit(observed: &Observed) -> Option<(Workload, Setup, Option<Network>)> {
    let begun = begun(observed);
    if !begun.is_finite() {
        return None;
    }
    let bytes = |slot: u32| observed.objects.get(slot as usize).copied().unwrap_or(0);
    let jobs = observed.jobs.iter().map(|job| Job {
        // What has no bytes to come is there.
        inputs: job
            .inputs
            .iter()
            .copied()
            .filter(|&slot| bytes(slot) > 0)
            .collect(),
        registered: (job.registered - begun).max(0.0),
        ..job.clone()
    });
    let mut jobs: Vec<Job> = jobs.collect();
    jobs.sort_by(|a, b| a.registered.total_cmp(&b.registered));
    let used: BTreeSet<u32> = jobs
        .iter()
        .flat_map(|job| job.inputs.iter().copied())
        .collect();
    let network = Network::of(&observed.parts);
    let (connections, later) = connections(observed, begun, network.as_ref());
    let all: u64 = used.iter().map(|slot| bytes(*slot)).sum();
    let plain = all as f64 / observed.downloading.max(1e-3);
    let setup = Setup {
        bandwidth: network.map_or(plain.max(1.0), |n| n.bandwidth),
        per_connection: network.map_or(f64::INFINITY, |n| n.per_connection),
        connections,
        later,
        latency: network.map_or(0.0, |n| n.latency),
        part_bytes: part_bytes(observed, &used),
        workers: observed.workers,
        order: observed.order,
    };
    let objects = observed.objects.clone();
    Some((Workload { objects, jobs }, setup, network))
}

/// Connections at the beginning and later, in seconds from the first job.
fn connections(
    observed: &Observed,
    begun: f64,
    network: Option<&Network>,
) -> (usize, Vec<(f64, usize)>) {
    if let Some(connections) = observed.connections {
        return (connections, Vec::new());
    }
    let before = observed.settings.iter().rev().find(|(at, _)| *at <= begun);
    let first = before.or(observed.settings.first());
    let seen = network.map_or(8, |network| network.most);
    let later = observed.settings.iter().filter(|(at, _)| *at > begun);
    (
        first.map_or(seen, |(_, connections)| *connections),
        later
            .map(|(at, connections)| (at - begun, *connections))
            .collect(),
    )
}

/// Bytes of a part such that there are as many parts as there were.
fn part_bytes(observed: &Observed, used: &BTreeSet<u32>) -> u64 {
    let came = observed.parts.iter();
    let came = came.filter(|part| part.bytes > 0 && used.contains(&part.object));
    let wanted = came.count() as u64;
    if wanted == 0 {
        return 8 << 20;
    }
    let bytes = |slot: &u32| observed.objects.get(*slot as usize).copied();
    let parts = |of: u64| -> u64 {
        let sizes = used.iter().filter_map(bytes);
        sizes.map(|size| size.div_ceil(of)).sum()
    };
    // More bytes, fewer parts.
    let (mut few, mut many) = (1_u64 << 40, 1_u64 << 12);
    while few - many > many / 64 {
        let middle = many + (few - many) / 2;
        match parts(middle) > wanted {
            true => many = middle,
            false => few = middle,
        }
    }
    few
}

/// What changes start from.
struct Base<'a> {
    workload: &'a Workload,
    setup: &'a Setup,
    network: Option<&'a Network>,
    pinned: Option<usize>,
    most: usize,
}

impl Base<'_> {
    /// The changes that mean something for this run.
    fn changes(&self, is_large: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        let has_downloads = self.workload.jobs.iter().any(|job| !job.inputs.is_empty());
        if has_downloads {
            changes.extend(self.numbers(is_large).into_iter().map(Change::Connections));
            changes.push(Change::Network(2.0));
        }
        let workers = self.setup.workers.max(1);
        let busy = self.workload.jobs.iter().any(|job| job.seconds > 0.0);
        if busy {
            changes.extend((workers > 1 && !is_large).then_some(Change::Workers(workers + 1)));
            changes.push(Change::Workers(workers * 2));
        }
        if has_downloads {
            let others = Order::ALL.into_iter().filter(|o| *o != self.setup.order);
            if self.workload.jobs.len() > 1 && !is_large {
                changes.extend(others.map(Change::Order));
            }
            changes.push(Change::Staged);
        }
        if busy {
            changes.push(Change::Instant);
        }
        changes
    }

    /// Other numbers of connections of which something is known.
    fn numbers(&self, is_large: bool) -> Vec<usize> {
        let Some(network) = self.network else {
            return Vec::new();
        };
        let now = self.setup.most_connections();
        let mut numbers = match network.growth {
            // Nothing is known of any other number.
            Growth::Unknown => Vec::new(),
            _ if is_large => vec![now * 2, now * 4],
            _ => vec![now / 2, now * 2, now * 3, now * 4],
        };
        if self.pinned.is_none() && network.growth != Growth::Unknown {
            numbers.push(now);
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers.retain(|n| (1..=self.most).contains(n) && Some(*n) != self.pinned);
        numbers
    }

    fn ask(&self, change: Change) -> WhatIf {
        let mut setup = self.setup.clone();
        let mut other = None;
        let mut assumed = false;
        match change {
            Change::Connections(connections) => {
                setup.connections = connections;
                setup.later = Vec::new();
                assumed = self.network.is_some_and(|network| {
                    network.growth == Growth::Proportional && connections > network.most
                });
            }
            Change::Workers(workers) => setup.workers = workers,
            Change::Network(times) => {
                setup.bandwidth *= times;
                setup.per_connection *= times;
            }
            Change::Order(order) => setup.order = order,
            Change::Staged => {
                let jobs = self.workload.jobs.iter().map(|job| Job {
                    inputs: Vec::new(),
                    ..job.clone()
                });
                other = Some(jobs.collect::<Vec<_>>());
            }
            Change::Instant => {
                let jobs = self.workload.jobs.iter().map(|job| Job {
                    seconds: 0.0,
                    ..job.clone()
                });
                other = Some(jobs.collect());
            }
        }
        let other = other.map(|jobs| Workload {
            objects: self.workload.objects.clone(),
            jobs,
        });
        let workload = other.as_ref().unwrap_or(self.workload);
        WhatIf {
            change,
            seconds: simulate(workload, &setup).makespan,
            assumed,
        }
    }
}
