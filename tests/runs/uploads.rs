//! Results that go to a store: done only when it has confirmed, overlapped with the next jobs,
//! and whole or absent whatever is killed.

use std::fs;
use std::path::PathBuf;

use cotec::values::Role;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::processes::{all_gone, no_scratch, none_left, of_role, send, table, until};
use crate::common::run::Sandbox;
use crate::gate::Gate;

/// A job file with one task, which says in `runs` that it was run.
fn job_file(output: &str, more: &str) -> String {
    format!(
        r#"
[store]
bucket = "b"
[products]
prefix = ""
[[task]]
name = "t"
run = ["sh", "-c", 'echo "$COTEC_JOB" >> runs; cat "$1" "$1" > "$0"', "{{out}}", "{{B01}}"]
output = "{output}"
{more}
"#
    )
}

/// A sandbox with so many products and an empty bucket `r` for their results.
fn sandbox(products: usize, bytes: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for product in 0..products {
        let text = format!("product {product} ");
        let bytes = text.repeat(bytes.div_ceil(text.len()));
        sandbox.object("b", &format!("p{product}/B01.tif"), bytes);
    }
    fs::create_dir(sandbox.path("served/r")).unwrap();
    sandbox.job_file(&job_file("s3://r/{product}/", ""));
    sandbox
}

fn runs(sandbox: &Sandbox) -> Vec<String> {
    let text = fs::read_to_string(sandbox.path("runs")).unwrap_or_default();
    let _ = fs::remove_file(sandbox.path("runs"));
    let mut runs: Vec<String> = text.lines().map(str::to_owned).collect();
    runs.sort();
    runs
}

fn stored(sandbox: &Sandbox, key: &str) -> PathBuf {
    sandbox.path("served/r").join(key)
}

/// Whether the result of a product is in the store, whole.
fn is_stored(sandbox: &Sandbox, product: usize) -> bool {
    let input = fs::read(sandbox.path(format!("served/b/p{product}/B01.tif"))).unwrap();
    match fs::read(stored(sandbox, &format!("p{product}/t.tif"))) {
        Ok(bytes) => {
            assert_eq!(bytes, [input.as_slice(), &input].concat(), "half a result");
            true
        }
        Err(_) => false,
    }
}

/// The jobs that stand in the journal as done, each with what it says of the store.
fn journal(sandbox: &Sandbox) -> Vec<(String, Value)> {
    let text = fs::read_to_string(sandbox.path("out/journal.jsonl")).unwrap_or_default();
    let records = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let done = records.filter(|record| record["state"] == "done");
    done.map(|record| {
        let job = record["job"].as_str().unwrap().to_owned();
        (job, record["result"]["uploaded"].clone())
    })
    .collect()
}

/// Nothing but results stands in the served directory: no parts, nothing unfinished.
fn nothing_unfinished(sandbox: &Sandbox) {
    let mut open = vec![sandbox.path("served")];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(!name.starts_with(".cotec"), "{name} was left");
            if entry.path().is_dir() {
                open.push(entry.path());
            }
        }
    }
}

#[test]
fn results_are_in_the_store_and_named_with_size_and_etag() {
    let sandbox = sandbox(3, 5000);
    let outcome = sandbox.coord().serve().args(["--json"]).expect(0);
    assert_eq!(runs(&sandbox).len(), 3);
    assert!((0..3).all(|product| is_stored(&sandbox, product)));
    assert!(!sandbox.path("out/p0/t.tif").exists(), "it is in the store");
    let size = fs::metadata(stored(&sandbox, "p1/t.tif")).unwrap().len();
    let uploaded = &outcome.job("t/p1")["uploaded"];
    assert_eq!(uploaded[0]["url"], "s3://r/p1/t.tif");
    assert_eq!(uploaded[0]["size"], size);
    assert!(
        uploaded[0]["etag"]
            .as_str()
            .is_some_and(|tag| !tag.is_empty()),
        "{uploaded}"
    );
    let journal = journal(&sandbox);
    assert_eq!(journal.len(), 3);
    assert!(journal.contains(&("t/p1".to_owned(), uploaded.clone())));
    // The events of one job; whoever uploads may be faster than the worker that says it.
    let of_job = |event: &Value| event["job"] == "t/p1";
    let events = outcome.events().into_iter().filter(of_job);
    let mut events: Vec<String> = events
        .map(|event| event["event"].as_str().unwrap().to_owned())
        .collect();
    events.sort();
    assert_eq!(
        events,
        [
            "job-done",
            "job-ready",
            "job-running",
            "job-uploading",
            "job-waiting",
            "upload-begun"
        ]
    );
    no_scratch(&sandbox);
    nothing_unfinished(&sandbox);

    // Again: one listing says that all stands as it was.
    let outcome = sandbox.coord().serve().expect(0);
    assert_eq!(outcome.count("/jobs/earlier"), 3);
    assert_eq!(outcome.job("t/p1")["uploaded"], *uploaded);
    assert!(runs(&sandbox).is_empty());
    assert!(outcome.stdout.contains("s3://r/p1/t.tif"), "{outcome}");
    // What is gone or another object is made again.
    fs::remove_file(stored(&sandbox, "p0/t.tif")).unwrap();
    fs::write(stored(&sandbox, "p2/t.tif"), "something else").unwrap();
    sandbox.coord().serve().expect(0);
    assert_eq!(runs(&sandbox), ["t/p0", "t/p2"]);
    assert!((0..3).all(|product| is_stored(&sandbox, product)));
    // Another destination is another job.
    sandbox.job_file(&job_file(
        "s3://r/all/{task}-{product}-{n}.txt",
        "parameters = { n = 1 }",
    ));
    sandbox.coord().serve().expect(0);
    assert_eq!(runs(&sandbox).len(), 3);
    assert_eq!(
        fs::metadata(stored(&sandbox, "all/t-p1-1.txt"))
            .unwrap()
            .len(),
        size
    );
    none_left(&sandbox);
}

#[test]
fn the_next_job_runs_while_a_result_is_on_its_way() {
    let sandbox = sandbox(2, 1000);
    let gate = Gate::new(&sandbox.path("served"), &["HEAD /r/p0"]);
    let running = gate
        .use_by(sandbox.coord())
        .args(["--json", "--workers", "1"])
        .spawn();
    // The store has not confirmed the first result, and the only worker is at the second job.
    gate.wait_until_held();
    until("the second job to be done", || {
        journal(&sandbox)
            .iter()
            .any(|(job, _)| job == "t/p1")
            .then_some(())
    });
    assert!(journal(&sandbox).iter().all(|(job, _)| job != "t/p0"));
    gate.open();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.count("/jobs/done"), 2);
    assert_eq!(runs(&sandbox), ["t/p0", "t/p1"]);
}

#[test]
fn an_upload_that_fails_fails_its_job_with_key_and_reason() {
    let sandbox = sandbox(1, 1000);
    let more = "[[task]]\nname = \"good\"\nrun = [\"cp\", \"{B01}\", \"{out}\"]\noutput = \"s3://r/{product}/\"";
    sandbox.job_file(&job_file("s3://nowhere/{product}/", more));
    let outcome = sandbox.coord().serve().expect(1);
    let job = outcome.job("t/p0");
    assert_eq!(job["fault"], "upload");
    let error = job["error"].as_str().unwrap();
    assert!(error.contains("s3://nowhere/p0/t.tif"), "{error}");
    assert_eq!(outcome.job("good/p0")["state"], "done");
    assert!(journal(&sandbox).iter().all(|(job, _)| job != "t/p0"));
    no_scratch(&sandbox);
}

#[test]
fn a_killed_uploader_or_worker_costs_only_time() {
    for role in [Role::Uploader, Role::Worker] {
        let sandbox = sandbox(2, 1000);
        let gate = Gate::new(&sandbox.path("served"), &["HEAD /r/"]);
        let running = gate
            .use_by(sandbox.coord())
            .args(["--json", "--workers", "1"])
            .spawn();
        gate.wait_until_held();
        send(of_role(&table(&running), role), Signal::SIGKILL);
        until("the death to be noticed", || {
            let said = fs::read_to_string(sandbox.path("stdout")).ok()?;
            said.contains("process-died").then_some(())
        });
        assert!(journal(&sandbox).is_empty(), "nothing was confirmed");
        gate.open();
        let outcome = running.wait();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        assert!((0..2).all(|product| is_stored(&sandbox, product)));
        assert_eq!(journal(&sandbox).len(), 2);
        nothing_unfinished(&sandbox);
        no_scratch(&sandbox);
    }
}

#[test]
fn a_coordinator_killed_in_the_middle_of_an_upload_in_parts_is_gone_on_with() {
    // Of one job: what an upload is called is noted when the store has said it, and the next job's
    // may be between the two.
    let sandbox = sandbox(1, 12 << 20);
    let gate = Gate::new(&sandbox.path("served"), &["partNumber=2"]);
    let running = gate.use_by(sandbox.coord()).spawn();
    gate.wait_until_held();
    send(running.pid(), Signal::SIGKILL);
    running.wait();
    all_gone(&sandbox);
    assert!(journal(&sandbox).is_empty());
    assert!(!is_stored(&sandbox, 0), "no half objects");
    gate.open();
    // The parts that were sent are removed by the next run, which does the job.
    let outcome = gate.use_by(sandbox.coord()).expect(0);
    assert_eq!(outcome.count("/jobs/earlier"), 0);
    assert!(is_stored(&sandbox, 0));
    assert_eq!(journal(&sandbox).len(), 1);
    nothing_unfinished(&sandbox);
    no_scratch(&sandbox);
}

#[test]
fn the_grace_after_sigterm_includes_uploads() {
    let sandbox = sandbox(1, 1000);
    let gate = Gate::new(&sandbox.path("served"), &["HEAD /r/"]);
    let running = gate.use_by(sandbox.coord()).args(["--json"]).spawn();
    gate.wait_until_held();
    send(running.pid(), Signal::SIGTERM);
    until("the request to be taken", || {
        let said = fs::read_to_string(sandbox.path("stdout")).ok()?;
        said.contains("asked to end").then_some(())
    });
    gate.open();
    let outcome = running.wait();
    assert_eq!(outcome.count("/jobs/done"), 1, "{outcome}");
    assert_eq!(journal(&sandbox).len(), 1);
    let again = gate.use_by(sandbox.coord()).expect(0);
    assert_eq!(again.count("/jobs/earlier"), 1);
}

#[test]
fn ctrl_c_stops_an_upload_and_leaves_no_parts() {
    let sandbox = sandbox(1, 12 << 20);
    let gate = Gate::new(&sandbox.path("served"), &["partNumber=2"]);
    let running = gate.use_by(sandbox.coord()).spawn();
    gate.wait_until_held();
    send(running.pid(), Signal::SIGINT);
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert_eq!(outcome.count("/jobs/left"), 1, "{outcome}");
    assert!(journal(&sandbox).is_empty() && !is_stored(&sandbox, 0));
    nothing_unfinished(&sandbox);
    gate.open();
    gate.use_by(sandbox.coord()).expect(0);
    assert!(is_stored(&sandbox, 0));
    nothing_unfinished(&sandbox);
}
