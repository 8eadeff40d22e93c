//! What a run is asked to do, and why it may not begin.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::fetch::StagingError;
use crate::store::{ErrorKind, StoreError, StoreOptions};
use crate::table::TableError;
use crate::task::{JobFile, JobFileError};
use crate::values::{Limits, way_out};
use crate::work::Native;

use super::exit::ExitCode;
use super::observe::Observer;

/// How long running jobs may go on after SIGTERM unless told otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

/// A run.
pub struct RunConfig<'a> {
    /// What to do.
    pub jobfile: JobFile,
    /// The store as the command line wants it; the job file's settings fill the gaps.
    pub store: StoreOptions,
    /// Serve this directory as the store, each sub-directory a bucket.
    pub serve: Option<PathBuf>,
    /// Capacities of the table.
    pub limits: Limits,
    /// The processor of tasks that name none.
    pub native: Option<Native<'a>>,
    /// Who is told what happens.
    pub observer: &'a mut dyn Observer,
    /// Run every job, also those that an earlier run into the same directory has done.
    pub fresh: bool,
    /// How long running jobs may go on when SIGTERM asks the run to end.
    pub grace: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
    /// How a dry run is printed.
    pub output: Output,
    /// What is to be recorded of it.
    pub record: Record,
    /// Where its metrics are served.
    pub metrics: Option<SocketAddr>,
}

/// Files that a run is recorded in.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// All that happened, in the Chrome trace format.
    pub trace: Option<PathBuf>,
    /// A page that tells where the time went.
    pub report: Option<PathBuf>,
}

/// For people or for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Lines for people.
    Text,
    /// A JSON record for each event.
    Json,
}

/// Why a run could not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The job file.
    #[error(transparent)]
    JobFile(#[from] JobFileError),
    /// The store's settings.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The staging directory.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The output directory.
    #[error("the output directory {} cannot be written: {source}; choose another with --out", path.display())]
    Output {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file that the run is recorded in.
    #[error("{} cannot be written: {source}; choose another file", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The port of the metrics.
    #[error(
        "metrics cannot be served at {address}: {source}; {}",
        way_out::of_io(source)
    )]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The operating system refused a call that a run cannot do without.
    #[error("{what} cannot be had: {source}; {}", way_out::of_io(source))]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The command line asks for two things that exclude each other, or for a missing part.
    #[error("{0}")]
    Usage(String),
}

impl RunError {
    pub(super) fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> RunError {
        move |source| RunError::System { what, source }
    }

    /// The exit code that fits.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            RunError::JobFile(_) | RunError::Usage(_) | RunError::Metrics { .. } => ExitCode::Usage,
            RunError::Store(error) => match error.kind() {
                ErrorKind::Config => ExitCode::Usage,
                ErrorKind::Local => ExitCode::Local,
                _ => ExitCode::Store,
            },
            RunError::Staging(_)
            | RunError::Output { .. }
            | RunError::Record { .. }
            | RunError::Table(_)
            | RunError::System { .. } => ExitCode::Local,
        }
    }
}
