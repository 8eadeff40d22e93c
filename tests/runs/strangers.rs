//! A process from outside joins a run: it registers objects of its own, waits for them, reads
//! them, and what it held when it died is handed on.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::processes::{none_left, table, until};
use crate::common::run::{Running, Sandbox};
use cotec::table::{ObjectSpec, Outcome, Table};
use cotec::values::{ObjectState, Role, staged};

/// A run that goes on until there is a file `go`.
fn run(sandbox: &Sandbox) -> Running {
    sandbox.object("b", "p/B01.tif", "one");
    sandbox.object("b", "other/extra", "an object that no job needs");
    sandbox.job_file(
        r#"
[store]
bucket = "b"
[products]
names = ["p"]
[[task]]
name = "wait"
run = ["sh", "-c", "while [ ! -e go ]; do sleep 0.02; done; cp $0 $1", "{B01}", "{out}"]
"#,
    );
    sandbox.coord().serve().spawn()
}

/// Joins the run that `running` is.
fn join(running: &Running) -> Table {
    // The path is good as long as this attachment is.
    let watcher = table(running);
    Table::attach(Path::new(&watcher.path()), true)
        .unwrap()
        .join(Role::Stranger)
        .unwrap()
}

const EXTRA: ObjectSpec<'_> = ObjectSpec {
    key: "other/extra",
    size: 27,
    etag: None,
};

#[test]
fn what_a_stranger_wants_is_downloaded_once_and_can_be_read() {
    let sandbox = Sandbox::new();
    let running = run(&sandbox);
    let stranger = join(&running);
    let slot = stranger.register_object(&EXTRA).unwrap();
    assert_eq!(stranger.register_object(&EXTRA).unwrap(), slot);
    assert_eq!(stranger.wait(slot, None).unwrap(), Outcome::Ready);
    let path = staged::staged_path(&sandbox.path(".cotec/staging"), "b", "other/extra");
    assert_eq!(fs::read(path).unwrap(), b"an object that no job needs");
    assert_eq!(stranger.object_attempt(slot).unwrap(), 1);
    fs::write(sandbox.path("go"), b"").unwrap();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.summary()["objects"]["total"], 2);
    none_left(&sandbox);
}

#[test]
fn what_a_stranger_held_is_handed_on_when_it_dies() {
    let sandbox = Sandbox::new();
    let running = run(&sandbox);
    let watcher = table(&running);
    let mut stranger = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "strangers::as_a_stranger_who_claims",
            "--nocapture",
        ])
        .env("COTEC_TABLE", watcher.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let slot = until("the stranger's claim", || {
        let slot = watcher.find_object(EXTRA.key).unwrap()?;
        let held = watcher
            .processes()
            .unwrap()
            .iter()
            .any(|p| p.pid == stranger.id());
        (held && watcher.object_state(slot).unwrap() == Some(ObjectState::Fetching)).then_some(slot)
    });
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    until("the object to arrive", || {
        (watcher.object_state(slot).unwrap() == Some(ObjectState::Ready)).then_some(())
    });
    fs::write(sandbox.path("go"), b"").unwrap();
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    none_left(&sandbox);
}

/// Not a test by itself: the stranger of the test above.
#[test]
fn as_a_stranger_who_claims() {
    let Ok(path) = std::env::var("COTEC_TABLE") else {
        return;
    };
    let table = Table::attach(Path::new(&path), true)
        .unwrap()
        .join(Role::Stranger)
        .unwrap();
    // The downloader is fast: a key is tried until it is this process that claims it.
    let slot = table.register_object(&EXTRA).unwrap();
    if table.claim_object(slot).unwrap().is_none() {
        assert_eq!(table.wait(slot, None).unwrap(), Outcome::Ready);
        assert!(table.evict(slot).unwrap());
        table.want(slot).unwrap();
        while table.claim_object(slot).unwrap().is_none() {
            assert_eq!(table.wait(slot, None).unwrap(), Outcome::Ready);
            table.evict(slot).unwrap();
            table.want(slot).unwrap();
        }
    }
    loop {
        std::thread::park();
    }
}
