//! Ctrl-C and its like end a run at once: staging is kept, no result is half written, and nobody
//! is left behind. A reader of the output that goes away ends nothing.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::common::processes::{living, no_scratch, none_left, send, until};
use crate::common::run::{Outcome, Running, Sandbox};
use crate::gate::Gate;
use cotec::raster::{SampleSpec, write_sample};
use nix::sys::signal::Signal;

const JOBS: &str = r#"
workers = 2
[store]
bucket = "b"
[products]
prefix = ""
[[task]]
name = "t"
run = ["sh", "-c", "COMMAND", "{B01}", "{B02}", "{out}"]
"#;

/// Three products of two bands that are no images.
fn sandbox(command: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for product in ["p1", "p2", "p3"] {
        for band in ["B01", "B02"] {
            let bytes = [product, band].concat().repeat(100_000);
            sandbox.object("b", &format!("{product}/{band}.tif"), bytes);
        }
    }
    sandbox.job_file(&JOBS.replace("COMMAND", command));
    sandbox
}

const COPY: &str = r#"cp \"$1\" \"$2\""#;

/// Sends a signal and waits for the end, which must come soon. A terminal sends SIGINT to the
/// whole process group; `kill` sends SIGTERM to one process.
fn interrupt(running: Running, signal: Signal, what: &str) -> Outcome {
    let begun = Instant::now();
    let one = signal == Signal::SIGTERM;
    send(if one { running.pid() } else { -running.pid() }, signal);
    let outcome = running.wait();
    let took = begun.elapsed();
    println!("{signal} {what}: ended after {took:?}");
    // Two seconds are promised; a machine with other things to do may be slower.
    assert!(took < Duration::from_secs(5), "{took:?}: {outcome}");
    assert_eq!(outcome.code, Some(130), "{outcome}");
    outcome
}

/// Nothing but whole results, and nobody who still does something.
fn left_in_order(sandbox: &Sandbox, results: usize) {
    none_left(sandbox);
    no_scratch(sandbox);
    let mut found = 0;
    for product in ["p1", "p2", "p3"] {
        if let Ok(bytes) = fs::read(sandbox.path("out").join(product).join("t.tif")) {
            assert_eq!(bytes.len(), 500_000, "{product} is half written");
            found += 1;
        }
    }
    assert_eq!(found, results);
}

#[test]
fn in_the_middle_of_downloads() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let sandbox = sandbox(COPY);
        let gate = Gate::new(&sandbox.path("served"), &["p2/B02", "p3"]);
        // Listings pass: their prefix is in the query, where a slash is not plain.
        let mut running = gate.use_by(sandbox.coord()).args(["--json"]).spawn();
        gate.wait_until_held();
        assert!(running.printed("\"event\":\"job-done\""));
        until("p2/B01 in staging", || {
            sandbox.staged("b", "p2/B01.tif").exists().then_some(())
        });
        let outcome = interrupt(running, signal, "in the middle of downloads");
        left_in_order(&sandbox, 1);
        assert_eq!(outcome.summary()["outcome"], "interrupted");
        assert!(sandbox.staged("b", "p2/B01.tif").exists());
        assert!(!sandbox.staged("b", "p2/B02.tif").exists());
        gate.open();
        let outcome = gate.use_by(sandbox.coord()).expect(0);
        left_in_order(&sandbox, 3);
        assert!(
            outcome.count("/objects/bytes_fetched") <= 1_500_000,
            "{outcome}"
        );
    }
}

#[test]
fn in_the_middle_of_commands_that_do_not_want_to_end() {
    let stubborn = "trap '' INT TERM HUP; echo half > \\\"$2\\\"; sleep 1000 & setsid sleep 1000 & \
                    (setsid sh -c 'trap \\\"\\\" INT TERM; sleep 1000 & sleep 1000' &); \
                    while :; do sleep 1000; done";
    for (signal, json) in [(Signal::SIGINT, true), (Signal::SIGTERM, false)] {
        let sandbox = sandbox(stubborn);
        let args: &[&str] = if json { &["--json"] } else { &["--grace", "0"] };
        let running = sandbox.coord().serve().args(args).spawn();
        until("both commands and all that they start", || {
            let living = living(&sandbox);
            let sleeping = living.iter().filter(|(_, line)| line == "sleep 1000 ");
            (sleeping.count() >= 10).then_some(())
        });
        let outcome = interrupt(running, signal, "in the middle of stubborn commands");
        left_in_order(&sandbox, 0);
        assert!(sandbox.staged("b", "p1/B01.tif").exists());
        assert_eq!(outcome.count("/jobs/left"), 3, "{outcome}");
        if json {
            assert_eq!(outcome.events().last().unwrap()["event"], "run-ended");
        } else {
            assert!(
                outcome.stdout.contains("interrupted: staging is kept"),
                "{outcome}"
            );
        }
    }
}

const GATED: &str = r#"touch begun; while [ ! -e go ]; do sleep 0.02; done; cp \"$1\" \"$2\""#;

#[test]
fn sigterm_lets_running_jobs_finish_and_begins_no_other() {
    let sandbox = sandbox(GATED);
    let running = sandbox
        .coord()
        .serve()
        .args(["--json", "--workers", "1"])
        .spawn();
    let begun = sandbox.path("begun");
    until("a job to run", || begun.exists().then_some(()));
    send(running.pid(), Signal::SIGTERM);
    // It is said before anything else happens.
    until("the request to be taken", || {
        let said = fs::read_to_string(sandbox.path("stdout")).ok()?;
        said.contains("asked to end").then_some(())
    });
    fs::write(sandbox.path("go"), "").unwrap();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert_eq!(outcome.count("/jobs/done"), 1, "{outcome}");
    assert_eq!(outcome.count("/jobs/left"), 2, "{outcome}");
    left_in_order(&sandbox, 1);
    let again = sandbox.coord().serve().expect(0);
    assert_eq!(again.count("/jobs/earlier"), 1);
    left_in_order(&sandbox, 3);
}

#[test]
fn after_the_grace_and_at_the_second_request_jobs_are_ended() {
    for (grace, second) in [
        ("1", None),
        ("1000", Some(Signal::SIGTERM)),
        ("1000", Some(Signal::SIGINT)),
    ] {
        let sandbox = sandbox(GATED);
        let running = sandbox
            .coord()
            .serve()
            .args(["--json", "--grace", grace])
            .spawn();
        let begun = sandbox.path("begun");
        until("a job to run", || begun.exists().then_some(()));
        send(running.pid(), Signal::SIGTERM);
        until("the request to be taken", || {
            let said = fs::read_to_string(sandbox.path("stdout")).ok()?;
            said.contains("asked to end").then_some(())
        });
        if let Some(second) = second {
            send(running.pid(), second);
        }
        let outcome = running.wait();
        assert_eq!(outcome.code, Some(130), "{outcome}");
        assert_eq!(outcome.count("/jobs/left"), 3, "{outcome}");
        left_in_order(&sandbox, 0);
    }
}

#[test]
fn a_closed_terminal_ends_nothing() {
    let sandbox = sandbox(GATED);
    let running = sandbox.coord().serve().spawn();
    let begun = sandbox.path("begun");
    until("a job to run", || begun.exists().then_some(()));
    send(-running.pid(), Signal::SIGHUP);
    fs::write(sandbox.path("go"), "").unwrap();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    left_in_order(&sandbox, 3);
}

#[test]
fn in_the_middle_of_native_processors() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("served/b");
    fs::create_dir_all(&dir).unwrap();
    let (products, size) = (2, 256);
    write_sample(&dir, &SampleSpec { products, size }).unwrap();
    // Would take many seconds.
    let task = |name: &str| {
        let deep = "exp(log(".repeat(8) + "B04" + &"))".repeat(8);
        let expr = vec![deep; 200].join(" + ");
        format!("[[task]]\nname = \"{name}\"\nexpr = \"{expr}\"\n")
    };
    let head = "workers = 2\n[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n";
    sandbox.job_file(&format!("{head}{}{}", task("one"), task("two")));
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let args = ["--json", "--grace", "0"];
        let mut running = sandbox.coord().serve().args(args).spawn();
        assert!(running.printed("\"event\":\"job-running\""));
        let outcome = interrupt(running, signal, "in the middle of native processors");
        none_left(&sandbox);
        no_scratch(&sandbox);
        assert!(outcome.count("/jobs/left") > 0, "{outcome}");
        let whole = outcome.count("/jobs/done");
        let images = fs::read_dir(sandbox.path("out")).unwrap().flatten();
        let images = images
            .filter_map(|dir| fs::read_dir(dir.path()).ok())
            .flatten();
        assert!(images.count() as u64 >= 2 * whole);
    }
}

#[test]
fn while_products_are_listed() {
    for dry in [false, true] {
        let sandbox = sandbox(COPY);
        let gate = Gate::new(&sandbox.path("served"), &["list-type"]);
        let args: &[&str] = if dry { &["--dry-run"] } else { &[] };
        let running = gate.use_by(sandbox.coord()).args(args).spawn();
        gate.wait_until_held();
        interrupt(running, Signal::SIGINT, "while products are listed");
        left_in_order(&sandbox, 0);
    }
}

#[test]
fn while_the_sample_is_made() {
    let sandbox = Sandbox::new();
    sandbox.job_file("[store]\nsample = { products = 100 }\n[products]\nprefix = \"\"\n[[task]]\nindex = \"ndvi\"\n");
    let running = sandbox.coord().spawn();
    let root = until("the sample to be begun", || {
        let root = fs::read_dir(sandbox.path(".cotec/sample"))
            .ok()?
            .flatten()
            .next()?
            .path();
        fs::read_dir(&root).ok()?.next()?.ok()?;
        Some(root)
    });
    interrupt(running, Signal::SIGINT, "while the sample is made");
    none_left(&sandbox);
    assert_eq!(
        fs::read_dir(root).unwrap().count(),
        0,
        "half a sample was left"
    );
}

#[test]
fn a_reader_that_goes_away_ends_nothing() {
    // The worker dies once, so that a process is started while nobody reads.
    let once = "if [ ! -e died ]; then touch died; kill -9 $PPID; fi; cp \\\"$1\\\" \\\"$2\\\"";
    for args in [&["--json"][..], &[]] {
        let sandbox = sandbox(once);
        let mut coord = sandbox.coord().serve().args(args);
        coord
            .command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = coord.command.spawn().unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        let status = until("the run to end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
        assert!(sandbox.path("died").exists());
        left_in_order(&sandbox, 3);
    }
    // Errors too are said to nobody.
    let sandbox = Sandbox::new();
    let mut coord = sandbox.coord();
    coord.command.stderr(Stdio::piped());
    let mut child = coord.command.spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(2));
}
