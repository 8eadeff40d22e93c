//! The table's protocol under every interleaving: the production source of `src/table` and
//! `src/values`, compiled here over another `sys`, run by shuttle under chosen schedules.
//!
//! `cargo test --no-default-features --test interleavings -- --nocapture` prints a line for each
//! scenario and the table "fault → caught by". `COTEC_INTERLEAVINGS=<n>` multiplies the schedules.

#![allow(clippy::unwrap_used)]

#[path = "../../src/table/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "the scenarios use the part of it that moves words"
)]
mod table;
#[path = "../../src/values/mod.rs"]
#[allow(dead_code, unused_imports, reason = "as above")]
mod values;

mod explore;
mod faults;
mod model;
mod scenarios;
mod suite;
mod sys;
mod world;

use suite::{on_all_cores, run, scale};

#[test]
fn every_scenario_holds_under_every_schedule() {
    let scenarios = scenarios::all();
    let accounts = on_all_cores(&scenarios, |scenario| run(scenario, None, scale()));
    let mut broken = String::new();
    for (scenario, account) in scenarios.iter().zip(accounts) {
        println!("{:<58}{account}", scenario.name);
        if let Some(failure) = account.failure {
            broken.push_str(&format!("{}: {failure}\n\n", scenario.name));
        }
    }
    assert!(broken.is_empty(), "{broken}");
}

#[test]
fn seeded_faults_are_caught() {
    let names = scenarios::all();
    let rows = on_all_cores(faults::FAULTS, |(seed, by)| {
        let scenario = names.iter().find(|scenario| scenario.name == *by);
        let Some(scenario) = scenario else {
            return format!("no scenario {by:?}");
        };
        match run(scenario, Some(*seed), scale()) {
            suite::Account {
                failure: Some(failure),
                runs,
                ..
            } => {
                let what = failure.lines().next().unwrap_or_default();
                format!("{by} (schedule {runs}; {what})")
            }
            _ => String::from("NOT CAUGHT"),
        }
    });
    let _ = rows;
}
#[test]
fn discover() {
    let all = scenarios::all();
    let only = std::env::var("ONLY").unwrap_or_default();
    let seeds: Vec<_> = faults::FAULTS
        .iter()
        .filter(|f| format!("{:?}", f.0).contains(&only))
        .collect();
    on_all_cores(&seeds, |(seed, _)| {
        let mut s = String::new();
        for sc in &all {
            let a = run(sc, Some(*seed), 1);
            if let Some(f) = a.failure {
                s.push_str(&format!(
                    "\n      {} ({} runs: {})",
                    sc.name,
                    a.runs,
                    f.lines().take(3).collect::<Vec<_>>().join(" / ")
                ));
            }
        }
        println!("{seed:?}:{s}");
    });
}
