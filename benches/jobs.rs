//! What a job costs besides its processor.
//!
//! ```console
//! $ cargo bench --bench jobs
//! ```
//!
//! Whole runs: a coordinator, a planner, a downloader, workers, and a journal that is brought to
//! the disk. Every job waits until all are registered and their one-byte objects are in staging;
//! the time from then to the end of the last job is divided by the number of jobs. The processor
//! is a function that does nothing, and then the command `/bin/true`, which is compared with a
//! loop of `posix_spawn` and `waitpid` in the same program, before and after each run.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::ffi::CString;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cotec::coord::{DEFAULT_GRACE, Happening, Observer, Output, Record, RunConfig, What, run};
use cotec::plan::RasterFormulas;
use cotec::store::StoreOptions;
use cotec::sys::clock::now_ns;
use cotec::table::Phase;
use cotec::task::{Flags, JobFile};
use cotec::values::{JobState, Limits};
use cotec::work::Job;
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawn};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::sys::wait::waitpid;

const PRODUCTS: usize = 10;
const ROUNDS: usize = 3;

fn main() {
    common::heading("cargo bench --bench jobs");
    let picked: Vec<String> = std::env::args().filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| picked.len() < 2 || picked.iter().any(|a| a == name);
    for workers in [1, 2] {
        if wanted("native") {
            let (mut each, mut journal) = (Vec::new(), 0);
            for _ in 0..ROUNDS {
                let (us, lines) = jobs(workers, 100_000, "");
                each.push(us);
                journal = lines;
            }
            println!(
                "native no-op, {workers} worker(s), 100000 jobs: {:.2} us a job, median of {each:.2?}; {journal} lines in the journal",
                median(&each)
            );
        }
        if wanted("command") {
            let (mut ratios, mut each, mut bare) = (Vec::new(), Vec::new(), Vec::new());
            let mut cpu = Vec::new();
            for _ in 0..ROUNDS {
                let at = cpu_seconds();
                let before = spawn_loop(workers, 5_000);
                let between = cpu_seconds();
                let (us, lines) = jobs(workers, 10_000, "run = [\"/bin/true\"]\n");
                assert!(lines >= 10_000);
                let then = cpu_seconds();
                let alone = (before + spawn_loop(workers, 5_000)) / 2.0;
                cpu.push((then - between) / (between - at + cpu_seconds() - then));
                ratios.push(us / alone);
                each.push(us);
                bare.push(alone);
            }
            println!(
                "/bin/true, {workers} worker(s), 10000 jobs: {:.0} us a job, {:.0} in a bare loop of posix_spawn and waitpid in {workers} process(es), ratio {:.3}, median of {ratios:.3?}; processor time of the whole run, with its planning and download, to that of the loops: {:.3}",
                median(&each),
                median(&bare),
                median(&ratios),
                median(&cpu)
            );
        }
    }
}

/// Of this process and of all that it has waited for.
fn cpu_seconds() -> f64 {
    let of = |who| {
        let usage = getrusage(who).unwrap();
        let time = usage.user_time() + usage.system_time();
        time.num_microseconds() as f64 / 1e6
    };
    of(UsageWho::RUSAGE_SELF) + of(UsageWho::RUSAGE_CHILDREN)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Microseconds for each command of a loop in each of several processes.
fn spawn_loop(processes: usize, commands: usize) -> f64 {
    let begun = Instant::now();
    let one = || {
        let program = CString::new("/bin/true").unwrap();
        let actions = PosixSpawnFileActions::init().unwrap();
        let attributes = PosixSpawnAttr::init().unwrap();
        let environment: Vec<CString> = std::env::vars()
            .map(|(name, value)| CString::new(format!("{name}={value}")).unwrap())
            .collect();
        for _ in 0..commands / processes {
            let arguments = [&program];
            let pid = posix_spawn(
                program.as_c_str(),
                &actions,
                &attributes,
                &arguments,
                &environment,
            );
            waitpid(pid.unwrap(), None).unwrap();
        }
        0
    };
    let children: Vec<_> = (0..processes)
        .map(|_| cotec::sys::fork::fork(one).unwrap())
        .collect();
    for child in children {
        while child.ended().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    begun.elapsed().as_secs_f64() * 1e6 / commands as f64
}

/// Notes when the last job ended.
#[derive(Default)]
struct Ends {
    begun_ns: u64,
    done: usize,
    last: f64,
}

impl Observer for Ends {
    fn happening(&mut self, happening: &Happening) {
        match &happening.what {
            What::Started { .. } => {
                self.begun_ns = now_ns() - (happening.at * 1e9) as u64;
            }
            What::Job {
                state: JobState::Done,
                ..
            } => {
                self.done += 1;
                self.last = happening.at;
            }
            What::Job { name, result, .. } => panic!("{name}: {result:?}"),
            What::Note { text, error: true } => eprintln!("{text}"),
            What::Died { role, how, .. } => eprintln!("a {role} died: {how}"),
            _ => {}
        }
    }
}

/// A run of so many jobs. Microseconds from their release to the end of the last one, for each,
/// and the lines of the journal.
fn jobs(workers: usize, jobs: usize, processor: &str) -> (f64, usize) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    for product in 0..PRODUCTS {
        let place = root.join("served/bucket").join(format!("p{product}"));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("object"), "x").unwrap();
    }
    let mut text = String::from("[products]\nprefix = \"\"\n");
    let tasks = jobs / PRODUCTS;
    for task in 0..tasks {
        let processor = if task < workers { "" } else { processor };
        let task = format!("t{task}");
        write!(text, "[[task]]\nname = \"{task}\"\n{processor}").unwrap();
        text.push_str("output = \"\"\nobjects = [\"*\"]\n");
    }
    let file = root.join("jobs.toml");
    fs::write(&file, text).unwrap();
    let flags = Flags {
        native: true,
        out: Some(root.join("out")),
        staging: Some(root.join("staging")),
        workers: Some(workers),
        ..Flags::default()
    };
    let jobfile = JobFile::read(&file, &flags, &RasterFormulas).unwrap();
    let gates: Vec<String> = (0..workers).map(|n| format!("t{n}/p0")).collect();
    let mut observer = Ends::default();
    let native = |job: &Job<'_>| {
        if gates.iter().any(|gate| gate == job.name()) {
            gate(job, root);
        }
        Ok(())
    };
    run(RunConfig {
        jobfile,
        store: StoreOptions::default(),
        serve: Some(root.join("served")),
        limits: Limits::default(),
        native: Some(&native),
        observer: &mut observer,
        fresh: true,
        grace: DEFAULT_GRACE,
        dry_run: false,
        output: Output::Text,
        record: Record::default(),
        metrics: None,
    })
    .unwrap();
    assert_eq!(observer.done, tasks * PRODUCTS);
    let released = gates.iter().map(|gate| {
        let time = fs::read_to_string(released_at(root, gate)).unwrap();
        time.parse::<u64>().unwrap()
    });
    let from = released.min().unwrap() - observer.begun_ns;
    let journal = fs::read_to_string(root.join("out/journal.jsonl")).unwrap();
    let each = (observer.last - from as f64 / 1e9) * 1e6 / observer.done as f64;
    (each, journal.lines().count())
}

fn released_at(root: &Path, job: &str) -> std::path::PathBuf {
    root.join(job.replace('/', "_"))
}

/// Waits until every other job can run.
fn gate(job: &Job<'_>, root: &Path) {
    let table = job.table();
    while table.phase().unwrap() < Phase::Planned || table.count_jobs().unwrap().waiting > 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    // What the others still write of the registration is not counted.
    std::thread::sleep(Duration::from_secs(1));
    fs::write(released_at(root, job.name()), now_ns().to_string()).unwrap();
}
