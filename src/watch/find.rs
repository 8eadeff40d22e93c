//! The runs of this user on this machine.

use std::path::PathBuf;

use serde::Deserialize;

use crate::store::Endpoint;
use crate::sys::{proc, segment};

/// A run that says of itself where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The coordinator's process.
    pub pid: u32,
    /// The table's path, while the coordinator lives.
    pub table: PathBuf,
    /// The directory of its results.
    pub out: String,
    /// The endpoint that it downloads from, where it says so.
    pub endpoint: Option<Endpoint>,
    /// Whether the coordinator lives. One that was killed is known until the next run begins.
    pub lives: bool,
}

/// The announcement of a run; what later versions add is passed over.
#[derive(Deserialize)]
struct Line {
    schema: u32,
    pid: u32,
    table: PathBuf,
    #[serde(default)]
    out: String,
    #[serde(default)]
    endpoint: Option<Endpoint>,
}

/// All runs of this user, the newest last.
pub fn runs() -> Vec<Found> {
    let announced = segment::announced().into_iter();
    announced
        .filter_map(|one| found(one.pid, &one.line))
        .collect()
}

/// A run, if the line is of one that this version understands.
fn found(pid: u32, line: &str) -> Option<Found> {
    let line: Line = serde_json::from_str(line).ok()?;
    (line.schema == 1 && line.pid == pid).then(|| Found {
        pid,
        table: line.table,
        out: line.out,
        endpoint: line.endpoint,
        lives: proc::start_time(pid).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_announcements_of_runs_are_runs() {
        let pid = std::process::id();
        let line = format!(r#"{{"schema":1,"pid":{pid},"table":"/proc/1/fd/2","out":"/o","x":1}}"#);
        let run = found(pid, &line).unwrap();
        assert!(run.lives && run.out == "/o" && run.table.ends_with("fd/2"));
        assert_eq!(found(pid + 1, &line), None, "it is another process's");
        for line in [
            "",
            "{}",
            "\u{0}",
            &line.replace("\"schema\":1", "\"schema\":2"),
        ] {
            assert_eq!(found(pid, line), None, "{line}");
        }
    }
}
