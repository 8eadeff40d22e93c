//! The command line of `cotec-coord`: for the command itself, its man page and its completions.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::values::connections::Connections;
use clap::{Parser, ValueEnum};

use super::loudness::Loudness;
use super::store_args::StoreArgs;

/// Closes the short help, which is to fit a screen.
const MORE: &str = "All options, with examples and exit codes: cotec-coord --help";

const EXAMPLES: &str = "\
Examples:
  The job file in this directory, four jobs at a time:
      cotec-coord --workers 4 cotec.toml
  NDVI of one product of a bucket, without a job file:
      cotec-coord --endpoint https://s3.example.org --bucket eodata \\
          --product S2B_MSIL2A_20260101T101010_N0511_R022_T32TLS.SAFE --index ndvi
  What would be done, and how much would be downloaded:
      cotec-coord --dry-run cotec.toml
  Products on this disk, served as if they stood in a store:
      cotec-coord --serve ./buckets cotec.toml
  Events for a program:
      cotec-coord --json cotec.toml | jq -c 'select(.event == \"job\")'

A run that was interrupted goes on where it stopped: give the same command again.

Exit codes:
  0    all jobs are done
  1    some jobs failed
  2    the command line or the job file is wrong
  3    the store cannot be reached, or refuses the credentials
  4    staging or output cannot be written, or are full
  130  interrupted";

/// Processes Earth-observation products while they are downloaded from S3
#[derive(Debug, Parser)]
#[command(name = "cotec-coord", version, after_help = MORE, after_long_help = EXAMPLES,
          help_template = "{about}\n{usage-heading} {usage}\n\n{all-args}{after-help}")]
pub struct CoordArgs {
    /// What to do, TOML or JSON [default: ./cotec.toml]
    #[arg(value_name = "JOBFILE")]
    pub jobfile: Option<PathBuf>,
    /// Jobs at the same time [default: all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub workers: Option<u16>,
    /// Connections to the store at the same time [default: auto]
    ///
    /// A number, or auto, which finds out while downloading.
    #[arg(long, value_name = "N|auto", hide_short_help = true)]
    pub connections: Option<Connections>,
    /// Which jobs' inputs are fetched first [default: johnson]
    #[arg(long, value_enum, hide_short_help = true)]
    pub order: Option<OrderArg>,
    /// Serve this directory as an S3 store
    ///
    /// Each of its sub-directories is a bucket.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "endpoint",
        hide_short_help = true
    )]
    pub serve: Option<PathBuf>,
    /// Products by name
    ///
    /// With --index a run needs no job file.
    #[arg(long, value_name = "P[,P...]")]
    pub product: Vec<String>,
    /// Indices to compute, such as ndvi,ndi45,gndvi
    #[arg(long, value_name = "I[,I...]")]
    pub index: Vec<String>,
    /// What band values mean: reflectance (the default) or digital numbers
    #[arg(long, value_enum, hide_short_help = true)]
    pub radiometry: Option<RadiometryArg>,
    /// Where results go [default: ./out]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Where objects land [default: ./.cotec/staging]
    #[arg(long, value_name = "DIR")]
    pub staging: Option<PathBuf>,
    /// The most that staging may take, such as 20GiB
    ///
    /// Of the disk, at any time; objects are removed when their last job is done. There is no limit by default.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub staging_limit: Option<u64>,
    /// Remove nothing from staging, and no scratch directory
    #[arg(long, hide_short_help = true)]
    pub keep: bool,
    /// Run also the jobs that an earlier run has done
    ///
    /// Without it a run into the same output directory passes over the jobs that its journal knows
    /// as done, by the same task and with the same objects.
    #[arg(long, hide_short_help = true)]
    pub fresh: bool,
    /// How long running jobs may go on when SIGTERM asks the run to end [default: 30]
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    pub grace: Option<u64>,
    /// Say what would be done; download nothing
    ///
    /// Prints products, objects, bytes and jobs.
    #[arg(long)]
    pub dry_run: bool,
    /// Print a JSON record for each event on stdout
    ///
    /// And nothing else.
    #[arg(long)]
    pub json: bool,
    /// Write a page that tells where the time went
    ///
    /// One HTML file that needs nothing else.
    #[arg(
        long,
        value_name = "FILE.html",
        conflicts_with = "dry_run",
        hide_short_help = true
    )]
    pub report: Option<PathBuf>,
    /// Write all that happened in the Chrome trace format
    ///
    /// For ui.perfetto.dev or chrome://tracing.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "dry_run",
        hide_short_help = true
    )]
    pub trace: Option<PathBuf>,
    /// Serve metrics for Prometheus while the run goes on
    ///
    /// A port, or an address and a port, such as 9464 or 0.0.0.0:9464; without an address on this
    /// machine only. Port 0 is any that is free: the run says which.
    #[arg(long, value_name = "ADDR", value_parser = listen_at, conflicts_with = "dry_run",
          hide_short_help = true)]
    pub metrics: Option<SocketAddr>,
    /// How much is said.
    #[command(flatten)]
    pub loudness: Loudness,
    /// Which store.
    #[command(flatten)]
    pub store: StoreArgs,
}

fn bytes(text: &str) -> Result<u64, &'static str> {
    crate::values::bytes::parse(text).ok_or("a number of bytes such as 20GiB or 500MB is expected")
}

/// `9464`, `:9464`, `localhost:9464`, `127.0.0.1:9464` or `[::1]:9464`.
fn listen_at(text: &str) -> Result<SocketAddr, &'static str> {
    let port = text.strip_prefix("localhost").unwrap_or(text);
    let port = match port.strip_prefix(':') {
        Some(port) => port,
        None if port.len() == text.len() => port,
        None => text,
    };
    if let Ok(port) = port.parse::<u16>() {
        return Ok((Ipv4Addr::LOCALHOST, port).into());
    }
    text.parse()
        .map_err(|_| "a port such as 9464, or an address with one such as 0.0.0.0:9464 is expected")
}

/// Which jobs' inputs are fetched first.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum OrderArg {
    /// Those of the first tasks and products
    Given,
    /// Those of the job that is short of the fewest bytes
    Smallest,
    /// By Johnson's rule, with what each task takes learnt during the run
    Johnson,
}

/// What band values mean.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum RadiometryArg {
    /// From 0 to 1, with the product's own scale and offset
    Reflectance,
    /// Digital numbers, as they stand in the files
    Dn,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_addresses_to_listen_at() {
        for (text, address) in [
            ("9464", "127.0.0.1:9464"),
            (":9464", "127.0.0.1:9464"),
            ("localhost:0", "127.0.0.1:0"),
            ("0.0.0.0:9464", "0.0.0.0:9464"),
            ("[::1]:9464", "[::1]:9464"),
        ] {
            assert_eq!(listen_at(text), Ok(address.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            ":",
            "localhost",
            "localhost9464",
            "70000",
            "127.0.0.1",
            "host:9464",
        ] {
            assert!(listen_at(text).is_err(), "{text}");
        }
    }
}
