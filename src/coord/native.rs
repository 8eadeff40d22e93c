//! Runs for programs that bring their own processor.

use std::error::Error;
use std::io::{stderr, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::plan::RasterFormulas;
use crate::store::StoreOptions;
use crate::task::{Flags, JobFile};
use crate::values::Limits;
use crate::work::Job;

use super::config::{DEFAULT_GRACE, Output, Record, RunConfig, RunError};
use super::exit::ExitCode;
use super::plain::PlainObserver;
use super::run::run as run_job_file;
use super::voice::Voice;

/// What a program with its own processor asks for.
#[derive(Clone, Debug, Default)]
pub struct NativeConfig {
    /// The job file; its tasks may leave out `index`, `expr` and `run`, and are then given to
    /// the processor.
    pub jobfile: PathBuf,
    /// What replaces settings of the job file: products, directories, workers.
    pub flags: Flags,
    /// The store, where it is not the job file's.
    pub store: StoreOptions,
    /// Serve this directory as the store, each sub-directory a bucket.
    pub serve: Option<PathBuf>,
    /// Run every job, also those that an earlier run into the same directory has done.
    pub fresh: bool,
    /// What is to be recorded of the run.
    pub record: Record,
    /// Where its metrics are served.
    pub metrics: Option<SocketAddr>,
}

impl NativeConfig {
    /// A run of this job file.
    pub fn from_file(path: impl Into<PathBuf>) -> NativeConfig {
        NativeConfig {
            jobfile: path.into(),
            ..NativeConfig::default()
        }
    }
}

/// Runs a job file with `processor` for the tasks that name none. Each job runs in one of several
/// forked processes, so the processor shares no memory with its other calls, and this must be
/// called while the process has one thread.
///
/// # Errors
/// Why the run could not begin. Failed jobs are told in the exit code and in `summary.json`.
pub fn run<F>(config: NativeConfig, processor: F) -> Result<ExitCode, RunError>
where
    F: Fn(&Job<'_>) -> Result<(), Box<dyn Error>>,
{
    let flags = Flags {
        native: true,
        ..config.flags
    };
    let jobfile = JobFile::read(&config.jobfile, &flags, &RasterFormulas)?;
    let mut observer = PlainObserver::new(stdout(), stderr(), Voice::default());
    run_job_file(RunConfig {
        jobfile,
        store: config.store,
        serve: config.serve,
        limits: Limits::default(),
        native: Some(&processor),
        observer: &mut observer,
        fresh: config.fresh,
        grace: DEFAULT_GRACE,
        dry_run: false,
        output: Output::Text,
        record: config.record,
        metrics: config.metrics,
    })
}
