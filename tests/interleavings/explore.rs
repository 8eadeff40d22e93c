//! Runs a scenario under many schedules.
//!
//! [`Bounded`] runs *every* schedule with at most a given number of preemptions, a preemption
//! being a switch away from a task that could have gone on. Most faults of concurrent code need
//! one or two. Shuttle's random and PCT schedulers look further, by chance.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, FailurePersistence, Runner};

use crate::model::{self, Setting, Verdict};
use crate::world::{LIMITS, Scenario, World};

/// How schedules are chosen.
#[derive(Clone, Copy, Debug)]
pub enum Strategy {
    /// All with at most so many preemptions, but no more than `most` executions.
    Bounded { preemptions: usize, most: usize },
    /// So many at random.
    Random(usize),
    /// So many with a random order of priorities that changes at `depth` points.
    Pct { runs: usize, depth: usize },
}

/// What came of running a scenario.
#[derive(Debug, Default)]
pub struct Report {
    /// Schedules run.
    pub runs: usize,
    /// What went wrong, with the schedule.
    pub failure: Option<String>,
    /// Whether the mortal process died in any of them.
    pub died: bool,
    /// Whether `most` cut the search short.
    pub cut: bool,
}

/// Runs a scenario until a schedule fails or there are no more.
pub fn explore(scenario: &Scenario, strategy: Strategy, setting: Setting) -> Report {
    prepare();
    let body = scenario.body;
    CUT.set(false);
    let scheduler: Box<dyn Scheduler + Send> = match strategy {
        Strategy::Bounded { preemptions, most } => Box::new(Bounded::new(preemptions, most)),
        Strategy::Random(runs) => Box::new(RandomScheduler::new_from_seed(7, runs)),
        Strategy::Pct { runs, depth } => Box::new(PctScheduler::new_from_seed(7, depth, runs)),
    };
    RESULT.take();
    let mut config = Config::default();
    config.failure_persistence = FailurePersistence::None;
    config.stack_size = 1 << 18;
    Runner::new(UntilFailure(scheduler), config).run(move || {
        model::begin(setting);
        let outcome = catch_unwind(AssertUnwindSafe(|| body(&mut World::new(LIMITS))));
        if let Err(payload) = outcome {
            model::fail(said(&*payload));
        }
        let verdict = model::end();
        RESULT.with_borrow_mut(|report| {
            let Verdict { failure, died } = verdict;
            report.runs += 1;
            report.died |= died;
            report.failure = report.failure.take().or(failure);
        });
    });
    Report {
        cut: CUT.get(),
        ..RESULT.take()
    }
}

thread_local! {
    static RESULT: RefCell<Report> = RefCell::default();
    static CUT: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What a panic said.
pub fn said(_: &(dyn Any + Send)) -> String {
    SAID.take()
}

/// Failures are reported by the explorer, so panics of a model print nothing.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Shuttle puts its own hook in place at the first run; ours comes after it.
        Runner::new(RandomScheduler::new(1), Config::default()).run(|| {});
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if model::present() {
                SAID.set(info.to_string());
            } else {
                before(info);
            }
        }));
    });
}

/// Stops at the first failure.
struct UntilFailure(Box<dyn Scheduler + Send>);

impl Scheduler for UntilFailure {
    fn new_execution(&mut self) -> Option<Schedule> {
        if RESULT.with_borrow(|report| report.failure.is_some()) {
            return None;
        }
        self.0.new_execution()
    }

    fn next_task(&mut self, can: &[&Task], now: Option<TaskId>, yields: bool) -> Option<TaskId> {
        self.0.next_task(can, now, yields)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// Depth-first through all schedules with few preemptions.
struct Bounded {
    preemptions: usize,
    most: usize,
    runs: usize,
    /// The choices of the present schedule: which option was taken, of how many.
    choices: Vec<(usize, usize)>,
    depth: usize,
    left: usize,
}

impl Bounded {
    fn new(preemptions: usize, most: usize) -> Bounded {
        Bounded {
            preemptions,
            most,
            runs: 0,
            choices: Vec::new(),
            depth: 0,
            left: 0,
        }
    }
}

impl Scheduler for Bounded {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.runs > 0 {
            while self
                .choices
                .pop_if(|(taken, of)| *taken + 1 == *of)
                .is_some()
            {}
            self.choices.last_mut()?.0 += 1;
        }
        if self.runs == self.most {
            CUT.set(true);
            return None;
        }
        self.runs += 1;
        (self.depth, self.left) = (0, self.preemptions);
        Some(Schedule::new(0))
    }

    fn next_task(&mut self, can: &[&Task], now: Option<TaskId>, _: bool) -> Option<TaskId> {
        let now = now.filter(|now| can.iter().any(|task| task.id() == *now));
        // The present task first; the others only while a preemption is left.
        let mut options: Vec<TaskId> = now.into_iter().collect();
        if now.is_none() || (self.left > 0 && model::racing()) {
            options.extend(
                can.iter()
                    .map(|task| task.id())
                    .filter(|id| Some(*id) != now),
            );
        }
        let options = match model::racing() {
            true => &options[..],
            false => &options[..1],
        };
        let taken = if options.len() == 1 {
            0
        } else {
            if self.depth == self.choices.len() {
                self.choices.push((0, options.len()));
            }
            let (taken, of) = self.choices[self.depth];
            assert_eq!(of, options.len(), "the scenario is not the same each time");
            self.depth += 1;
            taken
        };
        self.left -= usize::from(now.is_some() && taken > 0);
        Some(options[taken])
    }

    fn next_u64(&mut self) -> u64 {
        0
    }
}
