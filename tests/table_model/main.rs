//! Random histories of all public operations of the table against a plain single-threaded model.
//! More of them: `PROPTEST_CASES=100000 cargo test --release --test table_model`.

#![allow(clippy::unwrap_used)]

mod admission;
mod bench;
mod history;
mod look;
mod model;
mod reached;
mod records;
mod totals;
mod uploads;

use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};

use bench::Bench;

fn config() -> Config {
    let default = Config::default();
    let cases = std::env::var_os("PROPTEST_CASES").map_or(3000, |_| default.cases);
    let kept = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/table_model/regressions.txt"
    );
    Config {
        cases,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept))),
        max_shrink_iters: 20_000,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_table_does_what_the_model_does((limits, turns) in history::history()) {
        let mut bench = Bench::new(limits);
        for (i, (who, step)) in turns.iter().enumerate() {
            bench.take(*who, step).map_err(|e| TestCaseError::fail(format!("step {i} {step:?}: {e}")))?;
            bench.compare().map_err(|e| TestCaseError::fail(format!("after step {i} {step:?}: {e}")))?;
        }
    }
}

/// The histories reach what they are meant to reach; a generator that never fills a table or
/// never fails an input would prove little.
#[test]
fn the_histories_reach_every_corner() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut reached = reached::Reached::default();
    for _ in 0..1500 {
        let (limits, turns) = history::history().new_tree(&mut runner).unwrap().current();
        let mut bench = Bench::new(limits);
        for (who, step) in &turns {
            bench.take(*who, step).unwrap();
        }
        bench.compare().unwrap();
        reached.add(&bench);
    }
    println!("{reached:#?}");
    reached.assert_all();
}
