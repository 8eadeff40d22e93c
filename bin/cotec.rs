//! `cotec`: the store by hand.

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{complain, completions, exit_code, get, ls, man, put, schema, stat, wait};
use cotec::cli::{Loudness, StoreArgs};
use cotec::coord::Voice;
use cotec::store::{Address, Environment, S3Store, StoreConfig, StoreError};

const EXAMPLES: &str = "\
Examples:
  What is in a bucket:
      cotec --endpoint https://s3.example.org ls s3://eodata/Sentinel-2/
  Download a product, and the same again where the first was interrupted:
      cotec get s3://eodata/Sentinel-2/S2B_MSIL2A_20260101.SAFE/ ./products
  Upload a directory:
      cotec put ./results s3://mine/results/
  Completions for this shell:
      cotec completions bash > ~/.local/share/bash-completion/completions/cotec";

/// Lists, fetches and uploads objects with the engine of cotec-coord
#[derive(Debug, Parser)]
#[command(name = "cotec", version, arg_required_else_help = true, disable_help_subcommand = true,
          help_template = "{about}\n{usage-heading} {usage}\n\n{all-args}{after-help}",
          after_help = "All options, with examples: cotec --help", after_long_help = EXAMPLES)]
struct Cli {
    /// Serve this directory as the store
    ///
    /// For this command; each of its sub-directories is a bucket.
    #[arg(long, value_name = "DIR", global = true, conflicts_with = "endpoint")]
    serve: Option<PathBuf>,
    /// Print one JSON record per line
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    loudness: Loudness,
    #[command(flatten)]
    store: StoreArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List a bucket below a prefix
    Ls(ls::Args),
    /// Download an object, or everything below a prefix
    Get(get::Args),
    /// Upload a file, or everything in a directory
    Put(put::Args),
    /// Show a run as it goes on
    Stat(stat::Args),
    /// Wait for inputs of a job, in its own command
    Wait(wait::Args),
    /// Print completions for a shell
    Completions(completions::Args),
    /// Print a man page, or write all of them
    Man(man::Args),
    /// Print the JSON Schema of job files, or of the records of a run
    Schema(schema::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.loudness.init();
    // That it cannot be had is said when a file grows too large.
    let _ = cotec::sys::signals::survive_file_limits();
    let done = match &cli.command {
        Command::Ls(args) => ls::run(args, &cli),
        Command::Get(args) => get::run(args, &cli),
        Command::Put(args) => put::run(args, &cli),
        Command::Stat(args) => Ok(stat::run(args, &cli)),
        Command::Wait(args) => Ok(wait::run(args, &cli)),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args, &cli),
        Command::Schema(args) => schema::run(args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            complain(&cli, &error);
            ExitCode::from(exit_code(error.kind()))
        }
    }
}

impl Cli {
    /// How much is said, and in which colours.
    fn voice(&self) -> Voice {
        self.loudness.voice()
    }

    /// The configuration of the store that an address is in.
    fn config(&self, address: &Address) -> Result<StoreConfig, StoreError> {
        if let Some(root) = &self.serve {
            let mut config = served(root, &address.bucket)?;
            config.limits = self.store.options().limits;
            return Ok(config);
        }
        let mut options = self.store.options();
        if let Some(bucket) = options.bucket.replace(address.bucket.clone())
            && bucket != address.bucket
        {
            return Err(StoreError::Config {
                message: format!(
                    "--bucket {bucket} and {address} name two buckets; leave out --bucket"
                ),
            });
        }
        StoreConfig::resolve(&options, &Environment::from_process())
    }

    /// Runs `work` with the store that an address is in.
    fn with_store<T>(
        &self,
        address: &Address,
        work: impl AsyncFnOnce(S3Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let config = self.config(address)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| StoreError::Local {
                path: "/proc/self".into(),
                action: "start the runtime in",
                source,
            })?;
        runtime.block_on(async { work(S3Store::new(config)?).await })
    }
}

/// Serves a directory from a thread that ends with the command.
#[cfg(feature = "embedded")]
fn served(root: &std::path::Path, bucket: &str) -> Result<StoreConfig, StoreError> {
    let loopback = cotec::store::Loopback::bind()?;
    let config = loopback.config(bucket);
    let root = root.to_owned();
    if !root.is_dir() {
        return Err(StoreError::Config {
            message: format!(
                "--serve {}: there is no such directory; name one of buckets",
                root.display()
            ),
        });
    }
    std::thread::spawn(move || {
        let secret = loopback.secret.expose();
        let served =
            cotec::store::embedded::serve(&root, loopback.listener, &loopback.access, secret, None);
        if let Err(error) = served {
            // Nobody else sees why the store is gone.
            eprintln!("error: {error}");
        }
    });
    Ok(config)
}

#[cfg(not(feature = "embedded"))]
fn served(_: &std::path::Path, _: &str) -> Result<StoreConfig, StoreError> {
    Err(StoreError::Config {
        message: "this build has no embedded S3 server (feature `embedded`)".to_owned(),
    })
}
