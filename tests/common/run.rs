//! Running the real `cotec-coord` in a directory of its own.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// No run of a test takes longer, even on a slow machine that does other things too.
const LIMIT: Duration = Duration::from_secs(240);

/// A directory to stand in: the home directory, what is served, and what a run writes.
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    pub fn new() -> Sandbox {
        let dir = tempfile::Builder::new()
            .prefix("cotec-test-")
            .tempdir()
            .unwrap();
        Sandbox { dir }
    }

    /// A path in it.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(relative)
    }

    /// Makes `served/<bucket>/<key>`; `served` is what `--serve` takes.
    pub fn object(&self, bucket: &str, key: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path("served").join(bucket).join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Makes another directory a served bucket.
    pub fn bucket(&self, bucket: &str, directory: &Path) {
        fs::create_dir_all(self.path("served")).unwrap();
        let to = fs::canonicalize(directory).unwrap();
        std::os::unix::fs::symlink(to, self.path("served").join(bucket)).unwrap();
    }

    /// Writes `cotec.toml`.
    pub fn job_file(&self, text: &str) {
        fs::write(self.path("cotec.toml"), text).unwrap();
    }

    /// The staged file of a plain key, in the default staging directory.
    pub fn staged(&self, bucket: &str, key: &str) -> PathBuf {
        self.path(".cotec/staging").join(bucket).join(key)
    }

    /// The command, with nothing of this process's environment that it could depend on.
    pub fn coord(&self) -> Coord {
        self.program(env!("CARGO_BIN_EXE_cotec-coord").as_ref())
    }

    /// The same for a command in front of it, which gets its path as the last argument so far.
    pub fn coord_under(&self, program: &str, args: &[&str]) -> Coord {
        let mut coord = self.program(program.as_ref());
        coord
            .command
            .args(args)
            .arg(env!("CARGO_BIN_EXE_cotec-coord"));
        coord
    }

    fn program(&self, program: &Path) -> Coord {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            // Nobody outside is asked for credentials.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null());
        // Coverage tools and the like find their places through these.
        for name in ["LLVM_PROFILE_FILE", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let (out, err) = (self.path("stdout"), self.path("stderr"));
        Coord { command, out, err }
    }
}

/// A run to be started.
pub struct Coord {
    pub command: Command,
    out: PathBuf,
    err: PathBuf,
}

impl Coord {
    pub fn args<S: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Coord {
        self.command.args(args);
        self
    }

    /// A flag with a path.
    pub fn arg_path(mut self, flag: &str, path: &Path) -> Coord {
        self.command.arg(flag).arg(path);
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Coord {
        self.command.env(name, value);
        self
    }

    /// `--serve` over what was laid out with [`Sandbox::object`].
    pub fn serve(self) -> Coord {
        self.args(["--serve", "served"])
    }

    /// Starts it. Its output goes to files, so that nobody who holds them open can hang a test.
    pub fn spawn(mut self) -> Running {
        let out = File::create(&self.out).unwrap();
        let err = File::create(&self.err).unwrap();
        self.command.stdout(out).stderr(err).process_group(0);
        let child = self.command.spawn().unwrap();
        Running {
            child,
            begun: Instant::now(),
            out: self.out,
            err: self.err,
            directory: self.command.get_current_dir().unwrap().to_owned(),
            ended: false,
        }
    }

    pub fn run(self) -> Outcome {
        self.spawn().wait()
    }

    /// Runs it, and fails unless it ends with `code`.
    pub fn expect(self, code: i32) -> Outcome {
        let outcome = self.run();
        assert_eq!(outcome.code, Some(code), "{outcome}");
        outcome
    }
}

/// A run under way; killed, with its children, if a test lets go of it.
pub struct Running {
    pub child: Child,
    begun: Instant,
    out: PathBuf,
    err: PathBuf,
    directory: PathBuf,
    ended: bool,
}

impl Running {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// What it has printed on standard output so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.out).unwrap_or_default()
    }

    /// Waits until standard output holds `text`; false if the run ended without it.
    pub fn printed(&mut self, text: &str) -> bool {
        loop {
            // Looked at before the output, so that nothing is missed in between.
            let ended = self.child.try_wait().unwrap().is_some();
            if self.stdout().contains(text) {
                return true;
            }
            if ended {
                return false;
            }
            self.in_time();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn wait(mut self) -> Outcome {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            self.in_time();
            std::thread::sleep(Duration::from_millis(3));
        };
        self.ended = true;
        let summary = fs::read_to_string(self.directory.join("out/summary.json")).ok();
        Outcome {
            code: status.code(),
            signal: status.signal(),
            seconds: self.begun.elapsed().as_secs_f64(),
            stdout: self.stdout(),
            stderr: fs::read_to_string(&self.err).unwrap_or_default(),
            summary: summary.and_then(|text| serde_json::from_str(&text).ok()),
        }
    }

    fn in_time(&self) {
        if self.begun.elapsed() > LIMIT {
            let err = fs::read_to_string(&self.err).unwrap_or_default();
            panic!("still running after {LIMIT:?}\n{}\n{err}", self.stdout());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.ended {
            // The others end when the coordinator does.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// How a run ended.
pub struct Outcome {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub seconds: f64,
    pub stdout: String,
    pub stderr: String,
    summary: Option<Value>,
}

impl Outcome {
    /// `out/summary.json`.
    pub fn summary(&self) -> &Value {
        self.summary
            .as_ref()
            .unwrap_or_else(|| panic!("no summary.json\n{self}"))
    }

    /// A number of the summary, such as `/objects/bytes_fetched`.
    pub fn count(&self, pointer: &str) -> u64 {
        let value = self.summary().pointer(pointer);
        value
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("{pointer} is {value:?}\n{self}"))
    }

    /// The record of a job in the summary.
    pub fn job(&self, name: &str) -> &Value {
        self.summary()["results"]
            .as_array()
            .and_then(|jobs| jobs.iter().find(|job| job["job"] == name))
            .unwrap_or_else(|| panic!("there is no job {name:?}\n{self}"))
    }

    /// The records that `--json` printed; each must be one.
    pub fn events(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| {
                let record: Value =
                    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
                assert_eq!(record["schema"], 1, "{line}");
                record
            })
            .collect()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cut = |text: &str| {
            let from = text.len().saturating_sub(4000);
            let from = (from..=text.len()).find(|at| text.is_char_boundary(*at));
            text[from.unwrap_or(0)..].to_owned()
        };
        let (out, err) = (cut(&self.stdout), cut(&self.stderr));
        let Outcome {
            code,
            signal,
            seconds,
            ..
        } = self;
        write!(
            f,
            "code {code:?}, signal {signal:?}, after {seconds:.1} s\n--- stdout\n{out}\n--- stderr\n{err}"
        )
    }
}
