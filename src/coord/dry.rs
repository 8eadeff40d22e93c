//! A dry run: what would be done, and nothing downloaded.

use std::io::Write;

use serde_json::json;

use crate::plan::{self, DryJob, DryRun, PlanErrorKind, PlanOptions};
use crate::store::{S3Store, StoreConfig};
use crate::sys::fork;
use crate::sys::pidfd::{Child, Ended};
use crate::sys::signals::Signals;
use crate::task::JobFile;
use crate::values::human::{bytes, count};

use super::children::{end, wait_for};
use super::config::{Output, RunError};
use super::exit::ExitCode;
use super::forks::ServerSpec;
use super::plain::say;

/// Plans in a process of its own, which may have a runtime, and prints.
pub(super) fn run(
    jobfile: &JobFile,
    store: &StoreConfig,
    server: Option<&ServerSpec>,
    output: Output,
    signals: &Signals,
) -> Result<ExitCode, RunError> {
    let server = server.map(start_server).transpose()?;
    let planner = fork::fork(|| plan(jobfile, store, output)).map_err(RunError::system("fork"))?;
    let ended = wait_for(&planner, signals)?;
    if let Some(server) = server {
        end(&server)?;
    }
    match ended {
        Some(Ended::Exited(status)) => Ok(ExitCode::from_status(status).unwrap_or(ExitCode::Local)),
        Some(killed) => {
            say(&format!("error: the planner ended with {killed}"));
            Ok(ExitCode::Local)
        }
        None => Ok(ExitCode::Interrupted),
    }
}

#[cfg(feature = "embedded")]
fn start_server(server: &ServerSpec) -> Result<Child, RunError> {
    fork::fork(|| super::forks::serve(server, None).map_or(1, |()| 0))
        .map_err(RunError::system("fork"))
}

#[cfg(not(feature = "embedded"))]
fn start_server(_: &ServerSpec) -> Result<Child, RunError> {
    Err(RunError::Usage(
        "this build has no embedded S3 server (feature `embedded`)".to_owned(),
    ))
}

fn plan(jobfile: &JobFile, store: &StoreConfig, output: Output) -> i32 {
    let fail = |text: String, code: ExitCode| {
        say(&format!("error: {text}"));
        code as i32
    };
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(error.to_string(), ExitCode::Local),
    };
    let store = match S3Store::new(store.clone()) {
        Ok(store) => store,
        Err(error) => return fail(error.to_string(), ExitCode::Store),
    };
    let sink = DryRun::new(&store, |job: DryJob<'_>| show(&job, output));
    let options = PlanOptions {
        staging: jobfile.staging_limit,
        keep: jobfile.keep,
        ..PlanOptions::default()
    };
    let planned = runtime.block_on(plan::plan(jobfile, &store, &sink, &options));
    if let Err(error) = planned {
        let code = match error.kind() {
            PlanErrorKind::JobFile => ExitCode::Usage,
            PlanErrorKind::Store => ExitCode::Store,
            PlanErrorKind::Local => ExitCode::Local,
        };
        return fail(error.to_string(), code);
    }
    let t = sink.totals();
    let line = match output {
        Output::Text => format!(
            "{}, {}, {}, {}{}",
            count(t.products, "product"),
            count(t.objects, "object"),
            bytes(t.bytes),
            count(t.jobs, "job"),
            if t.broken > 0 {
                format!(", {} that cannot be done", t.broken)
            } else {
                String::new()
            },
        ),
        Output::Json => json!({
            "schema": 1, "event": "dry-run", "products": t.products, "objects": t.objects,
            "bytes": t.bytes, "jobs": t.jobs, "broken": t.broken,
        })
        .to_string(),
    };
    let _ = writeln!(std::io::stdout(), "{line}");
    if t.broken > 0 {
        ExitCode::SomeFailed as i32
    } else {
        ExitCode::Done as i32
    }
}

fn show(job: &DryJob<'_>, output: Output) {
    let line = match (output, job) {
        (Output::Text, DryJob::Planned(job)) => {
            let notes: String = job
                .payload
                .notes
                .iter()
                .map(|n| format!("\n    note: {n}"))
                .collect();
            let objects = count(job.payload.inputs.len() as u64, "object");
            format!("{}  {objects}  {}{notes}", job.name, bytes(job.bytes))
        }
        (Output::Text, DryJob::Broken(job)) => {
            format!("{}  cannot be done: {}", job.name, job.reason)
        }
        (Output::Json, DryJob::Planned(job)) => json!({
            "schema": 1, "event": "dry-job", "job": job.name, "product": job.payload.product,
            "bytes": job.bytes, "notes": job.payload.notes,
            "inputs": job.payload.inputs.iter().map(|i| &i.key).collect::<Vec<_>>(),
        })
        .to_string(),
        (Output::Json, DryJob::Broken(job)) => json!({
            "schema": 1, "event": "dry-job", "job": job.name, "product": job.product,
            "error": job.reason,
        })
        .to_string(),
    };
    let _ = writeln!(std::io::stdout(), "{line}");
}
