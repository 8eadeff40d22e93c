//! `cotec completions SHELL`

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use cotec::cli::CoordArgs;
use cotec::store::StoreError;

use crate::Cli;

/// For which shell.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell that is to complete the options of cotec and cotec-coord
    shell: Shell,
}

/// Prints one script for both commands.
pub fn run(args: &Args) -> Result<u8, StoreError> {
    let mut script = Vec::new();
    for mut command in [Cli::command(), CoordArgs::command()] {
        let name = command.get_name().to_owned();
        generate(args.shell, &mut command, name, &mut script);
    }
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(&script);
    Ok(0)
}
