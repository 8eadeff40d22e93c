//! Alters tables at random and runs every public operation on them, on all cores.
//!
//! ```text
//! cargo run --release --no-default-features --example fuzz-table -- [--cases N] [--seed S] [--first N]
//! cargo run --release --no-default-features --example fuzz-table -- --replay FILE
//! ```
//!
//! Exit status 0 without findings, 1 with. A finding names its seed and its case: `--seed S
//! --first CASE --cases 1` shows it again. Its alterations, as a file in `tests/corpus/table`,
//! are run by `cargo test` from then on. `tools/fuzz-table-afl` is the same harness under AFL++.

#![allow(clippy::unwrap_used, reason = "the harness is a test")]

#[path = "../tests/table_hostile/harness/mod.rs"]
mod harness;

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Set for the process that runs the cases; its parent looks how it ends.
const INNER: &str = "COTEC_FUZZ_INNER";

struct Wish {
    cases: u64,
    seed: u64,
    first: u64,
    replay: Option<PathBuf>,
}

fn wish() -> Option<Wish> {
    let mut wish = Wish {
        cases: 1_000_000,
        seed: 1,
        first: 0,
        replay: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next()?;
        match word.as_str() {
            "--cases" => wish.cases = value.parse().ok()?,
            "--seed" => wish.seed = value.parse().ok()?,
            "--first" => wish.first = value.parse().ok()?,
            "--replay" => wish.replay = Some(value.into()),
            _ => return None,
        }
    }
    Some(wish)
}

fn main() -> io::Result<ExitCode> {
    let Some(wish) = wish() else {
        eprintln!("usage: fuzz-table [--cases N] [--seed S] [--first N] | --replay FILE");
        return Ok(ExitCode::from(2));
    };
    if std::env::var_os(INNER).is_some() {
        return inner(&wish);
    }
    // The cases run in a child, so that one that takes its process down is reported too.
    let notes = std::env::temp_dir().join(format!("fuzz-table-{}", std::process::id()));
    std::fs::create_dir_all(&notes)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(std::env::args().skip(1))
        .env(INNER, &notes)
        .spawn()?;
    let status = child.wait()?;
    if let Some(signal) = status.signal() {
        println!(
            "finding: killed by signal {signal}, seed {}, in one of these cases:",
            wish.seed
        );
        for entry in std::fs::read_dir(&notes)? {
            println!("  {}", std::fs::read_to_string(entry?.path())?.trim());
        }
    }
    std::fs::remove_dir_all(&notes)?;
    Ok(ExitCode::from(u8::from(!status.success())))
}

fn inner(wish: &Wish) -> io::Result<ExitCode> {
    let mut findings = 0;
    if let Some(file) = &wish.replay {
        let report = match file.extension().is_some_and(|e| e == "txt") {
            true => harness::replay(&std::fs::read_to_string(file)?),
            false => harness::bytes(&std::fs::read(file)?),
        };
        print!("{report}");
        findings += report.findings.len();
    } else {
        let threads = std::thread::available_parallelism()?.get() as u64;
        let notes = PathBuf::from(std::env::var_os(INNER).unwrap_or_default());
        let cases = wish.first..wish.first + wish.cases;
        println!("seed {}, cases {cases:?}, {threads} threads", wish.seed);
        let report = harness::run(wish.seed, cases, threads, &notes);
        println!("{report}\nwith another thread altering the table all the time:");
        let storm = harness::storm(wish.seed, wish.cases / 20);
        print!("{storm}");
        findings += report.findings.len() + storm.findings.len();
    }
    Ok(ExitCode::from(u8::from(findings > 0)))
}
