//! What `--trace` and `--report` write, and that a run does not depend on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::common::processes::{all_gone, living, none_left, send, table, until};
use crate::common::run::{Running, Sandbox};
use crate::gate::Gate;

/// Three products, of which one has an object of several parts, and a command that notes which
/// worker runs it.
fn three_products(sandbox: &Sandbox) {
    for (product, megabytes) in [("p1", 1), ("p2", 40), ("p3", 2)] {
        for band in ["B04", "B08"] {
            let bytes = vec![7; megabytes << 20];
            sandbox.object("bucket", &format!("{product}/{band}.tif"), bytes);
        }
    }
    sandbox.job_file(&format!(
        "workers = 2\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nrun = [\"sh\", \"-c\", \"cat {{B04}} {{B08}} > {{out}}; echo {{product}} $PPID $$ >> {}\"]\n",
        sandbox.path("parents").display()
    ));
}

fn events(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

fn text<'a>(event: &'a Value, field: &str) -> &'a str {
    event[field].as_str().unwrap_or_default()
}

/// Microseconds, and nanoseconds behind the point.
fn time(event: &Value, field: &str) -> f64 {
    event[field].as_f64().unwrap()
}

fn track(event: &Value) -> (u64, u64) {
    let number = |field: &str| event[field].as_u64().unwrap();
    (number("pid"), number("tid"))
}

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|e| text(e, "ph") == "X" && text(e, "cat") == kind)
        .collect()
}

/// Whether `inner` lies within `outer`; times are rounded to a nanosecond.
fn within(inner: (f64, f64), outer: &Value) -> bool {
    let (begun, length) = (time(outer, "ts"), time(outer, "dur"));
    inner.0 >= begun - 0.002 && inner.1 <= begun + length + 0.002
}

fn span(event: &Value) -> (f64, f64) {
    let begun = time(event, "ts");
    (begun, begun + time(event, "dur"))
}

#[test]
fn a_trace_tells_who_did_what_and_when() {
    let sandbox = Sandbox::new();
    three_products(&sandbox);
    let running = sandbox
        .coord()
        .serve()
        .args(["--trace", "trace.json"])
        .spawn();
    let coordinator = running.pid() as u64;
    assert_eq!(running.wait().code, Some(0));
    let events = events(&sandbox.path("trace.json"));

    // Each job on the track of the process that ran it.
    let parents = fs::read_to_string(sandbox.path("parents")).unwrap();
    let (mut workers, mut commands) = (BTreeMap::new(), BTreeMap::new());
    for line in parents.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let job = format!("t/{}", words[0]);
        workers.insert(job.clone(), words[1].parse::<u64>().unwrap());
        commands.insert(job, words[2].parse::<u64>().unwrap());
    }
    let jobs = of_kind(&events, "job");
    let by_trace: BTreeMap<String, u64> = jobs
        .iter()
        .map(|job| (text(job, "name").to_owned(), track(job).0))
        .collect();
    assert_eq!((by_trace, jobs.len()), (workers, 3));
    // Its command within it, with the pid that the command had.
    let spans = of_kind(&events, "command");
    assert_eq!(spans.len(), 3);
    for job in &jobs {
        let mut own = spans.iter().filter(|c| track(c) == track(job));
        let own = own.find(|command| within(span(command), job)).unwrap();
        assert_eq!(
            own["args"]["pid"].as_u64(),
            commands.get(text(job, "name")).copied()
        );
    }
    let named: BTreeMap<u64, &str> = events
        .iter()
        .filter(|e| text(e, "name") == "process_name")
        .map(|e| (track(e).0, text(&e["args"], "name")))
        .collect();
    assert_eq!(named[&coordinator], "coordinator 0");
    let workers = named.values().filter(|name| name.starts_with("worker"));
    assert_eq!(workers.count(), 2);

    // Each object once, and its parts within it, with all its bytes.
    let objects = of_kind(&events, "object");
    let keys: BTreeSet<&str> = objects.iter().map(|o| text(&o["args"], "key")).collect();
    assert_eq!((keys.len(), objects.len()), (6, 6));
    let parts = of_kind(&events, "part");
    assert!(parts.len() > objects.len(), "nothing came in several parts");
    for object in &objects {
        let of = |part: &&&Value| part["args"]["key"] == object["args"]["key"];
        let own: Vec<_> = parts.iter().filter(of).collect();
        let bytes: u64 = own
            .iter()
            .map(|p| p["args"]["bytes"].as_u64().unwrap())
            .sum();
        assert!(
            bytes >= object["args"]["size"].as_u64().unwrap(),
            "{object}"
        );
        assert!(own.iter().all(|part| within(span(part), object)));
    }

    // An arrow from every object to its job, from span to span.
    for (ph, kind, spans) in [("s", "object", &objects), ("f", "job", &jobs)] {
        let ends: Vec<&Value> = events.iter().filter(|e| text(e, "ph") == ph).collect();
        let ids: BTreeSet<u64> = ends.iter().map(|e| e["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), 6, "{ph}");
        for end in ends {
            let at = time(end, "ts");
            let there = |s: &&Value| track(s) == track(end) && within((at, at), s);
            assert!(spans.iter().any(there), "{end} is on no {kind}");
        }
    }
    nothing_overlaps(&events);
    none_left(&sandbox);
}

/// Viewers draw the spans of a track as a tree: one lies within another, or beside it.
fn nothing_overlaps(events: &[Value]) {
    let mut tracks: BTreeMap<(u64, u64), Vec<(u64, u64)>> = BTreeMap::new();
    for event in events.iter().filter(|e| text(e, "ph") == "X") {
        let nanoseconds = |field| (time(event, field) * 1000.0).round() as u64;
        let (begun, length) = (nanoseconds("ts"), nanoseconds("dur"));
        let spans = tracks.entry(track(event)).or_default();
        spans.push((begun, begun + length));
    }
    for (track, mut spans) in tracks {
        spans.sort_by_key(|(begun, ended)| (*begun, std::cmp::Reverse(*ended)));
        let mut open: Vec<u64> = Vec::new();
        for (begun, ended) in spans {
            open.retain(|end| *end > begun);
            let fits = open.last().is_none_or(|end| ended <= *end);
            assert!(fits, "{track:?}: {begun} to {ended} beyond {open:?}");
            open.push(ended);
        }
    }
}

#[test]
fn the_trace_of_a_killed_run_tells_what_happened_until_then() {
    let sandbox = Sandbox::new();
    three_products(&sandbox);
    let gate = Gate::new(&sandbox.path("served"), &["p3/B08"]);
    let coord = gate.use_by(sandbox.coord());
    let running = coord
        .args(["--bucket", "bucket", "--trace", "t.json"])
        .spawn();
    let path = sandbox.path("t.json");
    until("two jobs in the trace", || {
        let text = fs::read_to_string(&path).unwrap_or_default();
        (text.matches("\"cat\":\"job\"").count() == 2).then_some(())
    });
    send(running.pid(), Signal::SIGKILL);
    running.wait();
    all_gone(&sandbox);
    let text = fs::read_to_string(&path).unwrap();
    let whole = text.rfind('\n').unwrap();
    let repaired = format!("{}]", text[..whole].trim_end_matches(','));
    let events: Vec<Value> = serde_json::from_str(&repaired).unwrap();
    assert_eq!(of_kind(&events, "job").len(), 2);
    gate.open();
}

/// The recorder of a run of so many processes besides: it alone has no record in the table.
fn recorder(running: &Running, sandbox: &Sandbox, others: usize) -> i32 {
    until("the recorder", || {
        let known: Vec<i32> = table(running)
            .processes()
            .unwrap()
            .iter()
            .map(|process| process.pid as i32)
            .collect();
        let all = living(sandbox);
        let cotec = all.iter().filter(|(_, line)| line.contains("cotec-coord"));
        let mut unknown = cotec.map(|(pid, _)| *pid);
        (known.len() == others)
            .then(|| unknown.find(|pid| !known.contains(pid)))
            .flatten()
    })
}

/// A run with trace and report, whose requests for what has `held` in its name wait at the gate.
fn recorded_and_held(sandbox: &Sandbox, held: &str) -> (Gate, Running) {
    let gate = Gate::new(&sandbox.path("served"), &[held]);
    let coord = gate.use_by(sandbox.coord());
    let files = ["--trace", "t.json", "--report", "r.html"];
    let running = coord.args(["--bucket", "bucket"]).args(files).spawn();
    gate.wait_until_held();
    (gate, running)
}

#[test]
fn what_a_recorder_could_not_read_is_said() {
    let sandbox = Sandbox::new();
    for n in 0..16_000 {
        sandbox.object("bucket", &format!("p{}/o{n:05}", n / 2000), "x");
    }
    sandbox.job_file(
        "workers = 1\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nlayout = \"objects\"\n\
         objects = [\"*\"]\nrun = [\"true\"]\noutput = \"\"\n",
    );
    // No object comes before the recorder is stopped.
    let (gate, running) = recorded_and_held(&sandbox, "/o");
    let recorder = recorder(&running, &sandbox, 4);
    send(recorder, Signal::SIGSTOP);
    // From then on each object has four events at least, and the ring holds 65,536.
    gate.open();
    let table = table(&running);
    until("all jobs", || {
        (table.count_jobs().unwrap().done == 8).then_some(())
    });
    send(recorder, Signal::SIGCONT);
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let said = "events were overwritten before they could be read";
    let events = events(&sandbox.path("t.json"));
    let lost = events.iter().find(|e| text(e, "name").ends_with(said));
    let lost = text(lost.unwrap(), "name").split(' ').next().unwrap();
    assert!(lost.parse::<u32>().unwrap() > 0, "{lost}");
    let page = fs::read_to_string(sandbox.path("r.html")).unwrap();
    assert!(page.contains("of the run are not known"));
    assert!(page.contains("what would have made it faster is not known"));
    none_left(&sandbox);
}

#[test]
fn a_recorder_that_dies_does_not_concern_the_run() {
    let sandbox = Sandbox::new();
    three_products(&sandbox);
    let (gate, running) = recorded_and_held(&sandbox, "p3/B08");
    send(recorder(&running, &sandbox, 5), Signal::SIGKILL);
    gate.open();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.count("/jobs/done"), 3);
    assert!(
        outcome.stderr.contains("there is no report"),
        "{}",
        outcome.stderr
    );
    assert!(!sandbox.path("r.html").exists());
    none_left(&sandbox);
}

#[test]
fn a_report_is_written_however_a_run_ends() {
    let sandbox = Sandbox::new();
    three_products(&sandbox);
    let gate = Gate::new(&sandbox.path("served"), &["p3/B08"]);
    let coord = gate.use_by(sandbox.coord());
    let running = coord
        .args(["--bucket", "bucket", "--report", "r.html"])
        .spawn();
    until("two jobs", || {
        let jobs = table(&running).count_jobs().unwrap();
        (jobs.done == 2).then_some(())
    });
    send(running.pid(), Signal::SIGINT);
    assert_eq!(running.wait().code, Some(130));
    let page = fs::read_to_string(sandbox.path("r.html")).unwrap();
    for job in ["t/p1", "t/p2", "t/p3"] {
        assert!(page.contains(job), "{job}");
    }
    none_left(&sandbox);
    gate.open();
}

#[test]
fn a_file_that_cannot_be_written_is_said_before_the_run() {
    for flag in ["--trace", "--report"] {
        for path in ["no/such/directory/file", "."] {
            let sandbox = Sandbox::new();
            three_products(&sandbox);
            let outcome = sandbox.coord().serve().args([flag, path]).run();
            assert_eq!(outcome.code, Some(4), "{flag} {path}: {}", outcome.stderr);
            assert!(outcome.stderr.contains("cannot be written"), "{flag}");
            assert!(outcome.stderr.contains("choose another file"), "{flag}");
            none_left(&sandbox);
            assert_eq!(fs::read_dir(sandbox.path("out")).unwrap().count(), 0);
            assert!(!sandbox.path(".cotec/staging").exists());
        }
    }
}

#[test]
fn files_may_stand_in_the_directory_of_the_results() {
    let sandbox = Sandbox::new();
    three_products(&sandbox);
    let files = ["--trace", "out/t.json", "--report", "out/r.html"];
    sandbox.coord().serve().args(files).expect(0);
    assert!(!events(&sandbox.path("out/t.json")).is_empty());
    assert!(sandbox.path("out/r.html").exists());
    assert!(sandbox.path("out/summary.json").exists());
}
