//! How soon a workload can be done at best, whoever schedules it.

use std::collections::{BTreeMap, BTreeSet};

use super::simulate::{Setup, Workload};

/// Bounds that are farther apart are not the same.
const NEAR: f64 = 1.02;
/// A job that may end so many times later than the bound, without anybody's fault, is bad luck.
const LUCK: f64 = 1.25;
/// So many times what its bytes tell is far longer than they tell.
const SURPRISE: f64 = 2.0;

/// Whether the plain bound can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// As far as is known.
    Possible,
    /// By a scheduler that knows which of two like jobs takes longer before it has run them: if
    /// the long one comes last it ends a quarter later than the bound, or more.
    Luck,
    /// Not by any: the reason.
    Impossible(&'static str),
}

/// Seconds before which nobody can have done a workload.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// All bytes ÷ bandwidth.
    pub network: f64,
    /// All processing ÷ workers.
    pub workers: f64,
    /// The shortest download and the shortest processing of a job.
    pub ends: f64,
    /// Bounds that see more of the workload, with their reasons.
    closer: Vec<(f64, &'static str)>,
    /// When a job that takes far longer than its bytes tell is done if it comes last.
    unlucky: f64,
}

impl Bounds {
    /// The bounds of a workload. Nothing of how it is scheduled is looked at.
    pub fn of(workload: &Workload, setup: &Setup) -> Bounds {
        let rate = setup.rate();
        let workers = setup.workers.max(1);
        let jobs: Vec<Stages> = workload
            .jobs
            .iter()
            .map(|job| {
                let slots: BTreeSet<u32> = job.inputs.iter().copied().collect();
                let bytes = |slot: &u32| workload.objects.get(*slot as usize).copied();
                let bytes: u64 = slots.iter().filter_map(bytes).sum();
                Stages {
                    download: bytes as f64 / rate,
                    processing: job.seconds,
                    registered: job.registered,
                }
            })
            .collect();
        let users = used(workload);
        let bytes: f64 = (workload.objects.iter().zip(&users))
            .filter(|(_, users)| **users > 0)
            .map(|(bytes, _)| *bytes as f64)
            .sum();
        let network = bytes / rate;
        let processing: f64 = jobs.iter().map(|job| job.processing).sum();
        let least = |of: fn(&Stages) -> f64| jobs.iter().map(of).min_by(f64::total_cmp);
        let first = least(|job| job.download).unwrap_or(0.0);
        let last = least(|job| job.processing).unwrap_or(0.0);
        let starts = least(|job| job.registered + job.download).unwrap_or(0.0);
        let mut closer = vec![
            (
                network + last,
                "the last bytes are processed when all have come",
            ),
            (
                starts + processing / workers as f64,
                "no worker has work until the first job is downloaded",
            ),
            (
                first_wave(&jobs, processing, workers, &users),
                "the first download feeds one worker, the second another",
            ),
            (
                starts + longest(&jobs, workers),
                "the longest jobs do not fit side by side",
            ),
            (
                (jobs.iter())
                    .map(|job| job.registered + job.download + job.processing)
                    .fold(0.0, f64::max),
                "one job takes so long by itself",
            ),
            (late(&jobs, workers), "jobs are registered late"),
        ];
        // With shared inputs a job's bytes may be there before it begins.
        if users.iter().all(|users| *users <= 1) {
            closer.push((
                flow_shop(&jobs, workers),
                "the stages wait for each other in any order",
            ));
        }
        Bounds {
            network,
            workers: processing / workers as f64,
            ends: first + last,
            closer,
            unlucky: unlucky(workload, &jobs, network, workers),
        }
    }

    /// The bound that results are measured by: the largest of the first three.
    pub fn plain(&self) -> f64 {
        self.network.max(self.workers).max(self.ends)
    }

    /// The largest of all bounds.
    pub fn closest(&self) -> f64 {
        let closer = self.closer.iter().map(|(bound, _)| *bound);
        closer.fold(self.plain(), f64::max)
    }

    /// Whether the plain bound can be reached: not if another one is more than 2 % above it.
    pub fn reach(&self) -> Reach {
        let closest = self.closer.iter().max_by(|a, b| a.0.total_cmp(&b.0));
        match closest {
            Some((bound, why)) if *bound > self.plain() * NEAR => Reach::Impossible(why),
            _ if self.unlucky > self.plain() * LUCK => Reach::Luck,
            _ => Reach::Possible,
        }
    }
}

/// A job as the two stages see it, in seconds.
#[derive(Clone, Copy, Debug)]
struct Stages {
    /// With the whole bandwidth.
    download: f64,
    processing: f64,
    registered: f64,
}

/// How many jobs use each object.
fn used(workload: &Workload) -> Vec<u32> {
    let mut users = vec![0; workload.objects.len()];
    for job in &workload.jobs {
        for slot in job.inputs.iter().collect::<BTreeSet<_>>() {
            if let Some(users) = users.get_mut(*slot as usize) {
                *users += 1;
            }
        }
    }
    users
}

/// Worker number k has nothing to do until k jobs are downloaded: the shortest, at best.
fn first_wave(jobs: &[Stages], processing: f64, workers: usize, users: &[u32]) -> f64 {
    // With shared inputs several jobs may come at once.
    if users.iter().any(|users| *users > 1) {
        return 0.0;
    }
    let mut downloads: Vec<f64> = jobs.iter().map(|job| job.download).collect();
    downloads.sort_by(f64::total_cmp);
    let (mut begun, mut idle) = (0.0, 0.0);
    let mut best = f64::INFINITY;
    for (k, download) in downloads.iter().take(workers).enumerate() {
        begun += download;
        idle += begun;
        best = best.min((processing + idle) / (k + 1) as f64);
    }
    if best.is_finite() { best } else { 0.0 }
}

/// When the job is done that takes far longer than its bytes and its task tell, if it comes last.
fn unlucky(workload: &Workload, jobs: &[Stages], network: f64, workers: usize) -> f64 {
    let mut costs: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for (job, stages) in workload.jobs.iter().zip(jobs) {
        let cost = stages.processing / stages.download;
        costs.entry(job.task).or_default().push(cost);
    }
    let median = |mut costs: Vec<f64>| {
        costs.sort_by(f64::total_cmp);
        costs.get(costs.len() / 2).copied().unwrap_or(0.0)
    };
    let costs: BTreeMap<u32, f64> = costs.into_iter().map(|(t, c)| (t, median(c))).collect();
    let all: f64 = jobs.iter().map(|job| job.processing).sum();
    let mut latest: f64 = 0.0;
    for (job, stages) in workload.jobs.iter().zip(jobs) {
        let told = costs
            .get(&job.task)
            .map_or(0.0, |cost| cost * stages.download);
        if stages.processing > told * SURPRISE {
            let others = (all - stages.processing) / workers as f64;
            latest = latest.max(network.max(others) + stages.processing);
        }
    }
    latest
}

/// Of the `k × workers + 1` longest jobs, `k + 1` run one after the other on some worker.
fn longest(jobs: &[Stages], workers: usize) -> f64 {
    let mut seconds: Vec<f64> = jobs.iter().map(|job| job.processing).collect();
    seconds.sort_by(|a, b| b.total_cmp(a));
    let mut most: f64 = 0.0;
    for k in 0..seconds.len() {
        let Some(longest) = seconds.get(..=k * workers) else {
            break;
        };
        most = most.max(longest.iter().rev().take(k + 1).sum());
    }
    most
}

/// What is registered from some time on takes as long as it takes from then on.
fn late(jobs: &[Stages], workers: usize) -> f64 {
    let mut processing = 0.0;
    let mut most: f64 = 0.0;
    for job in jobs.iter().rev() {
        processing += job.processing;
        most = most.max(job.registered + processing / workers as f64);
    }
    most
}

/// Johnson's rule gives the shortest flow shop of two machines, also if jobs may be interrupted.
/// One machine that is as fast as all workers together can do whatever they can.
fn flow_shop(jobs: &[Stages], workers: usize) -> f64 {
    let fast = |job: &Stages| (job.download, job.processing / workers as f64);
    let (mut first, mut second): (Vec<_>, Vec<_>) = jobs.iter().map(fast).partition(|(a, b)| a < b);
    first.sort_by(|a, b| a.0.total_cmp(&b.0));
    second.sort_by(|a, b| b.1.total_cmp(&a.1));
    let (mut downloaded, mut done) = (0.0, 0.0_f64);
    for (download, processing) in first.into_iter().chain(second) {
        downloaded += download;
        done = done.max(downloaded) + processing;
    }
    done
}
