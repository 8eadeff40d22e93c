//! Runs a row with the real commands and holds what happened to what the row says.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::bucket::{BUCKET, OBJECTS, PREFIX};
use crate::program::{Ended, Place, SECRET, files};
use crate::row::{Ends, Row};
use crate::server::Server;

/// What happened in a row.
pub struct Line {
    pub name: String,
    pub command: &'static str,
    pub happened: String,
    pub requests: usize,
    pub seconds: f64,
    /// What is not as the row says.
    pub wrong: Vec<String>,
    stderr: String,
}

impl Line {
    /// For the message of a failed test.
    pub fn tell(&self) -> String {
        let Line {
            name,
            command,
            wrong,
            stderr,
            ..
        } = self;
        format!("{name} ({command}):\n  {}\n{stderr}", wrong.join("\n  "))
    }
}

/// `cotec get` of everything below the prefix.
pub fn by_hand(row: &Row) -> Line {
    let (place, server) = (Place::new(), Server::start(&row.on));
    let address = format!("s3://{BUCKET}/{PREFIX}");
    let mut args = options(&server);
    args.extend(["get", &address, "got"]);
    let ended = place.run(env!("CARGO_BIN_EXE_cotec"), &args);
    let mut wrong = in_bounds(row, &ended);
    let code = match &row.ends {
        Ends::Right => 0,
        Ends::Object { .. } => 1,
        Ends::Nothing { code, .. } => *code,
    };
    check_code(code, &ended, &mut wrong);
    let got = place.path("got");
    check_files(row, &got, &mut wrong);
    let left = files(&got.join("%~landing"));
    // What landed of an object that may be had later is kept for then.
    let over = match &row.ends {
        Ends::Right => true,
        Ends::Object { fault, .. } => !matches!(*fault, "unreachable" | "server" | "refused"),
        Ends::Nothing { .. } => false,
    };
    check(&mut wrong, left.is_empty() || !over, || {
        format!("left half done: {left:?}")
    });
    line(row, "get", &server, ended, wrong)
}

/// Silence is tried for a second only.
fn options(server: &Server) -> Vec<&str> {
    let endpoint = ["--endpoint", server.url.as_str(), "--region", "us-east-1"];
    [&endpoint[..], &["--stall-timeout", "1"]].concat()
}

const JOB: &str = r#"
[products]
names = ["in"]
[[task]]
name = "copy"
output = "copy"
objects = ["**"]
run = ["cp", "-r", "{product_dir}", "{out}"]
"#;

/// A run of the coordinator with a job that copies what was staged.
pub fn in_a_run(row: &Row) -> Line {
    let (place, server) = (Place::new(), Server::start(&row.on));
    fs::write(place.path("cotec.toml"), JOB).unwrap();
    let mut args = options(&server);
    args.extend(["--bucket", BUCKET]);
    let ended = place.run(env!("CARGO_BIN_EXE_cotec-coord"), &args);
    let mut wrong = in_bounds(row, &ended);
    let summary = fs::read_to_string(place.path("out/summary.json")).unwrap_or_default();
    let summary: Value = serde_json::from_str(&summary).unwrap_or_default();
    let failed: Vec<_> = summary["failed_objects"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .map(|object| (object["key"].clone(), object["fault"].clone()))
        .collect();
    let copied = place.path("out/in/copy").exists();
    match &row.ends {
        Ends::Right => {
            check_code(0, &ended, &mut wrong);
            check_files(row, &place.path("out/in/copy"), &mut wrong);
        }
        Ends::Object { fault, .. } => {
            let store = ["unreachable", "refused"].contains(fault);
            check_code(if store { 3 } else { 1 }, &ended, &mut wrong);
            let expected = [(Value::from(row.key()), Value::from(*fault))];
            check(&mut wrong, failed == expected, || {
                format!("failed objects: {failed:?}")
            });
            check(&mut wrong, !copied, || "the job has a result".to_owned());
        }
        Ends::Nothing { code, .. } => {
            check_code(*code, &ended, &mut wrong);
            check(&mut wrong, !copied, || "the job has a result".to_owned());
        }
    }
    if !matches!(row.ends, Ends::Right) {
        // The run ends when its job has failed, and need not fetch what is left.
        let staged = place.path(".cotec/staging").join(BUCKET).join("in");
        whole_or_absent(&staged, &mut wrong);
        let failed = row.key().trim_start_matches(PREFIX);
        check(&mut wrong, !staged.join(failed).exists(), || {
            format!("{failed} is staged")
        });
    }
    line(row, "run", &server, ended, wrong)
}

fn check(wrong: &mut Vec<String>, good: bool, what: impl FnOnce() -> String) {
    if !good {
        wrong.push(what());
    }
}

fn check_code(expected: i32, ended: &Ended, wrong: &mut Vec<String>) {
    check(wrong, ended.code == Some(expected), || {
        format!("exit code {:?} instead of {expected}", ended.code)
    });
}

/// It ended by itself, said what the row says, told no secret, and kept the waits.
fn in_bounds(row: &Row, ended: &Ended) -> Vec<String> {
    let mut wrong = Vec::new();
    check(&mut wrong, ended.code.is_some(), || "it hangs".to_owned());
    let says = match &row.ends {
        Ends::Right => &[][..],
        Ends::Object { says, .. } | Ends::Nothing { says, .. } => says,
    };
    for fragment in says {
        check(&mut wrong, ended.stderr.contains(fragment), || {
            format!("it does not say {fragment:?}")
        });
    }
    for secret in [SECRET, "X-Amz", "Signature"] {
        let told = ended.stderr.contains(secret) || ended.stdout.contains(secret);
        check(&mut wrong, !told, || format!("it tells {secret:?}"));
    }
    check(&mut wrong, ended.took >= row.not_before, || {
        format!("it did not wait for {:?}", row.not_before)
    });
    wrong
}

/// The objects that must be there are.
fn check_files(row: &Row, at: &Path, wrong: &mut Vec<String>) {
    whole_or_absent(at, wrong);
    for object in OBJECTS.iter() {
        let name = object.key.trim_start_matches(PREFIX);
        let there = at.join(name).exists();
        let expected = match &row.ends {
            Ends::Right => true,
            Ends::Object { .. } => object.key != row.key(),
            // What came before it stopped may be there.
            Ends::Nothing { .. } => there,
        };
        check(wrong, there == expected, || {
            let is = if there { "is" } else { "is not" };
            format!("{name} {is} there")
        });
    }
}

/// Each object is there with the right bytes or not at all, and no other file is.
fn whole_or_absent(at: &Path, wrong: &mut Vec<String>) {
    let mut known = Vec::new();
    for object in OBJECTS.iter() {
        let name = object.key.trim_start_matches(PREFIX);
        known.push(name.to_owned());
        let there = fs::read(at.join(name));
        let right = there.as_ref().map_or(true, |bytes| *bytes == object.bytes);
        check(wrong, right, || format!("{name} has wrong bytes"));
    }
    for file in files(at) {
        let more = !file.starts_with("%~") && !known.contains(&file);
        check(wrong, !more, || format!("{file} is there"));
    }
}

fn line(
    row: &Row,
    command: &'static str,
    server: &Server,
    ended: Ended,
    wrong: Vec<String>,
) -> Line {
    // The address differs from run to run.
    let stderr = ended.stderr.replace(&server.url, "http://store");
    let said = stderr.lines().find_map(|line| line.strip_prefix("error: "));
    let happened = match ended.code {
        Some(0) => "right bytes".to_owned(),
        Some(code) => format!("{code}: {}", said.unwrap_or_default()),
        None => "hangs".to_owned(),
    };
    Line {
        name: row.name.clone(),
        command,
        happened,
        requests: server.requests(),
        seconds: ended.took.as_secs_f64(),
        wrong,
        stderr,
    }
}
