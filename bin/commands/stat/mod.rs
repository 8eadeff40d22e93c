//! `cotec stat [PID]`: a run as it goes on.

mod app;
mod draw;
mod live;
mod text;

use std::io::{IsTerminal, Write, stdout};
use std::time::{Duration, Instant};

use cotec::table::TableError;
use cotec::watch::{Found, Look, Watcher, runs};

use super::{complain, say as say_err};
use crate::Cli;

/// How often it looks.
const EVERY: Duration = Duration::from_millis(500);

/// Which run, and how it is shown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The coordinator's process [default: the newest run]
    pid: Option<u32>,
    /// Say once how it stands, in lines
    ///
    /// Without a process: of all runs. With --json a record each; --json alone prints a record
    /// twice a second until the run is over.
    #[arg(long)]
    once: bool,
}

/// Shows a run; the exit code is 1 where there is none, or where its coordinator was killed.
pub fn run(args: &Args, cli: &Cli) -> u8 {
    let mut found = runs();
    if let Some(pid) = args.pid {
        found.retain(|run| run.pid == pid);
    }
    if found.is_empty() {
        match args.pid {
            Some(pid) => {
                let text = format!(
                    "process {pid} coordinates no run of yours; `cotec stat --once` names those \
                     that are there"
                );
                complain(cli, text);
            }
            None => {
                let text = "there is no run of yours on this machine; cotec-coord begins one";
                complain(cli, text);
            }
        }
        return 1;
    }
    if args.once {
        return once(&found, cli);
    }
    // One that was killed only where there is no other.
    let newest = found.iter().rfind(|run| run.lives).or(found.last());
    let Some(newest) = newest else { return 1 };
    if !newest.lives {
        say_err(cli, &text::killed(newest));
        return 1;
    }
    let shown = match Watcher::attach(newest) {
        Ok(watcher) if cli.json => records(watcher),
        Ok(watcher) if stdout().is_terminal() => live::run(watcher),
        Ok(watcher) => lines(watcher),
        Err(error) => Err(error),
    };
    match shown {
        Ok(code) => code,
        Err(error) => {
            complain(cli, format!("the run of process {}: {error}", newest.pid));
            1
        }
    }
}

fn once(found: &[Found], cli: &Cli) -> u8 {
    let mut code = 0;
    for run in found {
        if !run.lives {
            say_err(cli, &text::killed(run));
            code = 1;
            continue;
        }
        match Watcher::attach(run).and_then(|mut watcher| watcher.look()) {
            Ok(look) if cli.json => say(&record(&look)),
            Ok(look) => say(&text::lines(&look)),
            Err(error) => {
                complain(cli, format!("the run of process {}: {error}", run.pid));
                code = 1;
            }
        }
    }
    code
}

fn record(look: &Look) -> String {
    // Nothing in it can fail to be written.
    let mut record = serde_json::to_string(look).unwrap_or_default();
    record.push('\n');
    record
}

/// A record now and then until the run is over.
fn records(mut watcher: Watcher) -> Result<u8, TableError> {
    loop {
        let look = watcher.look()?;
        if !say_on(&record(&look)) || is_over(&look) {
            return Ok(code(&look));
        }
        pause(&watcher)?;
    }
}

/// Without a terminal: lines now, and at the end.
fn lines(mut watcher: Watcher) -> Result<u8, TableError> {
    let mut look = watcher.look()?;
    if !say_on(&text::lines(&look)) {
        return Ok(code(&look));
    }
    while !is_over(&look) {
        pause(&watcher)?;
        look = watcher.look()?;
    }
    say(&text::lines(&look));
    Ok(code(&look))
}

/// Waits until it is time for the next look, or the run is over.
fn pause(watcher: &Watcher) -> Result<(), TableError> {
    let until = Instant::now() + watcher.rest(EVERY);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || watcher.is_over()? {
            return Ok(());
        }
        std::thread::sleep(left.min(EVERY));
    }
}

fn is_over(look: &Look) -> bool {
    matches!(look.phase, "ended" | "killed")
}

fn code(look: &Look) -> u8 {
    u8::from(look.phase == "killed")
}

fn say(text: &str) {
    let _ = say_on(text);
}

/// False if nobody reads it any more.
fn say_on(text: &str) -> bool {
    let mut out = stdout();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .is_ok()
}
