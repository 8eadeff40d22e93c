//! `cotec wait [FILE...]`: in a command of a task with `start = "at-once"`, until inputs are there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cotec::table::{JobId, Outcome, SlotId, Table, TableError};
use cotec::values::staged::staged_path;

use super::complain;
use crate::Cli;

/// Which inputs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Inputs of this job: their files, as {B04} and {inputs} name them, or their keys [default: all]
    files: Vec<PathBuf>,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// Why inputs cannot be waited for, or will not come.
#[derive(Debug, thiserror::Error)]
enum WaitError {
    #[error(
        "{0} is not set: this is for the commands of a run, which have it from cotec-coord; start it in a task's `run`"
    )]
    NoRun(&'static str),
    #[error("the job {} is not in this run; leave COTEC_JOB as cotec-coord has set it", .0.display())]
    NoJob(OsString),
    #[error(
        "{} is no input of the job {job}; name one of its files as {{B04}} or {{inputs}} do", file.display()
    )]
    NoInput { file: PathBuf, job: String },
    #[error("{key}: {why}")]
    Failed { key: String, why: String },
    #[error("{key}: not there after {seconds} s; give it more with --timeout")]
    TimedOut { key: String, seconds: u64 },
    #[error("{0}; start the run again")]
    Table(#[from] TableError),
}

/// Waits; the exit code is 0 when all are there and verified, 1 if one will not come or the time
/// is over, and 2 where there is nothing to wait for.
pub fn run(args: &Args, cli: &Cli) -> u8 {
    match wait(args) {
        Ok(()) => 0,
        Err(error) => {
            complain(cli, &error);
            match error {
                WaitError::NoRun(_) | WaitError::NoJob(_) | WaitError::NoInput { .. } => 2,
                WaitError::Failed { .. } | WaitError::TimedOut { .. } | WaitError::Table(_) => 1,
            }
        }
    }
}

fn wait(args: &Args) -> Result<(), WaitError> {
    let of_run = |name| std::env::var_os(name).ok_or(WaitError::NoRun(name));
    let (path, name) = (of_run("COTEC_TABLE")?, of_run("COTEC_JOB")?);
    let staging = PathBuf::from(of_run("COTEC_STAGING")?);
    let table = Table::attach(Path::new(&path), true)?;
    let job = match name.to_str() {
        Some(name) => table.find_job(name)?,
        None => None,
    };
    let job = job.ok_or(WaitError::NoJob(name))?;
    let slots = slots(&table, job, &staging, &args.files)?;
    let until = (args.timeout).map(|seconds| Instant::now() + Duration::from_secs(seconds));
    for slot in slots {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let key = || table.key(slot);
        match table.wait(slot, left)? {
            Outcome::Ready => {}
            Outcome::Failed(fault) => {
                let why = format!("{fault}; {}", fault.code.way_out());
                return Err(WaitError::Failed { key: key()?, why });
            }
            Outcome::TimedOut => {
                let seconds = args.timeout.unwrap_or(0);
                return Err(WaitError::TimedOut {
                    key: key()?,
                    seconds,
                });
            }
        }
    }
    Ok(())
}

/// The inputs that are meant; all of the job's if none is named.
fn slots(
    table: &Table,
    job: JobId,
    staging: &Path,
    files: &[PathBuf],
) -> Result<Vec<SlotId>, WaitError> {
    let mut inputs = Vec::new();
    for slot in table.job_inputs(job)? {
        inputs.push((slot, table.key(slot)?));
    }
    if files.is_empty() {
        return Ok(inputs.into_iter().map(|(slot, _)| slot).collect());
    }
    let find = |file: &PathBuf| {
        let below = file.strip_prefix(staging).ok();
        let bucket = below.and_then(|path| path.iter().next()?.to_str());
        let is_it = |key: &str| {
            Path::new(key) == file
                || bucket.is_some_and(|bucket| staged_path(staging, bucket, key) == *file)
        };
        let found = inputs.iter().find(|(_, key)| is_it(key));
        found.map(|(slot, _)| *slot)
    };
    let named = files.iter().map(|file| match find(file) {
        Some(slot) => Ok(slot),
        None => Err(WaitError::NoInput {
            file: file.clone(),
            job: table.job_name(job)?,
        }),
    });
    named.collect()
}
