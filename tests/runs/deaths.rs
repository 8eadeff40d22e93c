//! Any process of a run may be killed at any instant: the results are those of an undisturbed
//! run, byte for byte, and nobody is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::common::processes::{
    all_gone, find, lives, living, no_scratch, none_left, of_role, send, table, until,
};
use crate::common::run::{Outcome, Running, Sandbox};
use crate::gate::Gate;
use cotec::raster::{SampleSpec, write_sample};
use cotec::table::{JobId, Table};
use cotec::values::{JobState, Role};
use nix::sys::signal::Signal;
use serde_json::Value;

const BUCKET: &str = "made-up";

/// `wait` runs until there is a file `go`; `long` computes for a while.
const JOBS: &str = r#"
[store]
bucket = "made-up"

[products]
prefix = ""

[[task]]
index = "ndvi"

[[task]]
name = "long"
expr = "LONG"

[[task]]
name = "wait"
run = ["sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; cp \"$0\" \"$1\"", "{B03}", "{out}"]
"#;

/// A sandbox with two small products and the job file.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("served").join(BUCKET);
    fs::create_dir_all(&dir).unwrap();
    let spec = SampleSpec {
        products: 2,
        size: 256,
    };
    write_sample(&dir, &spec).unwrap();
    let deep = (0..60).fold("B04".to_owned(), |inner, _| format!("log(exp({inner}))"));
    sandbox.job_file(&JOBS.replace("LONG", &deep));
    sandbox
}

fn go(sandbox: &Sandbox) {
    fs::write(sandbox.path("go"), b"").unwrap();
}

/// All images below `out/`, by their names.
fn results(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for product in fs::read_dir(out).unwrap().flatten() {
        if !product.path().is_dir() {
            continue;
        }
        for file in fs::read_dir(product.path()).unwrap().flatten() {
            let name = file.path().strip_prefix(out).unwrap().to_owned();
            if name.extension().is_some_and(|e| e != "log") {
                found.insert(name, fs::read(file.path()).unwrap());
            }
        }
    }
    found
}

/// The results of a run that nobody disturbs.
fn undisturbed() -> &'static BTreeMap<PathBuf, Vec<u8>> {
    static RESULTS: OnceLock<BTreeMap<PathBuf, Vec<u8>>> = OnceLock::new();
    RESULTS.get_or_init(|| {
        let sandbox = sandbox();
        go(&sandbox);
        sandbox.coord().serve().expect(0);
        none_left(&sandbox);
        let results = results(&sandbox.path("out"));
        assert_eq!(results.len(), 2 * (2 + 2 + 1));
        results
    })
}

/// The run ended well, as if nothing had happened, and says who died.
fn as_undisturbed(sandbox: &Sandbox, outcome: &Outcome, role: &str, pid: i32) {
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let events = outcome.events();
    let died: Vec<&Value> = events
        .iter()
        .filter(|e| e["event"] == "process-died")
        .collect();
    assert_eq!(died.len(), 1, "{outcome}");
    assert_eq!(died[0]["role"], role);
    assert_eq!(died[0]["pid"], pid);
    assert_eq!(died[0]["how"], "signal 9");
    none_left(sandbox);
    no_scratch(sandbox);
    let results = results(&sandbox.path("out"));
    assert!(
        results.keys().eq(undisturbed().keys()),
        "{:?}",
        results.keys()
    );
    for (name, bytes) in &results {
        assert!(undisturbed().get(name) == Some(bytes), "{name:?} differs");
    }
}

fn kill(running: &mut Running, pid: i32) {
    send(pid, Signal::SIGKILL);
    assert!(running.printed("\"event\":\"process-died\""));
}

#[test]
fn the_downloader_with_requests_under_way() {
    let sandbox = sandbox();
    go(&sandbox);
    let gate = Gate::new(&sandbox.path("served"), &["B08"]);
    let mut running = gate.use_by(sandbox.coord()).args(["--json"]).spawn();
    gate.wait_until_held();
    let pid = of_role(&table(&running), Role::Downloader);
    kill(&mut running, pid);
    gate.open();
    as_undisturbed(&sandbox, &running.wait(), "downloader", pid);
}

#[test]
fn the_planner_that_waits_for_metadata() {
    let sandbox = sandbox();
    go(&sandbox);
    let gate = Gate::new(&sandbox.path("served"), &["MTD_MSIL2A"]);
    let mut running = gate.use_by(sandbox.coord()).args(["--json"]).spawn();
    gate.wait_until_held();
    let pid = of_role(&table(&running), Role::Planner);
    kill(&mut running, pid);
    gate.open();
    as_undisturbed(&sandbox, &running.wait(), "planner", pid);
}

#[test]
fn the_server_with_work_before_it() {
    let sandbox = sandbox();
    let mut running = sandbox.coord().serve().args(["--json"]).spawn();
    assert!(running.printed("\"event\":\"object-fetching\""));
    let pid = of_role(&table(&running), Role::Server);
    kill(&mut running, pid);
    go(&sandbox);
    as_undisturbed(&sandbox, &running.wait(), "server", pid);
}

#[test]
fn a_worker_while_it_runs_a_command() {
    let sandbox = sandbox();
    let mut running = sandbox.coord().serve().args(["--json"]).spawn();
    let worker = find(&table(&running), "a worker with a command", |p| {
        p.group != 0
    });
    let (pid, group) = (worker.pid as i32, worker.group as i32);
    assert!(lives(group));
    kill(&mut running, pid);
    until("the command to end with its worker", || {
        (!lives(group)).then_some(())
    });
    go(&sandbox);
    let outcome = running.wait();
    as_undisturbed(&sandbox, &outcome, "worker", pid);
    let attempts = outcome.summary()["results"].as_array().unwrap().iter();
    let attempts: u64 = attempts.map(|r| r["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 7, "six jobs, one of them twice: {outcome}");
    assert!(outcome.stdout.contains("\"event\":\"job-handed-on\""));
}

/// Stops a worker in the middle of a job of this task; `None` if none is running now.
fn stop_inside(table: &Table, task: &str) -> Option<i32> {
    for number in 0..table.jobs_len().unwrap() {
        let job = table.job(JobId(number)).unwrap()?;
        if job.state != JobState::Running || !job.name.starts_with(task) {
            continue;
        }
        let processes = table.processes().unwrap();
        let worker = processes.iter().find(|p| p.owner == job.owner)?;
        let pid = worker.pid as i32;
        send(pid, Signal::SIGSTOP);
        // A stopped process moves nothing: what holds now holds until it is killed.
        until("the worker to stop", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(") ")?
                .1
                .starts_with(['T', 't'])
                .then_some(())
        });
        let now = table.job(JobId(number)).unwrap()?;
        if now.state == JobState::Running && now.owner == job.owner {
            return Some(pid);
        }
        send(pid, Signal::SIGCONT);
    }
    None
}

#[test]
fn a_worker_in_the_middle_of_an_index() {
    let sandbox = sandbox();
    go(&sandbox);
    let mut running = sandbox.coord().serve().args(["--json"]).spawn();
    let table = table(&running);
    let pid = until("a worker that computes", || stop_inside(&table, "long/"));
    kill(&mut running, pid);
    as_undisturbed(&sandbox, &running.wait(), "worker", pid);
}

#[test]
fn a_job_that_takes_its_workers_down_is_given_up_and_the_others_go_on() {
    let sandbox = sandbox();
    let jobs = r#"
[store]
bucket = "made-up"
[products]
prefix = ""
[[task]]
name = "deadly"
run = ["sh", "-c", "kill -9 $PPID; sleep 1000", "{B03}"]
[[task]]
index = "ndvi"
"#;
    sandbox.job_file(jobs);
    let outcome = sandbox.coord().serve().args(["--json"]).expect(1);
    assert_eq!(
        (outcome.count("/jobs/done"), outcome.count("/jobs/failed")),
        (2, 2)
    );
    for job in outcome.summary()["results"].as_array().unwrap() {
        if job["task"] == "deadly" {
            assert_eq!(job["fault"], "worker-died", "{outcome}");
            assert_eq!(job["attempts"], 3);
        } else {
            assert_eq!(job["state"], "done");
        }
    }
    let died = outcome.stdout.matches("\"event\":\"process-died\"").count();
    assert_eq!(died, 6, "{outcome}");
    none_left(&sandbox);
    no_scratch(&sandbox);
}

#[test]
fn the_coordinator_takes_all_along_and_the_next_run_goes_on_from_there() {
    let sandbox = sandbox();
    // A child, one in a session of its own, and one whose parent has gone.
    let hard = "touch began; sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &); ";
    let text = fs::read_to_string(sandbox.path("cotec.toml")).unwrap();
    sandbox.job_file(&text.replace("while [", &format!("{hard} while [")));
    let mut running = sandbox.coord().serve().args(["--json"]).spawn();
    assert!(running.printed("\"event\":\"planned\""));
    let table = table(&running);
    until("all objects to be in staging", || {
        let objects = table.count_objects().unwrap();
        (objects.wanted + objects.fetching == 0 && sandbox.path("began").exists()).then_some(())
    });
    until("the commands' children to begin", || {
        let living = living(&sandbox);
        (living
            .iter()
            .filter(|(_, line)| line == "sleep 1000 ")
            .count()
            >= 3)
            .then_some(())
    });
    let outcome = {
        send(running.pid(), Signal::SIGKILL);
        running.wait()
    };
    assert_eq!(outcome.signal, Some(9));
    let took = all_gone(&sandbox);
    println!("all processes were gone {took:?} after the coordinator");
    assert!(took < Duration::from_secs(10));

    go(&sandbox);
    sandbox.job_file(&text);
    let outcome = sandbox.coord().serve().expect(0);
    assert_eq!(outcome.count("/objects/bytes_fetched"), 0, "{outcome}");
    assert_eq!(outcome.count("/jobs/done"), 6);
    none_left(&sandbox);
    no_scratch(&sandbox);
    assert!(results(&sandbox.path("out")) == *undisturbed());
}
