//! Which inputs are fetched first.

use serde_json::Value;

use crate::common::processes::{none_left, table, until};
use crate::common::run::Sandbox;
use cotec::table::{JobId, ObjectSpec, Outcome, Table};
use cotec::values::{JobState, Role};

/// Products `a` to `d` of one object each, of these sizes in KB.
const SIZES: [(&str, usize); 4] = [("a", 400), ("b", 100), ("c", 300), ("d", 200)];

fn sandbox(more: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for (product, kilobytes) in SIZES {
        let key = format!("{product}/B01.tif");
        sandbox.object("b", &key, vec![7; kilobytes << 10]);
    }
    sandbox.job_file(&format!(
        "{more}
[store]
bucket = \"b\"
[products]
names = [\"a\", \"b\", \"c\", \"d\"]
[[task]]
name = \"t\"
run = [\"sh\", \"-c\", \"while [ ! -e go ]; do sleep 0.02; done; : > $0\", \"{{out}}\"]
bands = [\"B01\"]
"
    ));
    sandbox
}

/// The products in the order in which the `--json` records show their objects to be ready.
fn fetched(stdout: &str) -> Vec<String> {
    let records = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    records
        .filter(|record: &Value| record["event"] == "object-ready")
        .map(|record| record["key"].as_str().unwrap()[..1].to_owned())
        .collect()
}

#[test]
fn the_order_of_the_job_file_and_of_the_flag() {
    // One connection, so that objects come one after the other, and no job ends before all have
    // come, so that no costs are learnt. Which jobs are registered when the first one begins is a
    // matter of time: it may be any.
    for (file, flag, order) in [
        ("order = \"given\"", None, "abcd"),
        ("order = \"smallest\"", None, "bdca"),
        ("order = \"given\"", Some("smallest"), "bdca"),
        ("", Some("given"), "abcd"),
        ("", None, "bdca"),
    ] {
        let sandbox = sandbox(file);
        let flags = flag.map(|order| ["--order", order]);
        let coord = sandbox.coord().serve().args(flags.into_iter().flatten());
        let running = coord
            .args(["--connections", "1", "--workers", "1", "--json"])
            .spawn();
        until("all objects", || {
            (fetched(&running.stdout()).len() == 4).then_some(())
        });
        std::fs::write(sandbox.path("go"), b"").unwrap();
        let outcome = running.wait();
        assert_eq!(outcome.code, Some(0), "{outcome}");
        let fetched = fetched(&outcome.stdout).concat();
        let rest = |order: &str| -> String {
            let first = fetched.chars().next();
            order.chars().filter(|p| Some(*p) != first).collect()
        };
        assert_eq!(rest(&fetched), rest(order), "{file} {flag:?}: {fetched}");
    }
}

#[test]
fn an_object_that_is_waited_for_does_not_wait_for_jobs() {
    let sandbox = sandbox("");
    sandbox.object("b", "other/extra", "an object that no job needs");
    let running = sandbox.coord().serve().spawn();
    let watcher = table(&running);
    until("the jobs to be registered", || {
        (watcher.jobs_len().unwrap() == 4).then_some(())
    });
    let path = watcher.path();
    let stranger = Table::attach(path.as_ref(), true)
        .unwrap()
        .join(Role::Stranger)
        .unwrap();
    // An input that no job has, as a planner leaves it that died before it registered the job.
    let mut slots = Vec::new();
    let spec = ObjectSpec {
        key: "other/extra",
        size: 27,
        etag: None,
    };
    stranger.register_inputs(&[spec], &mut slots).unwrap();
    assert!(stranger.is_for_jobs(slots[0]).unwrap());
    assert_eq!(stranger.wait(slots[0], None).unwrap(), Outcome::Ready);
    std::fs::write(sandbox.path("go"), b"").unwrap();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    none_left(&sandbox);
}

#[test]
fn an_input_that_is_removed_from_staging_is_fetched_again_for_its_job() {
    let sandbox = sandbox("workers = 1");
    let running = sandbox.coord().serve().spawn();
    let watcher = table(&running);
    until("all jobs to have their inputs", || {
        (watcher.count_objects().unwrap().ready == 4).then_some(())
    });
    let path = watcher.path();
    let stranger = Table::attach(path.as_ref(), true)
        .unwrap()
        .join(Role::Stranger)
        .unwrap();
    // Any of them may have come first, and its job runs.
    until("a job to run", || {
        (watcher.count_jobs().unwrap().running == 1).then_some(())
    });
    let is_ready = |job: &JobId| watcher.job_state(*job).unwrap() == Some(JobState::Ready);
    let job = (0..4).map(JobId).find(is_ready).unwrap();
    let slot = watcher.job_inputs(job).unwrap()[0];
    let key = watcher.key(slot).unwrap();
    assert!(stranger.evict(slot).unwrap());
    std::fs::remove_file(sandbox.staged("b", &key)).unwrap();
    std::fs::write(sandbox.path("go"), b"").unwrap();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(sandbox.staged("b", &key).exists());
    none_left(&sandbox);
}
