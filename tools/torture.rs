//! The storm: whole runs of a sample while random processes are killed at random moments.
//!
//! ```text
//! cargo build --release && cargo run --release --example torture -- 2000
//! ```
//!
//! Arguments: kills (default 200), seed (default 1). Prints runs, kills, hangs, wrong results and
//! bytes fetched twice; exit code 1 if anything is wrong.

#[path = "torture/storm.rs"]
mod storm;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use storm::{Plan, storm};

fn main() -> ExitCode {
    let mut arguments = std::env::args()
        .skip(1)
        .filter_map(|a| a.parse::<u64>().ok());
    let kills = u32::try_from(arguments.next().unwrap_or(200)).unwrap_or(u32::MAX);
    let seed = arguments.next().unwrap_or(1);
    match run(kills, seed) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(kills: u32, seed: u64) -> std::io::Result<bool> {
    // Examples stand one directory below the commands.
    let here = std::env::current_exe()?;
    let binary: PathBuf = here
        .parent()
        .and_then(|examples| examples.parent())
        .map(|dir| dir.join("cotec-coord"))
        .filter(|path| path.exists())
        .ok_or_else(|| std::io::Error::other("build cotec-coord first, in the same profile"))?;
    let dir = std::env::temp_dir().join(format!("cotec-torture-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let begun = Instant::now();
    let plan = Plan {
        binary,
        dir: dir.clone(),
        kills,
        seed,
        sample: (3, 1024),
    };
    let report = storm(&plan);
    std::fs::remove_dir_all(&dir)?;
    let report = report?;
    println!("# cargo run --release --example torture -- {kills} {seed}");
    println!("{}", report.text());
    println!("seconds {:.0}", begun.elapsed().as_secs_f64());
    Ok(report.faults.is_empty())
}
