//! `cotec-coord`: processes Earth-observation products while they are being downloaded.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use cotec::cli::{CoordArgs, OrderArg, RadiometryArg};
use cotec::coord::{
    self, JsonObserver, Observer, Output, PlainObserver, Record, RunConfig, RunError,
    TerminalObserver, Voice,
};
use cotec::plan::RasterFormulas;
use cotec::task::{DEFAULT_JOB_FILE, Flags, JobFile, Radiometry};
use cotec::values::Limits;
use cotec::values::order::Order;

fn main() -> ExitCode {
    let cli = CoordArgs::parse();
    let voice = cli.loudness.init();
    match run(cli, voice) {
        Ok(code) => code.into(),
        Err(error) => {
            // That nobody reads it any more is no reason to end otherwise.
            let _ = writeln!(stderr(), "{}", voice.paint(&format!("error: {error}")));
            error.exit_code().into()
        }
    }
}

fn run(cli: CoordArgs, voice: Voice) -> Result<coord::ExitCode, RunError> {
    let flags = Flags {
        products: cli.product,
        indices: cli.index,
        radiometry: cli.radiometry.map(|r| match r {
            RadiometryArg::Reflectance => Radiometry::Reflectance,
            RadiometryArg::Dn => Radiometry::Dn,
        }),
        out: cli.out,
        staging: cli.staging,
        staging_limit: cli.staging_limit,
        keep: cli.keep,
        workers: cli.workers.map(usize::from),
        connections: cli.connections,
        order: cli.order.map(|order| match order {
            OrderArg::Given => Order::AsGiven,
            OrderArg::Smallest => Order::SmallestFirst,
            OrderArg::Johnson => Order::Johnson,
        }),
        native: false,
    };
    let jobfile = read(cli.jobfile.as_deref(), &flags)?;
    let mut observer: Box<dyn Observer> = if cli.json {
        Box::new(JsonObserver::new(stdout()))
    } else if stderr().is_terminal() {
        Box::new(TerminalObserver::new(voice))
    } else {
        Box::new(PlainObserver::new(stdout(), stderr(), voice))
    };
    coord::run(RunConfig {
        jobfile,
        store: cli.store.options(),
        serve: cli.serve,
        limits: Limits::default(),
        native: None,
        observer: observer.as_mut(),
        fresh: cli.fresh,
        grace: cli.grace.map_or(coord::DEFAULT_GRACE, Duration::from_secs),
        dry_run: cli.dry_run,
        output: if cli.json { Output::Json } else { Output::Text },
        record: Record {
            trace: cli.trace,
            report: cli.report,
        },
        metrics: cli.metrics,
    })
}

/// The job file that is named, else the one that stands here, else what the flags say.
fn read(path: Option<&Path>, flags: &Flags) -> Result<JobFile, RunError> {
    let default = Path::new(DEFAULT_JOB_FILE);
    let by_flags = !flags.indices.is_empty();
    Ok(match path {
        Some(path) => JobFile::read(path, flags, &RasterFormulas)?,
        None if by_flags && !default.exists() => JobFile::from_flags(flags, &RasterFormulas)?,
        None if by_flags && !flags.products.is_empty() => {
            JobFile::from_flags(flags, &RasterFormulas)?
        }
        None => JobFile::read(default, flags, &RasterFormulas)?,
    })
}
