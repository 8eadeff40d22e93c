//! `cotec schema`

use std::io::{self, Write};

use clap::ValueEnum;
use cotec::coord::events_schema;
use cotec::store::StoreError;
use cotec::task::json_schema;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of what
    #[arg(value_enum, default_value = "jobs")]
    what: What,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// Job files
    Jobs,
    /// The records that `cotec-coord --json` prints
    Events,
}

/// Prints a JSON Schema.
pub fn run(args: &Args) -> Result<u8, StoreError> {
    let text = match args.what {
        What::Jobs => json_schema(),
        What::Events => events_schema().trim_end().to_owned(),
    };
    // A reader that has seen enough is no failure.
    let _ = writeln!(io::stdout(), "{text}");
    Ok(0)
}
