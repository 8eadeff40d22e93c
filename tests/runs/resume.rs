//! A run that is started again goes on where it stopped: by its journal it knows which jobs are
//! done, and runs only what is not, or is no longer the same.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::processes::{living, none_left, send, until};
use crate::common::run::Sandbox;
use nix::sys::signal::Signal;

const PRODUCTS: usize = 6;

/// Each job takes a moment and says in `runs` that it was run.
fn job_file(text: &str) -> String {
    format!(
        r#"
workers = 2
[store]
bucket = "b"
[products]
prefix = ""
[[task]]
name = "one"
run = ["sh", "-c", "echo $COTEC_JOB >> runs; sleep 0.05; (cat $1; echo {text}) > $2", "", "{{B01}}", "{{out}}"]
[[task]]
name = "two"
run = ["sh", "-c", "echo $COTEC_JOB >> runs; tr a-z A-Z < $1 > $2", "", "{{B01}}", "{{out}}"]
"#
    )
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for product in 0..PRODUCTS {
        let bytes = format!("product {product} ").repeat(20_000);
        sandbox.object("b", &format!("p{product}/B01.tif"), bytes);
    }
    sandbox.job_file(&job_file("first"));
    sandbox
}

/// The jobs that were run since the last call, sorted.
fn runs(sandbox: &Sandbox) -> Vec<String> {
    let text = fs::read_to_string(sandbox.path("runs")).unwrap_or_default();
    let _ = fs::remove_file(sandbox.path("runs"));
    let mut runs: Vec<String> = text.lines().map(str::to_owned).collect();
    runs.sort();
    runs
}

/// The results, by path.
fn results(sandbox: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    let mut results = BTreeMap::new();
    for product in 0..PRODUCTS {
        for task in ["one", "two"] {
            let path = format!("out/p{product}/{task}.tif");
            if let Ok(bytes) = fs::read(sandbox.path(&path)) {
                results.insert(path, bytes);
            }
        }
    }
    results
}

/// How often each job stands in the journal as done.
fn done_in_journal(sandbox: &Sandbox) -> BTreeMap<String, usize> {
    let mut done = BTreeMap::new();
    let text = fs::read_to_string(sandbox.path("out/journal.jsonl")).unwrap_or_default();
    for line in text.lines() {
        // A kill may have cut a line.
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        assert_eq!(record["schema"], 1);
        if record["state"] == "done" {
            let job = record["job"].as_str().unwrap().to_owned();
            *done.entry(job).or_default() += 1;
        }
    }
    done
}

#[test]
fn only_what_is_not_done_or_no_longer_the_same_is_run() {
    let sandbox = sandbox();
    let first = sandbox.coord().serve().expect(0);
    assert_eq!(first.count("/jobs/earlier"), 0);
    assert_eq!(runs(&sandbox).len(), 2 * PRODUCTS);
    let before = results(&sandbox);

    let again = sandbox.coord().serve().expect(0);
    assert!(runs(&sandbox).is_empty());
    assert_eq!(again.count("/jobs/done"), 2 * PRODUCTS as u64);
    assert_eq!(again.count("/jobs/earlier"), 2 * PRODUCTS as u64);
    assert_eq!(again.count("/objects/bytes_fetched"), 0);
    assert!(again.stdout.contains("(12 by an earlier run)"), "{again}");
    assert_eq!(results(&sandbox), before);

    // An object that was replaced in the store.
    sandbox.object("b", "p3/B01.tif", "another");
    sandbox.coord().serve().expect(0);
    assert_eq!(runs(&sandbox), ["one/p3", "two/p3"]);

    // A result that somebody took away, and one that somebody changed.
    fs::remove_file(sandbox.path("out/p1/one.tif")).unwrap();
    fs::write(sandbox.path("out/p2/two.tif"), "mine").unwrap();
    sandbox.coord().serve().expect(0);
    assert_eq!(runs(&sandbox), ["one/p1", "two/p2"]);

    // A changed task.
    sandbox.job_file(&job_file("second"));
    sandbox.coord().serve().expect(0);
    assert_eq!(
        runs(&sandbox),
        ["one/p0", "one/p1", "one/p2", "one/p3", "one/p4", "one/p5"]
    );

    sandbox.coord().serve().args(["--fresh"]).expect(0);
    assert_eq!(runs(&sandbox).len(), 2 * PRODUCTS);
    assert!(done_in_journal(&sandbox).values().all(|times| *times == 1));
}

#[test]
fn a_journal_of_something_else_costs_only_time() {
    let sandbox = sandbox();
    fs::create_dir_all(sandbox.path("out")).unwrap();
    let nonsense = "\u{0}\n[]\n{\"schema\":1,\"job\":\"one/p1\",\"state\":\"done\"}\n{\"sch";
    fs::write(sandbox.path("out/journal.jsonl"), nonsense).unwrap();
    sandbox.coord().serve().expect(0);
    assert_eq!(runs(&sandbox).len(), 2 * PRODUCTS);
    sandbox.coord().serve().expect(0);
    assert!(runs(&sandbox).is_empty());
}

/// `COTEC_KILLS` says how many; ten if not given.
#[test]
fn killed_at_random_moments_it_goes_on_and_ends_with_the_same_results() {
    let kills = std::env::var("COTEC_KILLS");
    let kills: u32 = kills.ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let undisturbed = sandbox();
    undisturbed.coord().serve().expect(0);
    let expected = results(&undisturbed);
    let (mut killed, mut rounds) = (0, 0u32);
    while killed < kills {
        let sandbox = sandbox();
        rounds += 1;
        loop {
            let running = sandbox.coord().serve().spawn();
            // Spread over the length of a run, which differs with the machine.
            let begun = Instant::now();
            let pause = Duration::from_millis(u64::from((killed * 37 + rounds * 11) % 400));
            while begun.elapsed() < pause && results(&sandbox).len() < expected.len() {
                std::thread::sleep(Duration::from_millis(1));
            }
            send(running.pid(), Signal::SIGKILL);
            let outcome = running.wait();
            // The kernel takes the children along, which takes a moment.
            until("nobody", || living(&sandbox).is_empty().then_some(()));
            match outcome.code {
                None => killed += 1,
                code => assert_eq!(code, Some(0), "{outcome}"),
            }
            // What is killed is to have something to lose.
            let complete = results(&sandbox).len() == expected.len();
            if outcome.code.is_some() || complete || killed >= kills {
                break;
            }
        }
        sandbox.coord().serve().expect(0);
        assert_eq!(results(&sandbox), expected);
        let done = done_in_journal(&sandbox);
        assert_eq!(done.len(), expected.len());
        assert!(done.values().all(|times| *times == 1), "{done:?}");
        none_left(&sandbox);
    }
    println!("{killed} kills in {rounds} runs: every job done once, the same results");
}
