//! How long ready jobs wait for workers that have none, in whole runs of `cotec-coord`.
//!
//! ```text
//! cargo bench --bench conserving [-- RUNS]
//! ```
//!
//! Each run has 2,400 jobs (`touch`) whose inputs come in bursts; four workers sleep in between.
//! It is watched from outside, and judged as the test `conserving` does: of the time from a job's
//! being ready to its running, the worker waits some for a processor; what is left is the wake-up
//! itself. Absolute times: what else the machine does counts, so the load is printed.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "../tests/conserving/judge.rs"]
mod judge;
#[path = "../tests/conserving/run.rs"]
mod run;
#[path = "../tools/wan/mod.rs"]
mod wan;
#[path = "../tests/conserving/watch.rs"]
mod watch;

use judge::{Fault, Verdict, judge};
use run::Run;

fn main() {
    let runs = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    common::heading("cargo bench --bench conserving");
    for number in 1..=runs.unwrap_or(3) {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().unwrap_or("?");
        let watched = Run::new("4", 240).watched();
        let first = watched.events.first().map_or(0, |event| event.at_ns);
        let last = watched.events.last().map_or(0, |event| event.at_ns);
        println!(
            "run {number}: {:.1} s, {} events, load {load} before it",
            (last - first) as f64 / 1e9,
            watched.events.len()
        );
        show(&judge(&watched));
    }
}

fn show(verdict: &Verdict) {
    let wake_ups = &verdict.wake_ups;
    println!(
        "{:42}{:>7}  p50      p90      p99      most (us)",
        "", "times"
    );
    row(
        "ready to running, where a worker slept",
        wake_ups.iter().map(|one| one.length_ns),
    );
    row(
        "  of that waiting for a processor",
        wake_ups.iter().map(|one| one.kernel_ns),
    );
    row(
        "  the rest",
        wake_ups.iter().map(|one| one.length_ns - one.kernel_ns),
    );
    row(
        "a worker asleep though there was a job",
        verdict.faults.iter().map(Fault::slept_ns),
    );
    if let Some(longest) = verdict.longest() {
        let Fault { jobs, asleep, .. } = longest;
        println!("  the longest: {jobs} jobs, {asleep} workers asleep");
    }
}

fn row(name: &str, times: impl Iterator<Item = u64>) {
    let mut sorted: Vec<u64> = times.collect();
    sorted.sort_unstable();
    let of = |share: f64| {
        let at = (sorted.len() as f64 * share) as usize;
        sorted.get(at.min(sorted.len().saturating_sub(1))).copied()
    };
    print!("{name:42}{:7}", sorted.len());
    for share in [0.5, 0.9, 0.99, 1.0] {
        print!(" {:8.1}", of(share).unwrap_or(0) as f64 / 1e3);
    }
    println!();
}
