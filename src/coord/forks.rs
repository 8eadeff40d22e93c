//! What the forked processes do.

use std::path::PathBuf;
use std::sync::Arc;

use crate::fetch::{self, Bounds, FetchConfig, SpaceConfig};
use crate::plan::{self, PlanErrorKind, PlanOptions};
use crate::store::{Loopback, S3Store, StoreConfig};
use crate::sys::segment::Started;
use crate::sys::{command, death, log};
use crate::table::Table;
use crate::task::JobFile;
use crate::upload::{self, UploadConfig};
use crate::values::Role;
use crate::values::staged::Tree;
use crate::work::{self, Native, Scratch, WorkConfig};

use super::config::RunError;
use super::exit::ExitCode;
use super::journal::Earlier;
use super::sink::TableSink;
use super::standing::Standing;

/// The exit status of a child that could not do its work for a reason of this machine.
const BROKEN: i32 = ExitCode::Local as i32;

/// Everything that the processes of a run share; each gets a copy by being forked.
pub(super) struct Shared<'a> {
    pub table: Table,
    pub table_path: String,
    pub jobfile: JobFile,
    pub store: StoreConfig,
    pub staging: PathBuf,
    pub out: PathBuf,
    pub scratch: Scratch,
    pub workers: usize,
    pub native: Option<Native<'a>>,
    pub server: Option<ServerSpec>,
    /// Bytes of staging that jobs may have, where there is a limit.
    pub room: Option<u64>,
    /// What earlier runs have done.
    pub earlier: Arc<Earlier>,
}

/// The embedded server's part.
#[cfg_attr(
    not(feature = "embedded"),
    expect(
        dead_code,
        reason = "without the server a run that wants one is refused"
    )
)]
pub(super) struct ServerSpec {
    pub root: PathBuf,
    pub loopback: Loopback,
}

impl Shared<'_> {
    /// Runs a role to its end; the value is the process's exit status.
    pub fn body(&self, role: Role, started: Option<&Started>) -> i32 {
        death::role(role.name());
        log::set_role(role.name());
        let outcome = match role {
            Role::Planner => return self.plan(),
            Role::Downloader => self.fetch(),
            Role::Worker => self.work(),
            Role::Uploader => self.upload(),
            Role::Server => self.serve(started),
            Role::Coordinator | Role::Stranger | Role::Recorder | Role::Exporter => Ok(()),
        };
        match outcome {
            Ok(()) => 0,
            Err(error) => {
                let _ = self
                    .table
                    .complain(&format!("the {} cannot go on: {error}", role.name()));
                BROKEN
            }
        }
    }

    fn plan(&self) -> i32 {
        let complain = |text: String, code: ExitCode| {
            let _ = self.table.complain(&text);
            code as i32
        };
        let table = match self.table.join(Role::Planner) {
            Ok(table) => table,
            Err(error) => return complain(error.to_string(), ExitCode::Local),
        };
        let runtime = match tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
        {
            Ok(runtime) => runtime,
            Err(error) => {
                let text = RunError::system("the planner's runtime")(error).to_string();
                return complain(text, ExitCode::Local);
            }
        };
        let standing = Standing::look(&self.jobfile, &self.store, &self.earlier);
        let standing = match runtime.block_on(standing) {
            Ok(standing) => standing,
            Err(error) => {
                let text = format!("the results of earlier runs could not be listed: {error}");
                return complain(text, ExitCode::Store);
            }
        };
        let sink = TableSink {
            standing,
            table: table.clone(),
            staging: self.staging.clone(),
            bucket: self.store.bucket.clone(),
            earlier: Arc::clone(&self.earlier),
        };
        let store = match S3Store::new(self.store.clone()) {
            Ok(store) => store,
            Err(error) => return complain(error.to_string(), ExitCode::Store),
        };
        let options = PlanOptions {
            staging: self.room,
            keep: self.jobfile.keep,
            ..PlanOptions::default()
        };
        match runtime.block_on(plan::plan(&self.jobfile, &store, &sink, &options)) {
            Ok(summary) => match table.planned(summary.products) {
                Ok(()) => 0,
                Err(error) => complain(error.to_string(), ExitCode::Local),
            },
            Err(error) => {
                let code = match error.kind() {
                    PlanErrorKind::JobFile => ExitCode::Usage,
                    PlanErrorKind::Store => ExitCode::Store,
                    PlanErrorKind::Local => ExitCode::Local,
                };
                complain(error.to_string(), code)
            }
        }
    }

    fn fetch(&self) -> Result<(), Box<dyn std::error::Error>> {
        let table = self.table.join(Role::Downloader)?;
        let store = S3Store::new(self.store.clone())?;
        let profile = store.budget().profile();
        let connections = Bounds::of(profile, self.jobfile.connections.pinned());
        let config = FetchConfig {
            staging: self.staging.clone(),
            tree: Tree::Bucket(self.store.bucket.clone()),
            connections,
            order: self.jobfile.order,
            workers: self.workers,
            space: self.space(),
            until_idle: false,
        };
        Ok(fetch::run(&table, store, config)?)
    }

    /// What the downloader keeps to. Where nothing is removed, the planner let through only what has
    /// room.
    fn space(&self) -> Option<SpaceConfig> {
        let limit = self.room.filter(|_| !self.jobfile.keep)?;
        let tasks = self.jobfile.tasks.iter();
        let scratch = tasks.map(|task| task.scratch.unwrap_or(0)).collect();
        Some(SpaceConfig { limit, scratch })
    }

    fn upload(&self) -> Result<(), Box<dyn std::error::Error>> {
        let table = self.table.join(Role::Uploader)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let config = UploadConfig {
            jobfile: &self.jobfile,
            store: &self.store,
            place: &|job, attempt| self.scratch.place(job, attempt),
        };
        Ok(runtime.block_on(upload::run(&table, &config))?)
    }

    fn work(&self) -> Result<(), Box<dyn std::error::Error>> {
        command::take_commands_along()?;
        let table = self.table.join(Role::Worker)?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let config = WorkConfig {
            jobfile: &self.jobfile,
            staging: &self.staging,
            bucket: &self.store.bucket,
            out: &self.out,
            scratch: &self.scratch,
            table_path: &self.table_path,
            threads: (cores / self.workers.max(1)).max(1),
            native: self.native,
        };
        Ok(work::run(&table, &config)?)
    }

    #[cfg(feature = "embedded")]
    fn serve(&self, started: Option<&Started>) -> Result<(), Box<dyn std::error::Error>> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        // Its record only says which process it is.
        let _table = self.table.join(Role::Server)?;
        serve(server, started)
    }

    #[cfg(not(feature = "embedded"))]
    fn serve(&self, _: Option<&Started>) -> Result<(), Box<dyn std::error::Error>> {
        Err("this build has no embedded S3 server (feature `embedded`)".into())
    }
}

/// Serves a directory until killed.
#[cfg(feature = "embedded")]
pub(super) fn serve(
    server: &ServerSpec,
    started: Option<&Started>,
) -> Result<(), Box<dyn std::error::Error>> {
    let loopback = &server.loopback;
    let listener = loopback.listener.try_clone()?;
    if let Some(started) = started {
        started.set()?;
    }
    Ok(crate::store::embedded::serve(
        &server.root,
        listener,
        &loopback.access,
        loopback.secret.expose(),
        None,
    )?)
}
