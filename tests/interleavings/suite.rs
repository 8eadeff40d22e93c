//! The schedules under which each scenario is run, and the table of seeded faults.

use std::fmt;
use std::sync::Mutex;
use std::time::Instant;

use crate::explore::{Report, Strategy, explore};
use crate::model::{Detail, Setting};
use crate::sys::seeded::Seed;
use crate::world::Scenario;

/// What came of running a scenario under all its schedules.
#[derive(Default)]
pub struct Account {
    /// Schedules run.
    pub runs: usize,
    /// Steps of the mortal process before which it died.
    pub deaths: usize,
    /// Preemptions up to which no schedule was left out.
    pub exhausted: Option<usize>,
    /// The first failure: where it was found, what went wrong, and the schedule.
    pub failure: Option<String>,
    millis: u128,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = match self.exhausted {
            Some(1) => "all with 1 preemption".to_owned(),
            Some(n) => format!("all with {n} preemptions"),
            None => "not exhausted".to_owned(),
        };
        write!(f, "{:>7} schedules, {all}", self.runs)?;
        if self.deaths > 0 {
            write!(f, ", {} deaths", self.deaths)?;
        }
        write!(f, ", {} ms", self.millis)
    }
}

/// How many times the usual number of schedules: `COTEC_INTERLEAVINGS`, else 1. More than 1 also
/// allows one preemption more.
pub fn scale() -> usize {
    std::env::var("COTEC_INTERLEAVINGS")
        .ok()
        .and_then(|times| times.parse().ok())
        .unwrap_or(1)
}

/// Runs a scenario under all its schedules, or until one fails.
pub fn run(scenario: &Scenario, seed: Option<Seed>, scale: usize) -> Account {
    let begun = Instant::now();
    let mut account = Account::default();
    let more = usize::from(scale > 1);
    let lives = Setting {
        seed,
        die_at: None,
        detail: match scenario.fine {
            true => Detail::Fine,
            false => Detail::Coarse,
        },
    };
    all_bounded(scenario, lives, 40_000 * scale, more, &mut account);
    by_chance(scenario, lives, 400 * scale, &mut account);
    let mut died = scenario.deaths;
    while died && account.failure.is_none() {
        let setting = Setting {
            die_at: Some(account.deaths + 1),
            ..lives
        };
        died = all_bounded(scenario, setting, 4_000 * scale, more, &mut account);
        died |= by_chance(scenario, setting, 20 * scale, &mut account);
        account.deaths += usize::from(died);
    }
    account.millis = begun.elapsed().as_millis();
    account
}

/// Every schedule with 0 preemptions, with 1, and so on. True if the mortal process died.
fn all_bounded(
    s: &Scenario,
    setting: Setting,
    most: usize,
    more: usize,
    account: &mut Account,
) -> bool {
    let mut died = false;
    let mut exhausted = None;
    for preemptions in 0..=s.preemptions + more {
        if account.failure.is_some() {
            return died;
        }
        let report = explore(s, Strategy::Bounded { preemptions, most }, setting);
        died |= report.died;
        if !report.cut {
            exhausted = Some(preemptions);
        }
        note(
            account,
            &format!("{preemptions} preemptions"),
            setting,
            report,
        );
    }
    account.exhausted = match account.runs {
        0 => exhausted,
        _ if setting.die_at.is_none() => exhausted,
        _ => account.exhausted.min(exhausted),
    };
    died
}

/// Schedules by chance, in which the scheduler may choose before every single access.
fn by_chance(s: &Scenario, setting: Setting, runs: usize, account: &mut Account) -> bool {
    let setting = Setting {
        detail: Detail::Fine,
        ..setting
    };
    let mut died = false;
    for strategy in [Strategy::Random(runs), Strategy::Pct { runs, depth: 3 }] {
        if account.failure.is_some() {
            return died;
        }
        let report = explore(s, strategy, setting);
        died |= report.died;
        note(account, &format!("{strategy:?}"), setting, report);
    }
    died
}

fn note(account: &mut Account, how: &str, setting: Setting, report: Report) {
    account.runs += report.runs;
    account.failure = report.failure.map(|failure| match setting.die_at {
        Some(n) => format!("{how}, death before change {n}: {failure}"),
        None => format!("{how}: {failure}"),
    });
}

/// Works through `all` on the machine's cores; the results in the order of `all`.
pub fn on_all_cores<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = Mutex::new(0..all.len());
    let done = Mutex::new(Vec::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let Some(place) = next.lock().unwrap().next() else {
                        return;
                    };
                    let result = work(&all[place]);
                    done.lock().unwrap().push((place, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}
