//! The processes of a run: who they are, killing one, and that none is left.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cotec::table::{ProcessView, Table};
use cotec::values::Role;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use serde_json::Value;

use super::run::{Running, Sandbox};

/// No condition that a test waits for takes longer, even on a slow machine.
const LIMIT: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal to one process, or to a process group if `pid` is negative.
pub fn send(pid: i32, signal: Signal) {
    assert!(pid.abs() > 1);
    signal::kill(Pid::from_raw(pid), signal).unwrap();
}

/// The processes that live and stand in this sandbox, with their command lines: the command is
/// started with the sandbox as its home, and all that it starts inherit that.
pub fn living(sandbox: &Sandbox) -> Vec<(i32, String)> {
    let mark = format!("HOME={}", sandbox.path("").display());
    let mark = mark.trim_end_matches('/');
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name();
        let Some(pid) = name.to_str().and_then(|n| n.parse::<i32>().ok()) else {
            continue;
        };
        // What has ended meanwhile has no environment any more.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|b| *b == 0).any(|v| v == mark.as_bytes()) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            found.push((pid, line));
        }
    }
    found
}

/// Fails unless every process of the sandbox's runs has gone.
pub fn none_left(sandbox: &Sandbox) {
    let left = living(sandbox);
    assert!(left.is_empty(), "left behind: {left:?}");
}

/// Waits until every process of the sandbox's runs has gone; how long it took.
pub fn all_gone(sandbox: &Sandbox) -> Duration {
    let begun = Instant::now();
    until("the processes to end", || {
        living(sandbox).is_empty().then_some(())
    });
    begun.elapsed()
}

/// Fails if a run left its scratch directory or half a summary behind.
pub fn no_scratch(sandbox: &Sandbox) {
    let Ok(entries) = fs::read_dir(sandbox.path("out")) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with('.'), "{name} was left in out/");
    }
}

/// The table of a run, found as any other program of this user finds it.
pub fn table(running: &Running) -> Table {
    let uid = nix::unistd::geteuid();
    let path = format!("/dev/shm/cotec-{uid}-{}", running.pid());
    until("the announcement of the run", || {
        let text = fs::read(&path).ok()?;
        let line = text.split(|b| *b == 0).next()?;
        let line: Value = serde_json::from_slice(line).ok()?;
        assert_eq!(line["pid"], running.pid());
        Table::attach(Path::new(line["table"].as_str()?), false).ok()
    })
}

/// The first process that `which` picks.
pub fn find(table: &Table, what: &str, which: impl Fn(&ProcessView) -> bool) -> ProcessView {
    until(what, || {
        table.processes().unwrap().into_iter().find(|p| which(p))
    })
}

/// The process of a role.
pub fn of_role(table: &Table, role: Role) -> i32 {
    let process = find(table, role.name(), |p| p.role == role);
    i32::try_from(process.pid).unwrap()
}

/// Whether a process lives and has not become a zombie.
pub fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}
