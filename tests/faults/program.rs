//! Runs a command in a directory of its own and waits for its end, but not for ever.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub const ACCESS: &str = "AKIDTESTACCESS";
pub const SECRET: &str = "s3cr3t/of+the=test";

/// Nothing here takes longer: what does, hangs.
const LIMIT: Duration = Duration::from_secs(150);

/// How a command ended.
pub struct Ended {
    /// `None` for one that was killed, since it did not end.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// A directory to run commands in.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        let dir = tempfile::Builder::new().prefix("cotec-fault-").tempdir();
        Place(dir.unwrap())
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.0.path().join(relative)
    }

    /// Runs a program with credentials and nothing else in its environment.
    pub fn run(&self, program: &str, args: &[&str]) -> Ended {
        let (out, err) = (self.path("stdout"), self.path("stderr"));
        let begun = Instant::now();
        let mut child = Command::new(program)
            .args(args)
            .current_dir(self.0.path())
            .env_clear()
            .env("HOME", self.0.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("AWS_ACCESS_KEY_ID", ACCESS)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .stdin(Stdio::null())
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .spawn()
            .unwrap();
        let code = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status.code();
            }
            if begun.elapsed() > LIMIT {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        Ended {
            code,
            stdout: text(&out),
            stderr: text(&err),
            took: begun.elapsed(),
        }
    }
}

/// All files below a directory, by their paths relative to it, in order.
pub fn files(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().unwrap().is_dir() {
            let below = files(&entry.path());
            found.extend(below.iter().map(|below| format!("{name}/{below}")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}
