//! The fences between two words, under every order that the memory model allows: the production
//! source of `src/table` and `src/values` over another `sys`, run by loom.
//!
//! Loom watches the words that a scenario is about; all others are plain, because a whole table
//! has more orders than can be run. `cargo test --no-default-features --test weak_memory --
//! --nocapture` prints a line for each scenario and the table "fault → caught by".

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

mod scenarios;
mod sys;

/// The heap's mapping asks whether memory that was not taken is an error: not here.
mod model {
    pub fn present() -> bool {
        false
    }

    pub fn fail(_: String) {}
}

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Once};
use std::time::Instant;

use scenarios::{SCENARIOS, Scenario};
use sys::seeded::Seed::{self, *};
use sys::sync::{RACING, SEEDED};

/// What a model panics with is reported by its test.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !MODEL.get() {
                before(info);
            }
        }));
    });
}

thread_local! {
    static MODEL: Cell<bool> = const { Cell::new(false) };
}

/// Executions, and what failed.
fn run(scenario: &Scenario, seed: Option<Seed>) -> (usize, Option<String>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let (body, counted) = (scenario.body, runs.clone());
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(scenario.preemptions);
    model.max_branches = 10_000;
    SEEDED.set(seed);
    RACING.set(false);
    MODEL.set(true);
    prepare();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        model.check(move || {
            counted.fetch_add(1, SeqCst);
            body();
        });
    }));
    MODEL.set(false);
    SEEDED.set(None);
    RACING.set(false);
    let failure = outcome.err().map(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        text.or(payload.downcast_ref::<&str>().map(|s| s.to_string()))
            .unwrap_or_default()
    });
    (runs.load(SeqCst), failure)
}

#[test]
fn the_fences_suffice() {
    for scenario in SCENARIOS {
        let begun = Instant::now();
        let (runs, failure) = run(scenario, None);
        println!(
            "{:<54}{runs:>8} orders, {} ms",
            scenario.name,
            begun.elapsed().as_millis()
        );
        assert_eq!(failure, None, "{}", scenario.name);
    }
}

const FAULTS: &[(Seed, &str)] = &[
    (FenceOfTheSlot, ""),
    (FenceOfTheJob, ""),
    (FenceOfTheRinger, ""),
    (FenceOfTheSleeper, ""),
    (FenceOfTheRange, ""),
    (StampRelaxed, ""),
];

#[test]
fn faults_are_caught() {
    for (seed, _) in FAULTS {
        for s in SCENARIOS {
            let (runs, failure) = run(s, Some(*seed));
            if let Some(f) = failure {
                println!(
                    "{seed:?}: {} ({runs}) {}",
                    s.name,
                    f.lines().next().unwrap_or_default()
                );
            }
        }
    }
}
