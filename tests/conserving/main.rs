//! No worker sleeps while a job with all its inputs ready exists: thousands of short jobs, whose
//! inputs arrive in bursts, watched from outside through the table's events.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod judge;
mod judge_tests;
mod run;
#[path = "../../tools/wan/mod.rs"]
mod wan;
mod watch;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use cotec::table::Table;
use cotec::values::Role;
use judge::{Verdict, WakeUp, judge};
use run::Run;

/// The longest sleep of a worker while a job is ready.
const ALLOWED_NS: u64 = 2_000_000;

/// The two runs take turns, so that neither keeps the processors from the other.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What is to be said of a run; the gist of it is printed.
fn judged(run: Run) -> Verdict {
    let verdict = judge(&run.watched());
    let most = |of: fn(&WakeUp) -> u64| verdict.wake_ups.iter().map(of).max().unwrap_or(0);
    println!(
        "{} jobs woke a worker; the longest took {} ns, the longest wait for a processor was {} ns",
        verdict.wake_ups.len(),
        most(|wake_up| wake_up.length_ns),
        most(|wake_up| wake_up.kernel_ns)
    );
    let (times, longest) = (verdict.faults.len(), verdict.longest());
    println!("{times} times a worker slept though there was a job; longest: {longest:?}");
    verdict
}

#[test]
fn no_worker_sleeps_while_a_job_is_ready() {
    let _turn = turn();
    let verdict = judged(Run::new("4", 240));
    // The workers worked off each burst before the next, so there was something to judge.
    assert!(verdict.wake_ups.len() > 100, "{}", verdict.wake_ups.len());
    let longest = verdict.longest().copied().unwrap_or_default();
    assert!(longest.slept_ns() <= ALLOWED_NS, "{longest:?}");
}

/// The test above can fail: a worker that looks for jobs from time to time is caught.
#[test]
fn a_worker_that_polls_is_caught() {
    let _turn = turn();
    let run = Run::new("1", 60);
    let mut polling = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "as_a_worker_that_polls", "--nocapture"])
        .env("COTEC_TABLE", run.table.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let verdict = judged(run);
    polling.wait().unwrap();
    let longest = verdict.longest().copied().unwrap_or_default();
    assert!(longest.slept_ns() > 5 * ALLOWED_NS, "{longest:?}");
}

/// Not a test by itself: the worker of the test above.
#[test]
fn as_a_worker_that_polls() {
    let Ok(path) = std::env::var("COTEC_TABLE") else {
        return;
    };
    let table = Table::attach(Path::new(&path), true)
        .unwrap()
        .join(Role::Worker)
        .unwrap();
    while !table.finished().unwrap() && table.coordinator_lives() {
        while let Some(claim) = table.claim_job().unwrap() {
            table.finish_job(claim, Ok(())).unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
