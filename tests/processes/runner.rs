//! A small test runner: one process per case.

use std::fs::File;
use std::io::{Read, Seek, Write, stdout};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use cotec::sys::{command, proc};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// A case with its name.
pub type Case = (&'static str, fn());

/// No case takes longer, even on a slow machine that does other things too.
const LIMIT: Duration = Duration::from_secs(60);
/// By this a process knows that it is to run one case.
const VARIABLE: &str = "COTEC_TEST_CASE";

/// Runs the case that the environment names, or lists or runs all as the arguments say.
pub fn main(cases: &[Case]) -> ExitCode {
    if let Some(name) = std::env::var_os(VARIABLE) {
        let case = cases.iter().find(|(n, _)| *n == name).unwrap();
        command::adopt_orphans().unwrap();
        case.1();
        let mut left = proc::children(std::process::id());
        left.retain(|pid| proc::start_time(*pid).is_some());
        command::end_children(|_| false);
        assert!(left.is_empty(), "it left the processes {left:?} behind");
        return ExitCode::SUCCESS;
    }
    let asked = Asked::read();
    let chosen: Vec<&Case> = cases.iter().filter(|case| asked.wants(case.0)).collect();
    if asked.list {
        for (name, _) in &chosen {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let begun = Instant::now();
    println!("\nrunning {} tests", chosen.len());
    let mut failures = Vec::new();
    for (name, _) in &chosen {
        print!("test {name} ... ");
        stdout().flush().unwrap();
        match run(name) {
            Ok(()) => println!("ok"),
            Err(why) => {
                println!("FAILED");
                failures.push((name, why));
            }
        }
    }
    for (name, why) in &failures {
        println!("\n---- {name} ----\n{why}");
    }
    println!(
        "\ntest result: {}. {} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failures.is_empty() { "ok" } else { "FAILED" },
        chosen.len() - failures.len(),
        failures.len(),
        cases.len() - chosen.len(),
        begun.elapsed().as_secs_f64()
    );
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(101)
    }
}

/// What the arguments ask for, of those that the standard runner knows.
#[derive(Default)]
struct Asked {
    filters: Vec<String>,
    skipped: Vec<String>,
    exact: bool,
    list: bool,
    none: bool,
}

impl Asked {
    fn read() -> Asked {
        let mut asked = Asked::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => asked.exact = true,
                "--list" => asked.list = true,
                // No case is marked as such.
                "--ignored" => asked.none = true,
                "--skip" => asked.skipped.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "-Z" => drop(arguments.next()),
                other if other.starts_with('-') => {}
                filter => asked.filters.push(filter.to_owned()),
            }
        }
        asked
    }

    fn wants(&self, name: &str) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        !self.none
            && !self.skipped.iter().any(matches)
            && (self.filters.is_empty() || self.filters.iter().any(matches))
    }
}

/// Runs a case in a process group of its own; why it failed.
fn run(name: &str) -> Result<(), String> {
    let mut said = tempfile::tempfile().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(VARIABLE, name)
        .stdin(Stdio::null())
        .stdout(said.try_clone().unwrap())
        .stderr(said.try_clone().unwrap())
        .process_group(0)
        .spawn()
        .unwrap();
    let outcome = wait(&mut child);
    // What it may have left when it failed is in its group.
    let group = Pid::from_raw(-i32::try_from(child.id()).unwrap());
    let _ = signal::kill(group, Signal::SIGKILL);
    outcome.map_err(|why| format!("{why}\n{}", text(&mut said)))
}

fn wait(child: &mut Child) -> Result<(), String> {
    let begun = Instant::now();
    loop {
        match child.try_wait().unwrap() {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("it ended with {status}")),
            None if begun.elapsed() > LIMIT => {
                child.kill().unwrap();
                child.wait().unwrap();
                return Err(format!("it was killed after {LIMIT:?}"));
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
