//! `cotec stat` beside a run: what it shows is true, it moves nothing, and it says what became of
//! the run.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use crate::common::processes::{none_left, table, until};
use crate::common::run::{Running, Sandbox};
use crate::gate::Gate;
use serde_json::Value;

/// A job of each of three products, one of which fails, one of which goes on until there is a file
/// `go`.
pub fn three_jobs() -> Sandbox {
    let sandbox = Sandbox::new();
    for product in ["bad", "good", "wait"] {
        sandbox.object("b", &format!("{product}/x"), vec![b'x'; 1000]);
    }
    sandbox.job_file(
        r#"
[store]
bucket = "b"
[products]
prefix = ""
[[task]]
name = "t"
run = ["sh", "-c", '''
case "$1" in
bad) exit 3;;
wait) while [ ! -e go ]; do sleep 0.02; done;;
esac
echo > "$0"
''', "{out}", "{product}"]
objects = ["*"]
"#,
    );
    sandbox
}

fn run(sandbox: &Sandbox) -> Running {
    sandbox.coord().serve().args(["--workers", "2"]).spawn()
}

fn stat(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cotec"))
        .arg("stat")
        .args(args)
        .output()
        .unwrap()
}

fn records(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn what_is_shown_is_how_the_run_stands() {
    let sandbox = three_jobs();
    let running = run(&sandbox);
    let pid = running.pid().to_string();
    let look = until("two jobs to end", || {
        let look = records(&stat(&[&pid, "--once", "--json"]))
            .into_iter()
            .next()?;
        (look["jobs"]["done"] == 1 && look["jobs"]["failed"] == 1).then_some(look)
    });
    assert_eq!(
        (&look["schema"], &look["phase"]),
        (&1.into(), &"planned".into()),
        "{look}"
    );
    assert_eq!(look["jobs"]["running"], 1, "{look}");
    assert_eq!(look["objects"]["ready"], 3, "{look}");
    assert_eq!(look["bytes"]["fetched"], 3000, "{look}");
    // Of a directory that is served nothing is limited.
    assert_eq!(look["endpoint"], Value::Null, "{look}");
    let failure = &look["failures"][0];
    assert_eq!(
        (&failure["name"], &failure["fault"]),
        (&"t/bad".into(), &"processor".into())
    );
    let processes = look["processes"].as_array().unwrap();
    let runs: Vec<&str> = processes.iter().filter_map(|p| p["job"].as_str()).collect();
    assert_eq!(runs, ["t/wait"], "{look}");
    assert_eq!(
        processes.iter().filter(|p| p["role"] == "worker").count(),
        2,
        "{look}"
    );
    // It is no process of the run, and has left no trace in its table.
    assert!(processes.iter().all(|p| p["role"] != "stranger"), "{look}");
    let lines = String::from_utf8(stat(&[&pid, "--once"]).stdout).unwrap();
    for part in [
        format!("run {pid} · planned"),
        "runs t/wait".into(),
        "failed: job t/bad".into(),
    ] {
        assert!(lines.contains(&part), "{lines}");
    }
    fs::write(sandbox.path("go"), b"").unwrap();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    none_left(&sandbox);
    assert_eq!(stat(&[&pid, "--once"]).status.code(), Some(1), "it is over");
}

#[test]
fn the_endpoints_budget_is_shown_where_something_is_limited() {
    let sandbox = Sandbox::new();
    for product in ["p1", "p2"] {
        sandbox.object("b", &format!("{product}/x"), vec![b'x'; 1000]);
    }
    sandbox.job_file(
        "[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\noutput = \"x\"\n\
         run = [\"cp\", \"{inputs}\", \"{out}\"]\nobjects = [\"*\"]\n",
    );
    let gate = Gate::new(&sandbox.path("served"), &["GET /b/p2/x"]);
    let limits = [
        "--limit",
        "connections=3",
        "--limit",
        "bytes_per_month=1000000",
    ];
    let coord = gate.use_by(sandbox.coord()).args(limits);
    let running = coord.spawn();
    gate.wait_until_held();
    let pid = running.pid().to_string();
    // The month is kept where the run keeps it.
    let home = sandbox.path("");
    let look = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cotec"));
        command.args(["stat", &pid, "--once"]).args(args);
        command.env("HOME", &home).env_remove("XDG_STATE_HOME");
        command.output().unwrap()
    };
    let endpoint = until("the first object to be fetched", || {
        let look = records(&look(&["--json"])).into_iter().next()?;
        (look["bytes"]["fetched"] == 1000).then(|| look["endpoint"].clone())
    });
    assert_eq!(endpoint["name"], gate.url.trim_start_matches("http://"));
    assert_eq!(endpoint["limits"]["connections"], 3, "{endpoint}");
    assert_eq!(endpoint["limits"]["bytes_per_second"], Value::Null);
    // The one that waits at the gate, and others as they come and go.
    for who in ["connections", "connections_of_all"] {
        let held = endpoint[who].as_u64().unwrap();
        assert!((1..=3).contains(&held), "{endpoint}");
    }
    assert_eq!(endpoint["month"], 1000, "{endpoint}");
    let lines = String::from_utf8(look(&[]).stdout).unwrap();
    assert!(
        lines.contains("/3 · ") && lines.contains(" by all runs · 1.0 kB of 1.0 MB this month"),
        "{lines}"
    );
    gate.open();
    assert_eq!(running.wait().code, Some(0));
}

#[test]
fn records_come_until_the_run_is_over() {
    let sandbox = three_jobs();
    let running = run(&sandbox);
    let _table = table(&running);
    let mut stat = Command::new(env!("CARGO_BIN_EXE_cotec"))
        .args(["stat", &running.pid().to_string(), "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(stat.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"schema\":1"));
    fs::write(sandbox.path("go"), b"").unwrap();
    assert_eq!(running.wait().code, Some(1));
    let last: Value = serde_json::from_str(&lines.last().unwrap().unwrap()).unwrap();
    assert_eq!(
        (&last["phase"], &last["jobs"]["done"]),
        (&"ended".into(), &2.into()),
        "{last}"
    );
    assert_eq!(stat.wait().unwrap().code(), Some(0));
}

#[test]
fn a_killed_coordinator_is_told_and_how_to_go_on() {
    let sandbox = three_jobs();
    let mut running = run(&sandbox);
    let _table = table(&running);
    let stat_beside = Command::new(env!("CARGO_BIN_EXE_cotec"))
        .args(["stat", &running.pid().to_string(), "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = running.pid().to_string();
    until("the first record", || {
        records(&stat(&[&pid, "--once", "--json"]))
            .into_iter()
            .next()
    });
    running.child.kill().unwrap();
    running.child.wait().unwrap();
    let output = stat_beside.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    // Unless it was killed before it was found at all.
    if let Some(last) = records(&output).last() {
        assert_eq!(last["phase"], "killed", "{last}");
    }
    let output = stat(&[&pid, "--once"]);
    let said = String::from_utf8(output.stderr).unwrap();
    // The next run removes what it has left of itself, and others run beside this one.
    let killed = said.contains(&format!("the coordinator {pid}")) && said.contains("was killed");
    assert!(
        killed || said.contains(&format!("process {pid} coordinates no run")),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
    drop(running);
    none_left(&sandbox);
}

#[test]
fn without_a_run_it_says_so() {
    let output = stat(&["4194304"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("4194304"),
        "no such run"
    );
}
