//! `cotec man [DIR]`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use cotec::cli::CoordArgs;
use cotec::store::StoreError;

use super::complain;
use crate::Cli;

/// Where the pages go.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write all pages into this directory, as man1/NAME.1, for MANPATH
    #[arg(value_name = "DIR", conflicts_with = "page")]
    dir: Option<PathBuf>,
    /// Print this page: cotec-coord, cotec, cotec-ls, and so on
    #[arg(long, value_name = "NAME", default_value = "cotec-coord")]
    page: String,
}

/// Prints a page, or writes them all; the exit code is 1 where there is no page of that name.
pub fn run(args: &Args, cli: &Cli) -> Result<u8, StoreError> {
    let pages = pages();
    if let Some(dir) = &args.dir {
        let dir = dir.join("man1");
        std::fs::create_dir_all(&dir).map_err(|e| not_written(&dir, e))?;
        for (name, page) in pages {
            let path = dir.join(format!("{name}.1"));
            std::fs::write(&path, page).map_err(|e| not_written(&path, e))?;
        }
        return Ok(0);
    }
    let Some((_, page)) = pages.iter().find(|(name, _)| *name == args.page) else {
        let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
        let page = &args.page;
        let text = format!("there is no page {page:?}; there are {}", names.join(", "));
        complain(cli, text);
        return Ok(1);
    };
    // A reader that has seen enough is no failure.
    let _ = io::stdout().write_all(page);
    Ok(0)
}

/// The pages of both commands and of what `cotec` can do, by name.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut cotec = Cli::command().disable_help_subcommand(true);
    cotec.build();
    let commands = cotec.get_subcommands().map(|command| {
        let name = format!("cotec-{}", command.get_name());
        command.clone().name(name.clone()).display_name(name)
    });
    let mut all: Vec<Command> = commands.collect();
    all.extend([CoordArgs::command(), cotec]);
    all.into_iter()
        .map(|command| {
            let name = command.get_name().to_owned();
            let mut page = Vec::new();
            // Writing to memory does not fail.
            let _ = Man::new(command).render(&mut page);
            (name, page)
        })
        .collect()
}

fn not_written(path: &Path, source: io::Error) -> StoreError {
    StoreError::Local {
        path: path.to_owned(),
        action: "write",
        source,
    }
}
