//! Starting and ending the recorder of a run.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::report::Story;
use crate::sys::fork;
use crate::sys::pidfd::Ended;
use crate::sys::whole;
use crate::values::Role;
use crate::watch::{self, Ending, Recording};

use super::children::wait_for;
use super::config::{Record, RunError};
use super::exit::ExitCode;
use super::observe::What;
use super::supervise::Supervisor;

impl Record {
    /// Whether anything is to be recorded.
    pub(super) fn is_wanted(&self) -> bool {
        self.trace.is_some() || self.report.is_some()
    }

    /// Opens what is to be written, so that it is known before the run whether it can be.
    pub(super) fn open(self) -> Result<Opened, RunError> {
        let not = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Record { path, source }
        };
        let trace = match self.trace {
            Some(path) => {
                let file = File::create(&path).map_err(not(&path))?;
                Some((path, file))
            }
            None => None,
        };
        if let Some(path) = &self.report {
            whole::can_be_written(path).map_err(not(path))?;
        }
        let report = self.report;
        Ok(Opened { trace, report })
    }
}

/// What a run is recorded in.
pub(super) struct Opened {
    trace: Option<(PathBuf, File)>,
    report: Option<PathBuf>,
}

/// Seconds since the epoch.
pub(super) fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

impl Supervisor<'_, '_> {
    /// Forks the recorder.
    pub fn start_recorder(&mut self, opened: Opened, story: Story) -> Result<(), RunError> {
        let recording = Recording {
            trace: opened.trace,
            report: opened.report.map(|path| (path, story)),
        };
        let (over, tell) = pipe_with(PipeFlags::CLOEXEC)
            .map_err(|errno| RunError::system("pipe")(errno.into()))?;
        let (shared, begun_ns) = (self.shared, self.begun_ns);
        let child = fork::fork(|| shared.record(begun_ns, recording, over));
        let child = child.map_err(RunError::system("fork"))?;
        self.children.add_watcher(Role::Recorder, child);
        self.recorder = Some(tell);
        Ok(())
    }

    /// Tells the recorder how the run has ended, waits until it has written everything, and passes
    /// on what it says. A signal that ends runs ends it.
    pub fn end_recorder(&mut self, outcome: &str, seconds: f64) -> Result<(), RunError> {
        let Some(tell) = self.recorder.take() else {
            return Ok(());
        };
        let Some(child) = self.children.take_watcher(Role::Recorder) else {
            return Ok(());
        };
        let ending = Ending {
            outcome: outcome.to_owned(),
            seconds,
        };
        let line = serde_json::to_vec(&ending).unwrap_or_default();
        // If it is gone, its end says so.
        let _ = File::from(tell).write_all(&line);
        let how = wait_for(&child, &self.signals)?;
        self.drain()?;
        if let Some(how) = how {
            self.recorder_ended(child.pid(), how);
        }
        Ok(())
    }

    /// Says so if the recorder was killed; why it gives up it says itself.
    pub fn recorder_ended(&mut self, pid: u32, how: Ended) {
        if how == Ended::Exited(0) || how == Ended::Exited(ExitCode::Local as i32) {
            return;
        }
        self.tell(What::Died {
            role: Role::Recorder.name(),
            pid,
            how: how.to_string(),
            replaced: false,
        });
        let text = "the trace ends where it is, and there is no report; the run itself goes on";
        self.tell(What::Note {
            text: text.to_owned(),
            error: true,
        });
    }
}

impl super::forks::Shared<'_> {
    fn record(&self, begun_ns: u64, recording: Recording, over: OwnedFd) -> i32 {
        crate::sys::death::role(Role::Recorder.name());
        crate::sys::log::set_role(Role::Recorder.name());
        match watch::record(&self.table, begun_ns, self.workers, recording, over) {
            Ok(()) => 0,
            Err(error) => {
                let _ = self.table.complain(&error.to_string());
                ExitCode::Local as i32
            }
        }
    }
}
