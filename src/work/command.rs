//! Running a command as a processor.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::sys::command::{end_children, end_group, kill_group};
use crate::sys::pidfd::{Child, Ended};
use crate::sys::spawn::{Launch, spawn};
use crate::task::{Template, Value, expand_argv};
use crate::values::{Fault, FaultCode};

use super::job::Job;
use super::log::{Log, Outlet, Printed};
use super::outcome::Failure;

/// How long a command that has run too long gets to end by itself.
const MERCY: Duration = Duration::from_secs(5);

/// What a worker runs commands with, one after the other.
pub(super) struct Commands {
    null: File,
    outlet: Outlet,
}

impl Commands {
    pub fn open() -> io::Result<Commands> {
        let null = File::open("/dev/null")?;
        let outlet = Outlet::open()?;
        Ok(Commands { null, outlet })
    }

    /// Runs the command of a job and waits for it, its output in the file `log`. `Err` within
    /// the pair is why it failed.
    pub fn run(
        &mut self,
        job: &Job<'_>,
        argv: &[Template],
        log: PathBuf,
        table_path: &str,
    ) -> (Printed, Result<(), Failure>) {
        let mut log = Log::new(log);
        let outcome = self.run_with(job, argv, &mut log, table_path);
        // Nobody is left who could print more.
        while self.outlet.pass(&mut log) {}
        (log.close(), outcome)
    }

    fn run_with(
        &mut self,
        job: &Job<'_>,
        argv: &[Template],
        log: &mut Log,
        table_path: &str,
    ) -> Result<(), Failure> {
        product_dir_is_one(job, argv)?;
        (job.space.make()).map_err(|e| Failure::staging(job.space.path(), &e))?;
        let argv = expand_argv(argv, |name| value(job, name)).map_err(Failure::processor)?;
        let Some(program) = argv.first() else {
            return Err(Failure::processor("the command is empty"));
        };
        let launch = Launch {
            argv: &argv,
            environment: &environment(job, table_path),
            input: self.null.as_fd(),
            output: self.outlet.entry(),
            memory: job.task.memory,
        };
        let child = spawn(&launch).map_err(|error| {
            let program = program.to_string_lossy();
            Failure::processor(format!(
                "the command {program:?} cannot be started: {error}"
            ))
        })?;
        let group = child.pid();
        // If this worker dies, the coordinator ends the group.
        let noted =
            (job.table.set_group(group)).and_then(|()| job.table.command_begun(job.id, group));
        let until = job.task.timeout.map(|timeout| Instant::now() + timeout);
        let ended = self.watch(&child, until, log);
        if matches!(ended, Ok(false)) {
            end_group(group);
            let _ = self.watch(&child, Some(Instant::now() + MERCY), log);
        }
        // Before the command is waited for its number cannot come to mean another group.
        kill_group(group);
        let status = child.wait();
        // What has left the group is ours now that its parent is gone.
        end_children(|_| false);
        let _ = job.table.set_group(0);
        let _ = job.table.command_ended(job.id, group);
        noted.map_err(Failure::processor)?;
        match (ended, status) {
            (Ok(false), _) => Err(too_long(job)),
            (_, Ok(Ended::Exited(0))) => Ok(()),
            (_, Ok(ended)) => Err(failure(ended)),
            (_, Err(error)) => Err(Failure::processor(error)),
        }
    }

    /// Keeps what a command prints until it has ended, which makes it true, or `until` has passed.
    fn watch(&mut self, child: &Child, until: Option<Instant>, log: &mut Log) -> io::Result<bool> {
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            let time = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let (end, output) = (child.fd(), self.outlet.fd());
            let mut fds = [
                PollFd::new(&end, PollFlags::IN),
                PollFd::new(&output, PollFlags::IN),
            ];
            match rustix::event::poll(&mut fds, time.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let [end, output] = fds.map(|fd| !fd.revents().is_empty());
            if output {
                self.outlet.pass(log);
            }
            if end {
                return Ok(true);
            }
        }
    }
}

/// A key may be another one's product: then its file stands where the directory would be.
fn product_dir_is_one(job: &Job<'_>, argv: &[Template]) -> Result<(), Failure> {
    let mut names = argv.iter().flat_map(Template::placeholders);
    let dir = job.product_dir();
    if names.any(|(name, _)| name == "product_dir") && dir.is_file() {
        return Err(Failure::processor(format!(
            "{} is a file, from this run or an earlier one, so the product has no directory of its \
             own; name its files with {{inputs}}, or remove that file if it is from an earlier run",
            dir.display()
        )));
    }
    Ok(())
}

fn value(job: &Job<'_>, name: &str) -> Option<Value> {
    let one = |text: OsString| Some(Value::One(text));
    match name {
        "out" => one(job.out().into()),
        "product" => one(job.product().into()),
        "product_dir" => one(job.product_dir().into()),
        "prefix" => one(job.prefix().into()),
        "job" => one(job.name().into()),
        "task" => one(job.task().into()),
        "staging" => one(job.staging().into()),
        "scratch" => one(job.scratch().into()),
        "inputs" => Some(Value::Many(
            job.inputs().into_iter().map(Into::into).collect(),
        )),
        "products" => Some(Value::Many(
            job.products().into_iter().map(Into::into).collect(),
        )),
        band if job.payload.members.is_empty() => job.band(band).and_then(|path| one(path.into())),
        band => Some(Value::Many(
            job.band_files(band).into_iter().map(Into::into).collect(),
        )),
    }
}

/// The command gets this process's environment without credentials, what it needs to attach to
/// the table, and what its task adds.
fn environment(job: &Job<'_>, table_path: &str) -> Vec<(OsString, OsString)> {
    let mut own: Vec<(OsString, OsString)> = vec![
        ("COTEC_TABLE".into(), table_path.into()),
        ("COTEC_JOB".into(), job.name().into()),
        ("COTEC_TASK".into(), job.task().into()),
        ("COTEC_PRODUCT".into(), job.product().into()),
        ("COTEC_STAGING".into(), job.staging().into()),
        ("COTEC_SCRATCH".into(), job.scratch().into()),
        ("COTEC_THREADS".into(), job.threads().to_string().into()),
    ];
    if job.has_result() {
        own.push(("COTEC_OUT".into(), job.out().into()));
    }
    if job.payload.members.is_empty() {
        own.push(("COTEC_PRODUCT_DIR".into(), job.product_dir().into()));
    }
    let parameters = job.task.parameters.iter();
    own.extend(parameters.map(|(name, value)| {
        let name = format!("COTEC_PARAM_{}", name.to_ascii_uppercase());
        (name.into(), value.to_string().into())
    }));
    let added = job.task.env.iter();
    own.extend(added.map(|(name, value)| (name.into(), value.into())));
    let inherited = std::env::vars_os().filter(|(name, _)| {
        let text = name.to_string_lossy().to_ascii_uppercase();
        !text.starts_with("AWS_") && own.iter().all(|(other, _)| other != name)
    });
    let mut all: Vec<_> = inherited.collect();
    all.extend(own);
    all
}

fn too_long(job: &Job<'_>) -> Failure {
    let seconds = job.task.timeout.unwrap_or_default().as_secs_f64();
    Failure {
        fault: Fault::new(FaultCode::TimedOut, seconds.ceil() as u32),
        error: format!("the command ran longer than the {seconds} s of its task and was ended"),
    }
}

fn failure(ended: Ended) -> Failure {
    let (code, number, error) = match ended {
        Ended::Exited(code) => (
            FaultCode::Processor,
            code,
            format!("the command ended with exit status {code}"),
        ),
        Ended::Killed(signal) => (
            FaultCode::ProcessorKilled,
            signal,
            format!("the command was killed by signal {signal}"),
        ),
    };
    Failure {
        fault: Fault::new(code, number.unsigned_abs()),
        error,
    }
}
