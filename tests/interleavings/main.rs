//! The table's protocol under every interleaving: the production source of `src/table` and
//! `src/values`, compiled here over another `sys`, run by shuttle under chosen schedules.
//!
//! `cargo test --no-default-features --test interleavings -- --nocapture` prints a line for each
//! scenario and the table "fault → caught by". `COTEC_INTERLEAVINGS=<n>` multiplies the schedules.

#![allow(clippy::unwrap_used)]

#[path = "../../src/table/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the scenarios move words, and no more"
)]
mod table;
#[path = "../../src/values/mod.rs"]
#[expect(dead_code, reason = "as above")]
mod values;

mod explore;
mod faults;
mod model;
mod native;
mod scenarios;
mod suite;
mod sys;
mod world;

use suite::{Account, on_all_cores, run, scale};
use world::Scenario;

/// The scenarios that `wanted` wants, run with no fault, and what is wrong with them.
fn broken(wanted: impl Fn(&Scenario) -> bool) -> String {
    let mut scenarios = scenarios::all();
    scenarios.retain(wanted);
    let accounts = on_all_cores(&scenarios, |scenario| run(scenario, None, scale()));
    let mut broken = String::new();
    for (scenario, account) in scenarios.iter().zip(accounts) {
        println!("{:<58}{account}", scenario.name);
        if let Some(failure) = account.failure {
            broken.push_str(&format!("{}: {failure}\n\n", scenario.name));
        }
    }
    broken
}

#[test]
fn every_scenario_holds_under_every_schedule() {
    let broken = broken(|_| true);
    assert!(broken.is_empty(), "{broken}");
}

#[test]
fn seeded_faults_are_caught() {
    // Without a fault these scenarios hold, or catching one would mean nothing.
    let broken = broken(|s| faults::FAULTS.iter().any(|(_, by)| *by == s.name));
    assert!(broken.is_empty(), "{broken}");
    let scenarios = scenarios::all();
    let caught = on_all_cores(faults::FAULTS, |(seed, by)| {
        let scenario = scenarios.iter().find(|scenario| scenario.name == *by);
        run(scenario.unwrap(), Some(*seed), scale())
    });
    let mut escaped = Vec::new();
    println!("\n{:<24}caught by", "fault");
    for ((seed, by), Account { runs, failure, .. }) in faults::FAULTS.iter().zip(caught) {
        match failure {
            Some(_) => println!("{:<24}{by} (schedule {runs})", format!("{seed:?}")),
            None => escaped.push(seed),
        }
    }
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}
