//! The published workloads: ten classes of twenty-four, the same every time.

use cotec::schedule::simulate::{Job, Setup, Workload};
use cotec::values::order::Order;

const M: f64 = 1e6;
/// Workloads of each class.
pub const OF_A_CLASS: u64 = 24;

/// The classes, with what they are.
pub const CLASSES: [(&str, &str); 10] = [
    ("balanced", "download and processing take as long"),
    (
        "network",
        "the download takes 1.3 to 4 times as long as the processing",
    ),
    (
        "workers",
        "the processing takes 1.3 to 4 times as long as the download",
    ),
    ("bytes", "a few jobs have most of the bytes"),
    ("seconds", "a few jobs take most of the processing"),
    ("shared", "neighbouring jobs share half of their inputs"),
    (
        "tasks",
        "four tasks, some of which take ten times as long for a byte",
    ),
    ("few", "less than three jobs for each worker"),
    ("many", "two thousand small jobs"),
    ("late", "jobs are registered while the first ones run"),
];

/// Random numbers (SplitMix64), the same for the same seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly between two values.
    fn between(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * self.unit()
    }

    /// Between two values, evenly in their logarithms.
    fn scale(&mut self, from: f64, to: f64) -> f64 {
        (from.ln() + (to / from).ln() * self.unit()).exp()
    }

    /// A Pareto distribution from 1 on, cut at 200.
    fn pareto(&mut self, shape: f64) -> f64 {
        (1.0 - self.unit()).powf(-1.0 / shape).min(200.0)
    }
}

/// One workload of a class, and what it is done with.
pub fn one(class: &str, number: u64) -> (Workload, Setup) {
    let place = CLASSES.iter().position(|(name, _)| *name == class);
    let mut dice = Dice((place.unwrap_or(0) as u64) << 32 | number);
    let d = &mut dice;
    let workers = d.scale(1.0, 33.0) as usize;
    let jobs = match class {
        "few" => (workers as f64 * d.between(1.2, 3.0)).ceil() as usize + 2,
        "many" => 2000,
        _ => d.scale(40.0, 400.0) as usize + 5 * workers,
    };
    let setup = Setup {
        bandwidth: d.scale(10.0, 125.0) * M,
        per_connection: f64::INFINITY,
        connections: d.scale(4.0, 33.0) as usize,
        later: Vec::new(),
        latency: 0.0,
        part_bytes: 8 << 20,
        workers,
        order: Order::AsGiven,
    };
    let tasks = if class == "tasks" { 4 } else { 1 };
    let cost: Vec<f64> = (0..tasks).map(|_| d.scale(1.0, 10.0)).collect();
    let mut workload = Workload::default();
    for job in 0..jobs {
        // By task, then by product, as the planner gives them.
        let task = job * tasks / jobs;
        let size = match class {
            "bytes" => 5.0 * d.pareto(1.1),
            "many" => d.scale(0.5, 8.0),
            _ => d.scale(20.0, 80.0),
        };
        let of_a_job = if class == "many" { 1 } else { 1 + d.next() % 4 };
        let mut inputs = Vec::new();
        for at in 0..of_a_job {
            if class == "shared" && at % 2 == 0 && job > 0 {
                let before = workload.objects.len() as u64;
                inputs.push((before - 1 - d.next() % before.min(12)) as u32);
            } else {
                inputs.push(workload.objects.len() as u32);
                let bytes = size * M / of_a_job as f64 * d.between(0.8, 1.2);
                workload.objects.push(bytes as u64);
            }
        }
        let bytes: u64 = inputs.iter().map(|at| workload.objects[*at as usize]).sum();
        let noise = match class {
            "seconds" => d.pareto(1.2),
            _ => d.between(0.8, 1.25),
        };
        workload.jobs.push(Job {
            task: task as u32,
            inputs,
            seconds: bytes as f64 * cost[task] * noise,
            registered: 0.0,
        });
    }
    let balance = match class {
        "network" => 1.0 / d.scale(1.3, 4.0),
        "workers" => d.scale(1.3, 4.0),
        "balanced" => 1.0,
        _ => d.scale(0.4, 2.5),
    };
    let bytes: u64 = workload.objects.iter().sum();
    let download = bytes as f64 / setup.rate();
    let seconds: f64 = workload.jobs.iter().map(|job| job.seconds).sum();
    let factor = balance * download * workers as f64 / seconds;
    for (number, job) in workload.jobs.iter_mut().enumerate() {
        job.seconds *= factor;
        if class == "late" {
            job.registered = download * 0.7 * number as f64 / jobs as f64;
        }
    }
    (workload, setup)
}
