//! Attaching to what is no table, tables with altered bytes, and memory that cannot be had. The
//! long run of altered tables is `cargo run --release --no-default-features --example fuzz-table`.

#![allow(clippy::unwrap_used)]

mod bounds;
mod files;
mod harness;
mod memory;

use std::fs;
use std::path::Path;

/// Another one: `COTEC_FUZZ_SEED=...`; more cases: `COTEC_FUZZ_CASES=...`.
const SEED: u64 = 20_261_120;
const CASES: u64 = 100_000;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable)
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(default)
}

#[test]
fn altered_tables_give_errors_and_nothing_worse() {
    let (seed, cases) = (
        number("COTEC_FUZZ_SEED", SEED),
        number("COTEC_FUZZ_CASES", CASES),
    );
    let notes = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let report = harness::run(seed, 0..cases, 2, notes);
    println!("{report}");
    assert!(report.findings.is_empty(), "seed {seed}: {report}");
    assert_eq!(report.cases, cases);
}

#[test]
fn a_table_that_changes_under_our_eyes_gives_errors_and_nothing_worse() {
    let seed = number("COTEC_FUZZ_SEED", SEED);
    let report = harness::storm(seed, 5_000);
    println!("{report}");
    assert!(report.findings.is_empty(), "seed {seed}: {report}");
}

#[test]
fn the_corpus_stays_harmless() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/table");
    let mut files = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let report = match path.extension().is_some_and(|e| e == "afl") {
            true => harness::bytes(&fs::read(&path).unwrap()),
            false => harness::replay(&fs::read_to_string(&path).unwrap()),
        };
        assert!(report.findings.is_empty(), "{}: {report}", path.display());
        assert!(report.cases > 0);
        files += 1;
    }
    assert!(files > 0);
}
