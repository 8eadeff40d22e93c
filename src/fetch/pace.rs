//! Ten looks a second while requests are under way: how many connections, which of them are
//! silent, which parts at the end are slow.

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::sys::clock::now_ns;
use crate::table::TableError;

use super::control::Seen;
use super::engine::Engine;
use super::part::{CalledOff, Doing, Flight};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(100);
/// How long making a connection may take, with looking its address up and TLS, and how long a
/// body may pause, where the store's setting allows more: it is for the time that a store may
/// think before it answers.
const CONNECTING: Duration = Duration::from_secs(10);
const LANDING: Duration = Duration::from_secs(10);
/// How long a body may pause at the end, when other connections have nothing to do.
const LANDING_AT_THE_END: Duration = Duration::from_secs(3);
/// A body that brings fewer bytes in a second is as good as silent.
const LEAST_PER_SECOND: u64 = 1 << 10;

/// A look that comes so late finds sockets full that nobody has read.
const HELD_UP: Duration = Duration::from_secs(1);

/// A request that is this old is not asked for a second time yet.
const YOUNG: Duration = Duration::from_secs(1);
/// A request is slow when it needs so many times what others need.
const SLOW: u32 = 2;

/// Looks until the engine is over.
///
/// # Errors
/// The table's.
pub(super) async fn keep(engine: Rc<Engine>) -> Result<(), TableError> {
    let mut usual = Usual::default();
    while !engine.over.get() {
        let at_rest = engine.busy.get() == 0
            && !engine.queue.borrow().has_parked()
            && engine.waiting.borrow().is_none()
            && engine.doubts.borrow().is_empty();
        if at_rest {
            // Idle connections are closed even when nothing happens, and soon where others wait.
            let long = match engine.store.budget().profile().connections {
                Some(_) => EVERY,
                None => Duration::from_secs(5),
            };
            let rest = tokio::time::timeout(long, engine.at_work.notified());
            let _ = rest.await;
            engine.close_idle(Instant::now());
        } else {
            tokio::time::sleep(EVERY).await;
        }
        look(&engine, &mut usual)?;
    }
    Ok(())
}

fn look(engine: &Rc<Engine>, usual: &mut Usual) -> Result<(), TableError> {
    let now = Instant::now();
    let starved = engine.starved.replace(false);
    let seen = Seen {
        at_ns: now_ns(),
        bytes: engine.bytes.get(),
        answered: engine.answers.get(),
        open: engine.open(),
        busy: engine.busy.get(),
        starved,
    };
    engine.control.borrow_mut().observe(seen);
    let setting = engine.setting();
    if engine.noted.replace(Some(setting)) != Some(setting) {
        let connections = u32::try_from(setting.connections).unwrap_or(u32::MAX);
        engine.table.setting(connections, setting.part_bytes)?;
    }
    engine.store.budget().beat();
    engine.close_idle(now);
    let thinking = engine.store.config().stall_timeout;
    let held_up = usual.held_up(now);
    for flight in engine.flights.borrow().iter() {
        if held_up {
            flight.moved.set((now, flight.doing.get(), flight.at.get()));
        }
        look_for_silence(flight, now, thinking, starved);
    }
    engine.pump()?;
    engine.settle()?;
    usual.look(engine, now, starved);
    if starved {
        second_requests(engine, usual, now);
    }
    Ok(())
}

fn look_for_silence(flight: &Flight, now: Instant, thinking: Duration, at_the_end: bool) {
    let (doing, at) = (flight.doing.get(), flight.at.get());
    let (since, before, was_at) = flight.moved.get();
    let patience = match doing {
        Doing::Connecting => thinking.min(CONNECTING),
        Doing::Asking => thinking,
        // It is this side that is silent.
        Doing::Pausing => Duration::MAX,
        Doing::Landing if at_the_end => thinking.min(LANDING_AT_THE_END),
        Doing::Landing => thinking.min(LANDING),
    };
    // A store that is slow and not dead gets more time with the next request.
    let patience = match flight.part.silences.get() {
        0 => patience,
        _ => patience.saturating_mul(2),
    };
    let enough = LEAST_PER_SECOND.saturating_mul(patience.as_secs());
    if doing != before || at - was_at > enough {
        flight.moved.set((now, doing, at));
        return;
    }
    let silent = now.saturating_duration_since(since);
    if silent >= patience {
        flight.call_off(CalledOff::Silent(silent));
    }
}

/// What requests usually need.
#[derive(Debug, Default)]
struct Usual {
    /// Bytes per second of a request under way.
    rate: f64,
    /// Of all together, while there was enough to do.
    together: f64,
    bytes: u64,
    at: Option<Instant>,
}

impl Usual {
    /// Whether this process has not looked for so long that silence says nothing of the store: its
    /// disk held it up, or it was stopped.
    fn held_up(&self, now: Instant) -> bool {
        let since = |before| now.saturating_duration_since(before);
        self.at.is_some_and(|before| since(before) > HELD_UP)
    }

    /// Learns from the last moments in which at least two requests were under way.
    fn look(&mut self, engine: &Engine, now: Instant, starved: bool) {
        let bytes = engine.bytes.get();
        let busy = engine.busy.get();
        if let Some(before) = self.at
            && busy > 1
        {
            let seconds = now.saturating_duration_since(before).as_secs_f64();
            let together = (bytes - self.bytes) as f64 / seconds.max(1e-3);
            let follow = |value: &mut f64, seen: f64| {
                let share = if *value == 0.0 { 1.0 } else { 0.1 };
                *value += (seen - *value) * share;
            };
            follow(&mut self.rate, together / busy as f64);
            if !starved {
                follow(&mut self.together, together);
                engine.queue.borrow_mut().upcoming.network(self.together);
            }
        }
        (self.bytes, self.at) = (bytes, Some(now));
    }

    /// How long a request for so many bytes usually takes.
    fn time(&self, bytes: u64) -> Duration {
        Duration::try_from_secs_f64(bytes as f64 / self.rate).unwrap_or(Duration::MAX)
    }
}

/// When there are connections with nothing to do: asks a second time for what is left of the parts
/// that will take longest. Whichever request has it first ends the other.
fn second_requests(engine: &Rc<Engine>, usual: &Usual, now: Instant) {
    let free = engine
        .setting()
        .connections
        .saturating_sub(engine.busy.get());
    if free == 0 || !engine.backoff.borrow().open(now) {
        return;
    }
    let mut slow: Vec<_> = engine
        .flights
        .borrow()
        .iter()
        .filter_map(|flight| Some((time_left(flight, usual, now)?, Rc::clone(&flight.part))))
        .collect();
    slow.sort_by_key(|(left, _)| std::cmp::Reverse(*left));
    for (left, part) in slow.into_iter().take(free) {
        if !engine.backoff.borrow_mut().retry(now) {
            return;
        }
        tracing::debug!(key = part.object.key, ?left, "asked for a second time");
        if engine.start_line(part).is_some() {
            return;
        }
    }
}

/// How much longer a request will take, if that is unusually long.
fn time_left(flight: &Flight, usual: &Usual, now: Instant) -> Option<Duration> {
    let part = &flight.part;
    let age = now.saturating_duration_since(flight.begun);
    if part.flights.get() != 1 || part.over.get() || part.is_doubtful() || age < YOUNG {
        return None;
    }
    let came = flight.at.get() - flight.from;
    let left = part.range.end - flight.at.get();
    let needed = match came {
        0 => Duration::MAX,
        came => Duration::try_from_secs_f64(age.as_secs_f64() * left as f64 / came as f64)
            .unwrap_or(Duration::MAX),
    };
    let usual = usual.time(left).saturating_mul(SLOW);
    (needed > usual.saturating_add(YOUNG)).then_some(needed)
}
