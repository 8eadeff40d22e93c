//! The fences between two words, under every order that the memory model allows: the production
//! source of `src/table` and `src/values` over another `sys`, run by loom.
//!
//! Loom watches the words that a scenario is about; all others are plain, because a whole table
//! has more orders than can be run. `cargo test --no-default-features --test weak_memory --
//! --nocapture` prints a line for each scenario and the table "fault → caught by".

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

use scenarios::SCENARIOS;
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

/// Runs a scenario under every order; how many there were, and what failed.
fn run(body: fn(), seed: Option<Seed>) -> (usize, Option<String>) {
    prepare();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let mut model = loom::model::Builder::new();
    model.max_branches = 10_000;
    SEEDED.set(seed);
    MODEL.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        model.check(move || {
            RACING.set(false);
            counted.fetch_add(1, SeqCst);
            body();
        });
    }));
    MODEL.set(false);
    RACING.set(false);
    SEEDED.set(None);
    let failure = outcome.err().map(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        text.or(payload.downcast_ref::<&str>().map(|s| s.to_string()))
            .unwrap_or_default()
    });
    (runs.load(SeqCst), failure)
}

#[test]
fn the_fences_suffice() {
    for (name, body) in SCENARIOS {
        let begun = Instant::now();
        let (runs, failure) = run(*body, None);
        let millis = begun.elapsed().as_millis();
        println!("{name:<54}{runs:>6} orders, all there are, {millis} ms");
        assert_eq!(failure, None, "{name}");
    }
}

/// The faults that only a weak memory order shows, and the scenario that must notice each.
const FAULTS: &[(Seed, &str)] = &[
    (FenceOfTheSlot, "two inputs become ready at once"),
    (
        FenceOfTheJob,
        "a job is opened while its input becomes ready",
    ),
    (
        FenceOfTheRinger,
        "planning ends while a worker falls asleep",
    ),
    (
        FenceOfTheSleeper,
        "a job becomes ready while a worker falls asleep",
    ),
    (FenceOfTheRange, "a range lands while somebody falls asleep"),
    (StampRelaxed, "an event is read while it is written"),
];

#[test]
fn seeded_faults_are_caught() {
    let mut escaped = Vec::new();
    println!("\n{:<24}caught by", "fault");
    for (seed, by) in FAULTS {
        let (_, body) = SCENARIOS.iter().find(|(name, _)| name == by).unwrap();
        assert_eq!(run(*body, None).1, None, "{by} without a fault");
        match run(*body, Some(*seed)) {
            (order, Some(_)) => println!("{:<24}{by} (order {order})", format!("{seed:?}")),
            (_, None) => escaped.push(seed),
        }
    }
    assert!(escaped.is_empty(), "not caught: {escaped:?}");
}
