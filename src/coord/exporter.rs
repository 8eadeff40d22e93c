//! Starting, replacing and ending the exporter of a run's metrics.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::store::Endpoint;
use crate::sys::pidfd::Ended;
use crate::sys::{death, fork, log};
use crate::table::TableError;
use crate::values::{Role, way_out};
use crate::watch::{About, Found, Metrics, Watcher, export};

use super::children;
use super::config::RunError;
use super::exit::ExitCode;
use super::exporting::Exporting;
use super::forks::Shared;
use super::observe::What;
use super::supervise::Supervisor;

/// One that ends sooner than this has not lived well.
const WELL: Duration = Duration::from_secs(10);
/// So many in a row that have not lived well are enough.
const DEATHS: u32 = 5;
/// How long is waited before one is replaced.
const PAUSE: Duration = Duration::from_secs(1);

impl Supervisor<'_, '_> {
    /// Forks the exporter, if there is to be one, and says where it answers.
    pub fn start_exporter(&mut self) -> Result<(), RunError> {
        let Some(exporting) = &self.exporting else {
            return Ok(());
        };
        let address = exporting.listener.local_addr();
        let address = address.map_err(RunError::system("the metrics' address"))?;
        self.fork_exporter()?;
        self.tell(What::Note {
            text: format!("metrics at http://{address}/metrics"),
            error: false,
        });
        Ok(())
    }

    fn fork_exporter(&mut self) -> Result<(), RunError> {
        let Some(exporting) = &mut self.exporting else {
            return Ok(());
        };
        exporting.started = Instant::now();
        exporting.due = None;
        let shared = self.shared;
        let child = fork::fork(|| shared.export(exporting)).map_err(RunError::system("fork"))?;
        self.children.add_watcher(Role::Exporter, child);
        Ok(())
    }

    /// Says that it died, and when it is to be replaced: not at once, and not for ever. The run
    /// does not depend on it.
    pub fn exporter_ended(&mut self, pid: u32, how: Ended) {
        let Some(exporting) = &mut self.exporting else {
            return;
        };
        exporting.deaths = match exporting.started.elapsed() < WELL {
            true => exporting.deaths + 1,
            false => 1,
        };
        let given_up = exporting.deaths >= DEATHS;
        exporting.due = Some(Instant::now() + PAUSE);
        if given_up && let Some(exporting) = self.exporting.take() {
            exporting.close();
        }
        self.tell(What::Died {
            role: Role::Exporter.name(),
            pid,
            how: how.to_string(),
            replaced: !given_up,
        });
        if given_up {
            let text = "the exporter ends again and again: there are no metrics any more; the \
                        run itself goes on, and `cotec stat` shows it";
            self.tell(What::Note {
                text: text.to_owned(),
                error: true,
            });
        }
    }

    /// Replaces the exporter if one died and its time has come.
    pub fn replace_exporter(&mut self) -> Result<(), RunError> {
        let due = self.exporting.as_ref().and_then(|e| e.due);
        match due.is_some_and(|due| Instant::now() >= due) {
            true => self.fork_exporter(),
            false => Ok(()),
        }
    }

    /// Ends the exporter; nobody is asked at its port any more.
    pub fn end_exporter(&mut self) -> Result<(), RunError> {
        self.exporting = None;
        match self.children.take_watcher(Role::Exporter) {
            Some(child) => children::end(&child),
            None => Ok(()),
        }
    }
}

impl Shared<'_> {
    /// What the exporter does.
    fn export(&self, exporting: &Exporting) -> i32 {
        death::role(Role::Exporter.name());
        log::set_role(Role::Exporter.name());
        // Whoever works is to have the processor first.
        let _ = rustix::process::nice(10);
        let metrics = match self.metrics(exporting.about.clone()) {
            Ok(metrics) => metrics,
            Err(error) => return self.cannot_export(&error.to_string()),
        };
        let exported = exporting.listener.try_clone();
        match exported.and_then(|listener| export(listener, metrics)) {
            Ok(()) => 0,
            Err(error) => self.cannot_export(&format!("{error}; {}", way_out::of_io(&error))),
        }
    }

    fn metrics(&self, about: About) -> Result<Metrics, TableError> {
        let run = Found {
            pid: std::os::unix::process::parent_id(),
            table: PathBuf::from(&self.table_path),
            out: self.out.display().to_string(),
            endpoint: Endpoint::of(&self.store).ok(),
            lives: true,
        };
        Ok(Metrics::new(Watcher::attach(&run)?, about))
    }

    fn cannot_export(&self, why: &str) -> i32 {
        let text = format!("the exporter cannot go on: {why}");
        let _ = self.table.complain(&text);
        ExitCode::Local as i32
    }
}
