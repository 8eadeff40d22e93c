//! Whole runs with random processes killed at random moments.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cotec::raster::{SampleSpec, write_sample};
use cotec::table::Table;
use cotec::values::Role;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A run that takes longer hangs.
const HANG: Duration = Duration::from_secs(120);
/// By this variable the processes of a run are found.
const MARK: &str = "COTEC_STORM";
/// A job is given up when its worker dies three times, which would be no fault of the run.
const WORKERS_KILLED: u32 = 2;
const BUCKET: &str = "storm-bucket";
const JOBS: &str = r#"
[store]
bucket = "storm-bucket"
[products]
prefix = ""
[[task]]
index = "ndvi"
[[task]]
name = "copy"
run = ["cp", "{B05}", "{out}"]
[[task]]
name = "long"
expr = "log(exp(sqrt(B08 * B08))) / (exp(log(B04 + 1)) + 1)"
"#;

/// What to do.
pub struct Plan {
    /// The `cotec-coord` to run.
    pub binary: PathBuf,
    /// An empty directory to work in.
    pub dir: PathBuf,
    /// How many processes to kill in all.
    pub kills: u32,
    /// Where the random numbers begin.
    pub seed: u64,
    /// Products of the sample, and columns of their 10 m bands.
    pub sample: (u32, u32),
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Runs that were disturbed.
    pub runs: u32,
    /// Processes killed, by role.
    pub kills: BTreeMap<&'static str, u32>,
    /// Runs that did not end.
    pub hangs: u32,
    /// Runs whose results are not those of an undisturbed one.
    pub wrong_results: u32,
    /// Runs that ended with another exit code than 0, or whose totals do not add up.
    pub wrong_ends: u32,
    /// Runs that left a process behind.
    pub left_behind: u32,
    /// Bytes of all objects of all runs whose coordinator lived.
    pub bytes: u64,
    /// Bytes that were fetched beyond these.
    pub bytes_twice: u64,
    /// What went wrong, in words.
    pub faults: Vec<String>,
}

impl Report {
    /// How many processes were killed.
    pub fn killed(&self) -> u32 {
        self.kills.values().sum()
    }

    /// The lines that a person reads.
    pub fn text(&self) -> String {
        let kills: Vec<String> = self
            .kills
            .iter()
            .map(|(role, n)| format!("{role} {n}"))
            .collect();
        format!(
            "runs {}\nkills {} ({})\nhangs {}\nwrong results {}\nwrong ends {}\nprocesses left behind {}\n\
             bytes fetched twice {} of {} ({:.2}%)\n{}",
            self.runs,
            self.killed(),
            kills.join(", "),
            self.hangs,
            self.wrong_results,
            self.wrong_ends,
            self.left_behind,
            self.bytes_twice,
            self.bytes,
            100.0 * self.bytes_twice as f64 / self.bytes.max(1) as f64,
            self.faults.join("\n"),
        )
    }
}

/// Small, reproducible random numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }
}

/// Runs until so many processes have been killed.
pub fn storm(plan: &Plan) -> io::Result<Report> {
    let spec = SampleSpec {
        products: plan.sample.0,
        size: plan.sample.1,
    };
    write_sample(&plan.dir.join("served").join(BUCKET), &spec).map_err(io::Error::other)?;
    fs::write(plan.dir.join("cotec.toml"), JOBS)?;
    let mut random = Random::new(plan.seed);
    let mut report = Report::default();
    let begun = Instant::now();
    let (ended, _) = disturbed(plan, &mut report, &mut random, 0, Duration::ZERO)?;
    let undisturbed = begun.elapsed();
    if ended != Some(0) {
        let log = fs::read_to_string(plan.dir.join("log"))?;
        return Err(io::Error::other(format!(
            "the undisturbed run ended with {ended:?}\n{log}"
        )));
    }
    let expected = results(&plan.dir.join("out"))?;
    while report.killed() < plan.kills {
        for name in ["out", ".cotec"] {
            fs::remove_dir_all(plan.dir.join(name))?;
        }
        report.runs += 1;
        let kills = (1 + random.below(6) as u32).min(plan.kills - report.killed());
        let (mut ended, coordinator_killed) =
            disturbed(plan, &mut report, &mut random, kills, undisturbed)?;
        if coordinator_killed {
            // The next run goes on where that one was.
            ended = disturbed(plan, &mut report, &mut random, 0, undisturbed)?.0;
        }
        judge(plan, &mut report, ended, coordinator_killed, &expected)?;
    }
    Ok(report)
}

fn judge(
    plan: &Plan,
    report: &mut Report,
    ended: Option<i32>,
    coordinator_killed: bool,
    expected: &BTreeMap<PathBuf, Vec<u8>>,
) -> io::Result<()> {
    let run = report.runs;
    let Some(code) = ended else {
        report.hangs += 1;
        report
            .faults
            .push(format!("run {run}: did not end within {HANG:?}"));
        return Ok(());
    };
    let summary: Value = match fs::read(plan.dir.join("out/summary.json")) {
        Ok(text) => serde_json::from_slice(&text)?,
        Err(_) => Value::Null,
    };
    let jobs = &summary["jobs"];
    let objects = &summary["objects"];
    // Each product has three jobs with five files.
    let whole = jobs["done"].as_u64() == Some(expected.len() as u64 / 5 * 3);
    if code != 0
        || !whole
        || jobs["failed"] != 0
        || jobs["left"] != 0
        || objects["ready"] != objects["total"]
    {
        report.wrong_ends += 1;
        let log = fs::read_to_string(plan.dir.join("log")).unwrap_or_default();
        report.faults.push(format!(
            "run {run}: exit code {code}, jobs {jobs}, objects {objects}\n{log}"
        ));
    }
    if results(&plan.dir.join("out"))? != *expected {
        report.wrong_results += 1;
        report.faults.push(format!("run {run}: the results differ"));
    }
    if !coordinator_killed {
        let bytes = objects["bytes"].as_u64().unwrap_or(0);
        report.bytes += bytes;
        report.bytes_twice += objects["bytes_fetched"]
            .as_u64()
            .unwrap_or(0)
            .saturating_sub(bytes);
    }
    let left = marked(plan);
    if !left.is_empty() {
        report.left_behind += 1;
        report
            .faults
            .push(format!("run {run}: left behind {left:?}"));
        end(&left);
    }
    Ok(())
}

/// One run, with some processes killed while it goes on. Its exit code (`None` if it hung, -1 if
/// it was killed), and whether its coordinator was killed.
fn disturbed(
    plan: &Plan,
    report: &mut Report,
    random: &mut Random,
    kills: u32,
    undisturbed: Duration,
) -> io::Result<(Option<i32>, bool)> {
    let log = File::create(plan.dir.join("log"))?;
    let mut child = Command::new(&plan.binary)
        .args(["--serve", "served", "--workers", "3"])
        .current_dir(&plan.dir)
        .env(MARK, mark(plan))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()?;
    let mut coordinator_killed = false;
    let mut workers = 0;
    for _ in 0..kills {
        let most =
            u64::try_from(undisturbed.as_micros()).unwrap_or(u64::MAX) * 2 / u64::from(kills + 1);
        std::thread::sleep(Duration::from_micros(random.below(most)));
        if child.try_wait()?.is_some() {
            break;
        }
        if let Some((pid, role)) = victim(&child, random, workers < WORKERS_KILLED) {
            if kill(Pid::from_raw(pid), Signal::SIGKILL).is_err() {
                continue;
            }
            *report.kills.entry(role.name()).or_default() += 1;
            workers += u32::from(role == Role::Worker);
            if role == Role::Coordinator {
                coordinator_killed = true;
                break;
            }
        }
    }
    let begun = Instant::now();
    let ended = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status.code().unwrap_or(-1));
        }
        if begun.elapsed() > HANG {
            break None;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    if ended.is_none() || coordinator_killed {
        // The kernel kills the children of a dead coordinator; that takes a moment.
        let begun = Instant::now();
        while !marked(plan).is_empty() && begun.elapsed() < Duration::from_secs(10) {
            if ended.is_none() {
                end(&marked(plan));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.wait();
    }
    Ok((ended, coordinator_killed))
}

/// A random process of a run, found as any program of this user finds it.
fn victim(coordinator: &Child, random: &mut Random, workers: bool) -> Option<(i32, Role)> {
    let uid = nix::unistd::geteuid();
    let text = fs::read(format!("/dev/shm/cotec-{uid}-{}", coordinator.id())).ok()?;
    let line: Value = serde_json::from_slice(text.split(|b| *b == 0).next()?).ok()?;
    let table = Table::attach(Path::new(line["table"].as_str()?), false).ok()?;
    let mut processes = table.processes().ok()?;
    // The server does not join the table: it is the child that nobody else is.
    let known: Vec<u32> = processes.iter().map(|p| p.pid).collect();
    let server = cotec::sys::proc::children(coordinator.id())
        .into_iter()
        .find(|pid| !known.contains(pid));
    processes.retain(|p| match p.role {
        Role::Worker => workers,
        // Seldom: its death ends the run.
        Role::Coordinator => p.pid == coordinator.id(),
        _ => true,
    });
    let mut choice: Vec<(u32, Role)> = processes.iter().map(|p| (p.pid, p.role)).collect();
    choice.extend(server.map(|pid| (pid, Role::Server)));
    if random.below(8) != 0 {
        choice.retain(|(_, role)| *role != Role::Coordinator);
    }
    let at = random.below(choice.len() as u64) as usize;
    let (pid, role) = *choice.get(at)?;
    Some((i32::try_from(pid).ok()?, role))
}

fn mark(plan: &Plan) -> String {
    plan.dir.display().to_string()
}

/// The processes of this storm's runs that live.
fn marked(plan: &Plan) -> Vec<i32> {
    let wanted = format!("{MARK}={}", mark(plan));
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            environment
                .split(|b| *b == 0)
                .any(|v| v == wanted.as_bytes())
                .then_some(pid)
        })
        .collect()
}

fn end(pids: &[i32]) {
    for pid in pids {
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
}

/// All result files, but for the summary and the logs.
fn results(out: &Path) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for product in fs::read_dir(out)? {
        let product = product?.path();
        if !product.is_dir() {
            continue;
        }
        for file in fs::read_dir(&product)? {
            let file = file?.path();
            if file.extension().is_none_or(|e| e != "log") {
                let name = file.strip_prefix(out).unwrap_or(&file).to_owned();
                found.insert(name, fs::read(&file)?);
            }
        }
    }
    Ok(found)
}
