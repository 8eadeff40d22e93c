//! `cotec-coord`: processes Earth-observation products while they are being downloaded.

mod common;

use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use common::store_args::StoreArgs;
use cotec::coord::{
    self, JsonObserver, Observer, Output, PlainObserver, RunConfig, RunError, TerminalObserver,
};
use cotec::plan::RasterFormulas;
use cotec::task::{DEFAULT_JOB_FILE, Flags, JobFile, Radiometry};
use cotec::values::Limits;
use cotec::values::connections::Connections;
use cotec::values::order::Order;

/// Processes Earth-observation products while they are still being downloaded from S3
#[derive(Debug, Parser)]
#[command(
    name = "cotec-coord",
    version,
    after_help = "Exit codes: 0 all jobs done · 1 some jobs failed · 2 command line or job file · \
                  3 store unreachable or credentials refused · 4 staging or output not writable \
                  or full · 130 interrupted"
)]
struct Cli {
    /// What to do, TOML or JSON; ./cotec.toml if none is given
    #[arg(value_name = "JOBFILE")]
    jobfile: Option<PathBuf>,
    /// Jobs at the same time; the number of cores if not given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    workers: Option<u16>,
    /// Connections to the store at the same time: a number, or auto, which finds out while
    /// downloading [default: auto]
    #[arg(long, value_name = "N|auto")]
    connections: Option<Connections>,
    /// Which jobs' inputs are fetched first [default: given]
    #[arg(long, value_enum)]
    order: Option<OrderArg>,
    /// Serve this directory as an S3 store; each of its sub-directories is a bucket
    #[arg(long, value_name = "DIR", conflicts_with = "endpoint")]
    serve: Option<PathBuf>,
    /// Products by name; with --index a run needs no job file
    #[arg(long, value_name = "P[,P...]")]
    product: Vec<String>,
    /// Indices to compute, such as ndvi,ndi45,gndvi
    #[arg(long, value_name = "I[,I...]")]
    index: Vec<String>,
    /// What band values mean: reflectance (the default) or digital numbers
    #[arg(long, value_enum)]
    radiometry: Option<RadiometryArg>,
    /// Where results go [default: ./out]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where objects are downloaded to [default: ./.cotec/staging]
    #[arg(long, value_name = "DIR")]
    staging: Option<PathBuf>,
    /// How much of the disk staging may take at any time, such as 20GiB; objects are removed when
    /// their last job is done [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    staging_limit: Option<u64>,
    /// Remove nothing from staging, and no scratch directory
    #[arg(long)]
    keep: bool,
    /// Run every job, also those that an earlier run into the same directory has done
    #[arg(long)]
    fresh: bool,
    /// How long running jobs may go on when SIGTERM asks the run to end [default: 30]
    #[arg(long, value_name = "SECONDS")]
    grace: Option<u64>,
    /// Print products, objects, bytes and jobs; download nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON record per event, and nothing else, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RadiometryArg {
    Reflectance,
    Dn,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderArg {
    /// Those of the first tasks and products
    Given,
    /// Those of the job that is short of the fewest bytes
    Smallest,
    /// By Johnson's rule, with what each task takes learnt during the run
    Johnson,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    common::logging::init();
    match run(cli) {
        Ok(code) => code.into(),
        Err(error) => {
            // That nobody reads it any more is no reason to end otherwise.
            let _ = writeln!(stderr(), "error: {error}");
            error.exit_code().into()
        }
    }
}

fn run(cli: Cli) -> Result<coord::ExitCode, RunError> {
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
        Box::new(TerminalObserver::new())
    } else {
        Box::new(PlainObserver::new(stdout(), stderr()))
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
    })
}

fn bytes(text: &str) -> Result<u64, &'static str> {
    cotec::values::bytes::parse(text).ok_or("a number of bytes such as 20GiB or 500MB is expected")
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
