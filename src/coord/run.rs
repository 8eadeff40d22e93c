//! A run from its beginning to its summary.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::fetch::{Staging, StagingError};
use crate::report::Story;
use crate::store::{Endpoint, Environment, Loopback, StoreConfig, StoreOptions};
use crate::sys::clock::now_ns;
use crate::sys::segment::Segment;
use crate::sys::signals::{Signals, survive_file_limits};
use crate::sys::{command, fork};
use crate::table::Table;
use crate::task::StoreSettings;
use crate::values::Role;
use crate::watch::About;
use crate::work::Scratch;

use super::config::{RunConfig, RunError};
use super::dry;
use super::exit::ExitCode;
use super::exporting::{self, Exporting};
use super::forks::{ServerSpec, Shared};
use super::journal::Journal;
use super::observe::What;
use super::recorder::unix_now;
use super::summary::Ending;
use super::supervise::Supervisor;

/// How many seconds the embedded server gets to start.
const SERVER_SECONDS: u64 = 10;
/// How long a staging directory that another run holds is waited for.
const STAGING_PATIENCE: Duration = Duration::from_millis(500);

/// Runs a job file to its end. The process must have one thread, and its children are this
/// function's alone.
///
/// # Errors
/// Why the run could not begin, or had to be left. Failed jobs are no error: the exit code and
/// the summary tell.
pub fn run(config: RunConfig<'_>) -> Result<ExitCode, RunError> {
    let RunConfig {
        jobfile,
        store,
        serve,
        limits,
        native,
        observer,
        fresh,
        grace,
        dry_run,
        output,
        record,
        metrics,
    } = config;
    let begun_ns = now_ns();
    // Before anything is made that would have to be taken back.
    let listener = metrics.map(exporting::listen).transpose()?;
    let signals = Signals::open().map_err(RunError::system("signalfd"))?;
    survive_file_limits().map_err(RunError::system("sigaction"))?;
    let mut options = with_settings(store, &jobfile.store);
    options.limits = options.limits.or(jobfile.endpoint);
    let synthetic = jobfile.store.sample.is_some() && serve.is_none();
    let Some((store, server)) = store_of(&options, serve, &jobfile, &signals)? else {
        return Ok(ExitCode::Interrupted);
    };
    if dry_run {
        return dry::run(&jobfile, &store, server.as_ref(), output, &signals);
    }
    let not = |source| RunError::Output {
        path: jobfile.out.clone(),
        source,
    };
    // It may be where these files are to stand.
    fs::create_dir_all(&jobfile.out).map_err(not)?;
    let opened = match record.is_wanted() {
        true => Some(record.open()?),
        false => None,
    };
    let staging = open_staging(&jobfile.staging)?;
    let scratch = Scratch::create(&jobfile.out).map_err(not)?;
    let out = fs::canonicalize(&jobfile.out).map_err(not)?;
    let (journal, earlier) = Journal::open(&out, fresh).map_err(not)?;
    let room = match jobfile.staging_limit {
        Some(limit) => Some(staging.room(limit, jobfile.keep)?),
        None => None,
    };
    let mut table = Table::create(limits)?;
    if opened.is_some() {
        table = table.record_details()?;
    }
    if room.is_some() && !jobfile.keep {
        table.hold_jobs()?;
    }
    let table_path = table.path();
    let announcement = announcement(&table_path, &out, &store);
    let segment = Segment::create(&announcement).map_err(RunError::system("shared segment"))?;
    command::adopt_orphans().map_err(RunError::system("PR_SET_CHILD_SUBREAPER"))?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = jobfile.workers.unwrap_or(cores).max(1);
    let scratch = absolute(scratch, &out)?;
    let shared = Shared {
        table,
        table_path,
        jobfile,
        store,
        staging: staging.root().to_owned(),
        out: out.clone(),
        scratch,
        workers,
        native,
        server,
        room,
        earlier: Arc::new(earlier),
    };
    let mut supervisor = Supervisor::new(&shared, observer, signals, journal, begun_ns);
    supervisor.grace = grace;
    let place = format!("s3://{} at {}", shared.store.bucket, host_of(&shared.store));
    if let Some(opened) = opened {
        supervisor.start_recorder(opened, story(&shared, &place, synthetic))?;
    }
    supervisor.exporting = listener.map(|listener| {
        let about = About {
            store: place.clone(),
            begun_unix: unix_now() as f64,
            staging_limit: shared.jobfile.staging_limit,
        };
        Exporting::new(listener, about)
    });
    supervisor.tell(What::Started {
        workers,
        store: place,
    });
    let started = start(&mut supervisor, &segment);
    // Also when not all could be started: it ends those that were.
    let stopped = supervisor.watch(started);
    supervisor.end_exporter()?;
    shared.scratch.remove();
    if !shared.jobfile.keep {
        staging.remove_scratch();
    }
    let seconds = now_ns().saturating_sub(begun_ns) as f64 / 1e9;
    let code = stopped.and_then(|stopped| verdict(&supervisor, stopped));
    let outcome = outcome_name(*code.as_ref().unwrap_or(&ExitCode::Local));
    supervisor.end_recorder(outcome, seconds)?;
    let code = code?;
    if code == ExitCode::Done && !shared.jobfile.keep {
        staging.tidy();
    }
    let ending = Ending {
        table: &shared.table,
        jobfile: &shared.jobfile,
        tally: &supervisor.tally,
        outcome,
        seconds,
        workers,
        synthetic,
        figures: shared.table.figures()?,
    };
    let summary = ending.summary()?;
    let written = if summary.never_began() {
        Ok(())
    } else {
        summary.write(&out).map(|_| ())
    };
    supervisor.tell(What::Ended(Box::new(summary)));
    written.map_err(|source| RunError::Output { path: out, source })?;
    Ok(code)
}

/// Opens the staging directory. When a run was killed just now, its processes hold the lock until
/// the kernel has taken them away, which is waited for.
fn open_staging(root: &Path) -> Result<Staging, StagingError> {
    let until = Instant::now() + STAGING_PATIENCE;
    loop {
        match Staging::open(root) {
            Err(StagingError::InUse { .. }) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            other => return other,
        }
    }
}

/// Starts all processes.
fn start(supervisor: &mut Supervisor<'_, '_>, segment: &Segment) -> Result<(), RunError> {
    let shared = supervisor.shared;
    supervisor.start_exporter()?;
    if shared.server.is_some() {
        start_server(supervisor, segment)?;
    }
    supervisor.start(Role::Planner)?;
    supervisor.start(Role::Downloader)?;
    let mut tasks = shared.jobfile.tasks.iter();
    if tasks.any(|task| task.destination.is_some()) {
        supervisor.start(Role::Uploader)?;
    }
    for _ in 0..shared.workers {
        supervisor.start(Role::Worker)?;
    }
    Ok(())
}

fn verdict(
    supervisor: &Supervisor<'_, '_>,
    stopped: Option<ExitCode>,
) -> Result<ExitCode, RunError> {
    let jobs = supervisor.shared.table.count_jobs()?;
    Ok(match stopped {
        Some(code) => code,
        None if jobs.failed == 0 => ExitCode::Done,
        None if supervisor.only_the_store_failed() => ExitCode::Store,
        None => ExitCode::SomeFailed,
    })
}

fn outcome_name(code: ExitCode) -> &'static str {
    match code {
        ExitCode::Done => "done",
        ExitCode::SomeFailed => "some-failed",
        ExitCode::Usage => "usage",
        ExitCode::Store => "store",
        ExitCode::Local => "local",
        ExitCode::Interrupted => "interrupted",
    }
}

/// What is known of a run before it begins.
fn story(shared: &Shared<'_>, place: &str, synthetic: bool) -> Story {
    let endpoint = Endpoint::of(&shared.store).ok();
    let jobfile = &shared.jobfile;
    Story {
        begun_unix: unix_now(),
        store: place.to_owned(),
        synthetic,
        out: shared.out.clone(),
        workers: shared.workers,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        connections_set: jobfile.connections.pinned(),
        allowed: endpoint.map(|endpoint| endpoint.limits).unwrap_or_default(),
        order: jobfile.order,
        staging_limited: shared.room.is_some(),
        tasks: jobfile.tasks.iter().map(|task| task.name.clone()).collect(),
        ..Story::default()
    }
}

/// What other programs of this user read to find the run.
fn announcement(table: &str, out: &Path, store: &StoreConfig) -> String {
    let out = out.to_string_lossy();
    let line = |chars| {
        serde_json::json!({
            "schema": 1,
            "pid": std::process::id(),
            "table": table,
            "out": out.chars().take(chars).collect::<String>(),
            "endpoint": Endpoint::of(store).ok(),
        })
        .to_string()
    };
    // A path too long for the segment is cut: the table is what matters.
    let lengths = [300, 100, 0].map(line);
    let [longest, shorter, shortest] = lengths;
    match (longest.len(), shorter.len()) {
        (..Segment::LINE, _) => longest,
        (_, ..Segment::LINE) => shorter,
        _ => shortest,
    }
}

fn absolute(scratch: Scratch, out: &Path) -> Result<Scratch, RunError> {
    scratch.absolute().map_err(|source| RunError::Output {
        path: out.to_owned(),
        source,
    })
}

fn host_of(store: &StoreConfig) -> String {
    match store.endpoint_url() {
        Ok(url) => {
            let port = url.port().map(|p| format!(":{p}")).unwrap_or_default();
            format!("{}{port}", url.host_str().unwrap_or_default())
        }
        Err(_) => String::new(),
    }
}

/// The command line's options, with the job file's settings where neither the command line nor
/// the environment says anything.
fn with_settings(mut options: StoreOptions, settings: &StoreSettings) -> StoreOptions {
    let env = Environment::from_process();
    let fill = |field: &mut Option<String>, from: &Option<String>, names: &[&str]| {
        if field.is_none() && names.iter().all(|name| env.var(name).is_none()) {
            field.clone_from(from);
        }
    };
    let endpoints = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    fill(&mut options.endpoint, &settings.endpoint, &endpoints);
    fill(
        &mut options.region,
        &settings.region,
        &["AWS_REGION", "AWS_DEFAULT_REGION"],
    );
    fill(&mut options.profile, &settings.profile, &["AWS_PROFILE"]);
    fill(&mut options.bucket, &settings.bucket, &[]);
    options.addressing = options.addressing.or(settings.addressing);
    options.signature = options.signature.or(settings.signature);
    if options.ca_bundle.is_none() && env.var("AWS_CA_BUNDLE").is_none() {
        options.ca_bundle.clone_from(&settings.ca_bundle);
    }
    options.anonymous |= settings.anonymous;
    options.requester_pays |= settings.requester_pays;
    options
}

/// The store of a run: the one that the options name, a served directory, or the sample. `None`
/// if a signal came while the sample was made.
fn store_of(
    options: &StoreOptions,
    serve: Option<PathBuf>,
    jobfile: &crate::task::JobFile,
    signals: &Signals,
) -> Result<Option<(StoreConfig, Option<ServerSpec>)>, RunError> {
    let (root, bucket) = match (serve, jobfile.store.sample) {
        (Some(root), _) => {
            let bucket = served_bucket(&root, options.bucket.as_deref())?;
            (root, bucket)
        }
        (None, Some(products)) => match sample(&jobfile.staging, products, signals)? {
            Some(made) => made,
            None => return Ok(None),
        },
        (None, None) => {
            let store = StoreConfig::resolve(options, &Environment::from_process())?;
            return Ok(Some((store, None)));
        }
    };
    let loopback = Loopback::bind()?;
    let mut store = loopback.config(&bucket);
    store.limits = options.limits;
    let server = ServerSpec { root, loopback };
    Ok(Some((store, Some(server))))
}

fn served_bucket(root: &Path, wanted: Option<&str>) -> Result<String, RunError> {
    let unreadable = |e: std::io::Error| {
        RunError::Usage(format!(
            "--serve {}: {e}; name a directory of buckets",
            root.display()
        ))
    };
    let mut buckets: Vec<String> = fs::read_dir(root)
        .map_err(unreadable)?
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect();
    buckets.sort();
    match (wanted, buckets.as_slice()) {
        (Some(bucket), _) if buckets.iter().any(|b| b == bucket) => Ok(bucket.to_owned()),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(RunError::Usage(format!(
            "--serve {}: there is no bucket in it; each sub-directory would be one",
            root.display()
        ))),
        (wanted, _) => Err(RunError::Usage(format!(
            "--serve {}: {}; its sub-directories are {}",
            root.display(),
            wanted.map_or("name one with --bucket".to_owned(), |b| format!(
                "no bucket {b:?}"
            )),
            buckets.join(", ")
        ))),
    }
}

#[cfg(feature = "embedded")]
fn sample(
    staging: &Path,
    products: u32,
    signals: &Signals,
) -> Result<Option<(PathBuf, String)>, RunError> {
    super::sample::make(staging, products, signals)
}

#[cfg(not(feature = "embedded"))]
fn sample(_: &Path, _: u32, _: &Signals) -> Result<Option<(PathBuf, String)>, RunError> {
    Err(RunError::Usage(
        "this build has no sample (feature `embedded`)".to_owned(),
    ))
}

/// Starts the embedded server and waits until it says so; one that is killed before that is
/// started again, with a fresh event.
fn start_server(supervisor: &mut Supervisor<'_, '_>, segment: &Segment) -> Result<(), RunError> {
    let shared = supervisor.shared;
    for _ in 0..SERVER_SECONDS {
        let started = segment
            .started()
            .map_err(RunError::system("started event"))?;
        let child = fork::fork(|| shared.body(Role::Server, Some(&started)))
            .map_err(RunError::system("fork"))?;
        for _ in 0..SERVER_SECONDS {
            if started.wait(1) {
                supervisor.children.add(Role::Server, child);
                return Ok(());
            }
            if child.ended().map_err(RunError::system("waitid"))?.is_some() {
                break;
            }
        }
    }
    Err(RunError::System {
        what: "embedded S3 server",
        source: std::io::ErrorKind::TimedOut.into(),
    })
}
