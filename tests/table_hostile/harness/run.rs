//! Many cases on several threads, under a watchdog.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use cotec::table::EventReader;

use super::arena::Arena;
use super::case::{Case, one};
use super::dice::Dice;
use super::mutation::Mutation;
use super::operations::{Ground, QUICK};
use super::report::Report;

/// After this an operation counts as hanging. Far more than any takes, because the machine may
/// have other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Nanoseconds since the first call.
fn now_ns() -> u64 {
    static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(FIRST.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// What a thread is doing, for the watchdog.
#[derive(Default)]
pub struct Pulse {
    case: AtomicU64,
    since: AtomicU64,
    doing: Mutex<&'static str>,
}

impl Pulse {
    pub fn begin(&self, name: &'static str) {
        if let Ok(mut doing) = self.doing.lock() {
            *doing = name;
        }
        self.since.store(now_ns().max(1), Ordering::Relaxed);
    }

    pub fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    /// Ends the program if an operation hangs: there is no other way out of it.
    fn watch(&self) {
        let since = self.since.load(Ordering::Relaxed);
        if since != 0 && now_ns().saturating_sub(since) > PATIENCE.as_nanos() as u64 {
            let doing = self.doing.lock().map(|d| *d).unwrap_or("?");
            let case = self.case.load(Ordering::Relaxed);
            eprintln!("finding: case {case} hangs in {doing}");
            std::process::exit(70);
        }
    }
}

/// Runs `work` on each of `threads` threads while a watchdog looks on.
fn watched(threads: u64, work: impl Fn(u64, &Pulse) -> Report + Sync) -> Report {
    let pulses: Vec<Pulse> = (0..threads).map(|_| Pulse::default()).collect();
    let over = AtomicBool::new(false);
    let began = Instant::now();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let mut report = Report::default();
    thread::scope(|scope| {
        let workers: Vec<_> = pulses
            .iter()
            .zip(0..)
            .map(|(pulse, number)| {
                let work = &work;
                scope.spawn(move || work(number, pulse))
            })
            .collect();
        let (pulses, over) = (&pulses, &over);
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                pulses.iter().for_each(Pulse::watch);
                thread::park_timeout(Duration::from_millis(50));
            }
        });
        for worker in workers {
            match worker.join() {
                Ok(part) => report.merge(part),
                Err(_) => report.findings.push("the harness itself panicked".into()),
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    std::panic::set_hook(hook);
    report.took = began.elapsed();
    report
}

/// Runs cases. The number of the case that each thread is at stands in a file in `notes`, to be
/// found there if a case takes the whole program down.
pub fn run(seed: u64, cases: Range<u64>, threads: u64, notes: &Path) -> Report {
    let next = AtomicU64::new(cases.start);
    watched(threads, |thread, pulse| {
        let arenas = Arena::all();
        let note = File::create(notes.join(format!("fuzz-table-{thread}.case"))).ok();
        let mut report = Report::default();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= cases.end || report.findings.len() > 20 {
                break;
            }
            pulse.case.store(number, Ordering::Relaxed);
            if let Some(note) = &note {
                let _ = note.write_all_at(format!("{number:020}\n").as_bytes(), 0);
            }
            let before = report.findings.len();
            let case = Case::random(seed, number, &arenas);
            let arena = case.arena;
            case.run(&arenas, pulse, &mut report);
            if report.cases % 1024 == 0
                && let Some(at) = arenas[arena].stray_write()
            {
                report
                    .findings
                    .push(format!("byte {at} outside of all regions was written"));
            }
            for finding in &mut report.findings[before..] {
                *finding = format!("seed {seed} case {number}: {finding}");
            }
        }
        report
    })
}

/// Runs the alterations in a text of the corpus on every table, each with several orders of the
/// operations. A line that makes no sense is a finding.
pub fn replay(text: &str) -> Report {
    let mut mutations = Vec::new();
    let mut nonsense = Vec::new();
    for line in text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        match Mutation::parse(line) {
            Some(mutation) if mutation.to_string() == line => mutations.push(mutation),
            _ => nonsense.push(format!("no alteration: {line}")),
        }
    }
    let mut report = watched(1, |_, pulse| {
        let arenas = Arena::all();
        let mut report = Report::default();
        for arena in 0..arenas.len() {
            for seed in 0..16 {
                let case = Case::given(seed, arena, mutations.clone());
                case.run(&arenas, pulse, &mut report);
            }
        }
        report
    });
    report.findings.extend(nonsense);
    report
}

/// Operations on one thread while another alters the table all the time: what a case cannot
/// show, a byte that changes between two looks at it. Nothing of this can be repeated exactly.
pub fn storm(seed: u64, cases: u64) -> Report {
    watched(1, |_, pulse| {
        let arenas = Arena::all();
        let over = AtomicBool::new(false);
        let mut report = Report::default();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut dice = Dice::new(seed, 1);
                while !over.load(Ordering::Relaxed) {
                    let arena = &arenas[dice.below(2) as usize];
                    for _ in 0..dice.below(32) {
                        Mutation::random(&mut dice, arena, 1).apply(arena);
                    }
                    arena.restore();
                }
            });
            let mut dice = Dice::new(seed, 2);
            for case in 0..cases {
                pulse.case.store(case, Ordering::Relaxed);
                let arena = &arenas[dice.below(2) as usize];
                let mut ground = Ground {
                    arena,
                    dice: Dice::new(dice.next(), case),
                    reader: EventReader::default(),
                    cursor: 0,
                    objects: arena.objects.clone(),
                    jobs: arena.jobs.clone(),
                };
                for operation in QUICK.iter().filter(|o| !o.0.starts_with("set_phase")) {
                    if let Err(wrong) = one(&mut ground, operation, pulse, &mut report) {
                        report
                            .findings
                            .push(format!("storm {seed}, case {case}: {wrong}"));
                        break;
                    }
                }
                report.cases += 1;
                if report.findings.len() > 20 {
                    break;
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        report
    })
}
