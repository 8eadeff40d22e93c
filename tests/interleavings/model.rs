//! The world of one execution: simulated processes, their sleeps and deaths, the time.
//!
//! All tasks of an execution run on one thread, one at a time, so the state is a thread-local.
//! A thread without a model has real time and real atomics.

use std::cell::{Cell, RefCell};
use std::panic::{Location, resume_unwind};

use shuttle_engine::runtime::execution::ExecutionState;
use shuttle_engine::runtime::task::TaskId;
use shuttle_engine::runtime::thread::switch;

use crate::sys::seeded::Seed;

/// More steps than any scenario needs: beyond, somebody goes in circles.
const MOST_STEPS: usize = 20_000;

/// What a task is about to do to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A load that synchronizes with nothing, or of a word that is written once.
    Glance,
    /// A sequentially consistent load.
    Look,
    /// A store into a record that is not published yet.
    Scribble,
    /// A move: others may act on it.
    Change,
}

/// Before which steps the scheduler chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Before looks and changes.
    Coarse,
    /// Before every step.
    Fine,
}

/// What one execution is run with.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The fault that is seeded, if any.
    pub seed: Option<Seed>,
    /// Before which of its changes the mortal process dies; `None`: it lives.
    pub die_at: Option<usize>,
    /// Where the scheduler chooses.
    pub detail: Detail,
}

/// A task asleep on some words.
pub struct Sleep {
    pub words: Vec<usize>,
    pub deadline_ns: Option<u64>,
}

/// Why a task unwinds without having failed.
pub struct Ended;

struct Task {
    name: &'static str,
    pid: u32,
    mortal: bool,
    changes: usize,
    finished: bool,
}

struct Model {
    setting: Setting,
    tasks: Vec<Task>,
    /// By pid: whether the process lives.
    alive: Vec<bool>,
    asleep: Vec<(usize, Sleep)>,
    /// Tasks that wait until a process has ended.
    watching: Vec<(usize, u32)>,
    awake: usize,
    now_ns: u64,
    steps: usize,
    died: bool,
    /// The task that stands in for another process while the scenario is set up.
    acting: Option<u32>,
    cancelled: bool,
    failures: Vec<String>,
    trace: Vec<(usize, Step, &'static Location<'static>)>,
}

thread_local! {
    static MODEL: RefCell<Option<Model>> = const { RefCell::new(None) };
    static PRESENT: Cell<bool> = const { Cell::new(false) };
    static RACING: Cell<bool> = const { Cell::new(false) };
    static UNSEEN: Cell<bool> = const { Cell::new(false) };
}

fn with<R>(f: impl FnOnce(&mut Model) -> R) -> R {
    MODEL.with(|model| {
        f(model
            .borrow_mut()
            .as_mut()
            .expect("no model on this thread"))
    })
}

fn me() -> usize {
    usize::from(shuttle::current::me())
}

fn unblock(task: usize) {
    ExecutionState::with(|state| state.get_mut(TaskId::from(task)).unblock());
}

/// Starts a world; the calling task is the coordinator, process 1.
pub fn begin(setting: Setting) {
    let coordinator = Task {
        name: "coordinator",
        pid: 1,
        mortal: false,
        changes: 0,
        finished: false,
    };
    MODEL.set(Some(Model {
        setting,
        tasks: vec![coordinator],
        alive: vec![false, true],
        asleep: Vec::new(),
        watching: Vec::new(),
        awake: 0,
        now_ns: 1,
        steps: 0,
        died: false,
        acting: None,
        cancelled: false,
        failures: Vec::new(),
        trace: Vec::new(),
    }));
    PRESENT.set(true);
    RACING.set(false);
}

/// What came of an execution.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What went wrong first, and the schedule that led there.
    pub failure: Option<String>,
    /// Whether the mortal process died.
    pub died: bool,
}

/// Ends the world.
pub fn end() -> Verdict {
    PRESENT.set(false);
    RACING.set(false);
    let Some(model) = MODEL.take() else {
        return Verdict::default();
    };
    let failure = model
        .failures
        .first()
        .map(|first| format!("{first}\n{}", schedule(&model)));
    Verdict {
        failure,
        died: model.died,
    }
}

/// The trace, one line for each stretch of one task.
fn schedule(model: &Model) -> String {
    let mut text = String::new();
    let mut last = usize::MAX;
    for (task, step, at) in &model.trace {
        if *task != last {
            text.push_str(&format!("\n    {:<14}", model.tasks[*task].name));
            last = *task;
        }
        let file = at.file().rsplit('/').next().unwrap_or_default();
        let mark = if *step == Step::Change { "!" } else { "" };
        text.push_str(&format!(
            " {}:{}{mark}",
            file.trim_end_matches(".rs"),
            at.line()
        ));
    }
    text
}

pub fn present() -> bool {
    PRESENT.get()
}

pub fn racing() -> bool {
    RACING.get()
}

pub fn seeded(seed: Seed) -> bool {
    PRESENT.get() && with(|m| m.setting.seed == Some(seed))
}

pub fn now() -> Option<u64> {
    present().then(|| with(|m| m.now_ns))
}

pub fn pid() -> Option<u32> {
    present().then(|| with(|m| m.acting.unwrap_or_else(|| m.tasks[me()].pid)))
}

pub fn lives(pid: u32) -> Option<bool> {
    present().then(|| with(|m| m.alive.get(pid as usize).copied().unwrap_or(false)))
}

/// Notes that a promise was broken.
pub fn fail(what: String) {
    with(|m| m.failures.push(what));
}

/// Looks at words without being seen by the scheduler.
pub fn unseen<R>(look: impl FnOnce() -> R) -> R {
    let before = UNSEEN.replace(true);
    let seen = look();
    UNSEEN.set(before);
    seen
}

/// Comes before every access to the table.
#[track_caller]
pub fn step(step: Step) {
    if !RACING.get() || UNSEEN.get() {
        return;
    }
    let at = Location::caller();
    let task = me();
    let (dies, chooses) = with(|m| {
        m.steps += 1;
        if m.steps > MOST_STEPS {
            m.failures
                .push(format!("{} goes in circles", m.tasks[task].name));
            m.cancelled = true;
        }
        let own = &mut m.tasks[task];
        own.changes += usize::from(step == Step::Change);
        let dies = own.mortal && step == Step::Change && Some(own.changes) == m.setting.die_at;
        let fine = m.setting.detail == Detail::Fine;
        (dies, fine || matches!(step, Step::Look | Step::Change))
    });
    if dies {
        die();
    }
    if chooses {
        switch();
    }
    let cancelled = with(|m| {
        if chooses {
            m.trace.push((task, step, at));
        }
        m.cancelled
    });
    if cancelled {
        resume_unwind(Box::new(Ended));
    }
}

/// The present process is killed: its task ends here, at once.
fn die() -> ! {
    let pid = with(|m| {
        m.died = true;
        m.tasks[me()].pid
    });
    declare_dead(pid);
    resume_unwind(Box::new(Ended));
}

/// From now on a process counts as dead; what its tasks still do comes late.
pub fn declare_dead(pid: u32) {
    let woken = with(|m| {
        m.alive[pid as usize] = false;
        let woken: Vec<usize> = m
            .watching
            .iter()
            .filter(|w| w.1 == pid)
            .map(|w| w.0)
            .collect();
        m.watching.retain(|w| w.1 != pid);
        m.awake += woken.len();
        woken
    });
    woken.into_iter().for_each(unblock);
}

/// Makes a process, and the task that is its first or a further thread.
pub fn add_task(name: &'static str, pid: Option<u32>, mortal: bool) -> u32 {
    with(|m| {
        let pid = pid.unwrap_or_else(|| {
            m.alive.push(true);
            m.alive.len() as u32 - 1
        });
        m.tasks.push(Task {
            name,
            pid,
            mortal,
            changes: 0,
            finished: false,
        });
        pid
    })
}

/// Acts as another process while the scenario is set up.
pub fn acting_as<R>(pid: u32, f: impl FnOnce() -> R) -> R {
    with(|m| m.acting = Some(pid));
    let result = f();
    with(|m| m.acting = None);
    result
}

/// Lets the tasks that were added since run until each has ended or sleeps for good.
pub fn race(tasks: usize) {
    with(|m| m.awake = tasks);
    RACING.set(true);
    if tasks > 0 {
        block();
    }
    let stuck = with(|m| {
        let stuck: Vec<usize> = m
            .asleep
            .iter()
            .map(|s| s.0)
            .chain(m.watching.iter().map(|w| w.0))
            .collect();
        if !stuck.is_empty() {
            let names: Vec<_> = stuck.iter().map(|t| m.tasks[*t].name).collect();
            m.failures
                .push(format!("sleeps for ever: {}", names.join(", ")));
            m.cancelled = true;
            m.asleep.clear();
            m.watching.clear();
            m.awake = stuck.len();
        }
        stuck
    });
    if !stuck.is_empty() {
        stuck.iter().copied().for_each(unblock);
        block();
    }
    RACING.set(false);
}

fn block() {
    ExecutionState::with(|state| state.current_mut().block(false));
    switch();
}

/// One task fewer can run; the last one gives the turn back to the coordinator.
fn rest(m: &mut Model) {
    m.awake -= 1;
    if m.awake == 0 {
        unblock(0);
    }
}

/// A task of a process has come to its end.
pub fn finish() {
    let ended = with(|m| {
        let task = me();
        m.tasks[task].finished = true;
        let pid = m.tasks[task].pid;
        m.tasks
            .iter()
            .all(|t| t.pid != pid || t.finished)
            .then_some(pid)
    });
    if let Some(pid) = ended {
        declare_dead(pid);
    }
    with(rest);
}

/// Sleeps until woken. Only a task of the race may: nobody would wake the coordinator.
pub fn sleep(sleep: Sleep) {
    let now = with(|m| m.now_ns);
    if sleep.deadline_ns.is_some_and(|at| at <= now) {
        return;
    }
    with(|m| {
        m.asleep.push((me(), sleep));
        rest(m);
    });
    block();
    if with(|m| m.cancelled) {
        resume_unwind(Box::new(Ended));
    }
}

fn rouse(count: u32, is: impl Fn(&Sleep) -> bool) {
    let woken = with(|m| {
        let mut woken = Vec::new();
        m.asleep.retain(|(task, sleep)| {
            let take = woken.len() < count as usize && is(sleep);
            if take {
                woken.push(*task);
            }
            !take
        });
        m.awake += woken.len();
        woken
    });
    woken.into_iter().for_each(unblock);
}

/// Wakes the first `count` sleepers of a word.
pub fn wake(word: usize, count: u32) {
    rouse(count, |sleep| sleep.words.contains(&word));
}

/// Moves the time on; sleeps whose deadline is reached end.
pub fn pass_time(ns: u64) {
    step(Step::Change);
    let now = with(|m| {
        m.now_ns += ns;
        m.now_ns
    });
    rouse(u32::MAX, |sleep| {
        sleep.deadline_ns.is_some_and(|at| at <= now)
    });
}

/// Sleeps until a process has ended, as a pidfd would tell.
pub fn await_end(pid: u32) {
    let waits = with(|m| {
        let waits = m.alive[pid as usize];
        if waits {
            m.watching.push((me(), pid));
            rest(m);
        }
        waits
    });
    if waits {
        block();
        if with(|m| m.cancelled) {
            resume_unwind(Box::new(Ended));
        }
    }
}
