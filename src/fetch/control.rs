//! How many connections and how large parts, found while downloading.
//!
//! "The optimal number of HTTP connections can be obtained by simple performance testing": the
//! controller does that testing all the time. It is pure: it has no clock and does no I/O, so the
//! same looks give the same settings.
//!
//! - **Climb**: from 4 connections it doubles while that brings clearly more bytes per second.
//! - **Rest**: on the plateau it goes back to the smallest number that should hold it, which
//!   follows from what one connection brought before there were many, and checks that it does.
//!   It does not rest below 16: more than needed cost little, and they hide a slow one.
//! - **Probe**: now and then it tries some more or some fewer, more and more seldom while that
//!   changes nothing. A rate that changes by itself makes it climb again.
//! - **Cut**: a refusal takes it back to what held, or by half; the number that was refused is
//!   not tried again for a long time, which grows.
//!
//! Every figure is measured over a [`Window`] that begins when a new setting has had the time to
//! take effect: as long as the first answer took at the beginning.

mod ceiling;
mod latency;
mod part_size;
mod terms;
mod window;

use ceiling::Ceiling;
use latency::Latency;
use part_size::PartSize;
use window::Window;

pub use terms::{Bounds, Seen, Setting, Sign};

use crate::store::EndpointProfile;

impl Bounds {
    /// What an endpoint allows; with `pinned`, that number and no other, unless it allows less.
    pub fn of(profile: &EndpointProfile, pinned: Option<usize>) -> Bounds {
        let any = Bounds::default();
        let allowed = profile
            .connections
            .map_or(usize::MAX, |n| n.max(1) as usize);
        Bounds {
            max: any.max.min(allowed),
            pinned: pinned.map(|n| n.min(allowed)),
            requests_per_minute: profile.requests_per_minute,
            ..any
        }
    }
}

/// Connections at the beginning.
const START: usize = 4;
/// The smallest number to rest at, where it is allowed.
const REST: usize = 16;

/// A doubling that brings this much is followed by the next one at once.
const CLEAR_GAIN: f64 = 0.25;
/// The least that more connections must bring.
const GAIN: f64 = 0.04;
/// What fewer connections may lose.
const LOSS: f64 = 0.02;
/// Room above the number of connections that the plateau should need.
const ROOM: f64 = 1.2;
/// A change of the rate at the same setting that is one of the link's or of the objects'.
const DRIFT: f64 = 0.2;

const MS: u64 = 1_000_000;
const LONGEST_WINDOW_NS: u64 = 1_200 * MS;
const REST_WINDOW_NS: u64 = 1_000 * MS;
const FIRST_INTERVAL_NS: u64 = 4_000 * MS;
const LONGEST_INTERVAL_NS: u64 = 60_000 * MS;
/// How long a number is not tried again that only timed out.
const TIMED_OUT_HOLD_NS: u64 = 10_000 * MS;
/// Refusals further apart than this have nothing to do with each other.
const STRIKES_NS: u64 = 2_000 * MS;

/// The rate at a number of connections.
#[derive(Clone, Copy, Debug)]
struct Sample {
    connections: usize,
    rate: f64,
}

/// The most that one connection brought.
fn each(samples: &[Sample]) -> f64 {
    let rates = samples.iter().map(|s| s.rate / s.connections as f64);
    rates.fold(1.0, f64::max)
}

#[derive(Clone, Debug)]
enum Phase {
    /// Doubling; what was measured on the way.
    Climb(Vec<Sample>),
    Rest,
    /// Trying another number; which one to go back to and what it gave.
    Probe(Sample),
}

/// The controller of one endpoint's connections.
#[derive(Clone, Debug)]
pub struct Control {
    bounds: Bounds,
    connections: usize,
    phase: Phase,
    window: Window,
    parts: PartSize,
    ceiling: Ceiling,
    latency: Latency,
    /// The rate of the resting setting, smoothed, and the best one since the last climb.
    level: Option<f64>,
    best: f64,
    /// The most that one connection brought, as far as that still holds.
    each: f64,
    /// Windows in a row whose rate was another one.
    drifted: u32,
    interval_ns: u64,
    probe_at_ns: u64,
    fewer_next: bool,
    /// Signs until then belong to the last cut.
    quiet_until_ns: u64,
    strikes: (u64, usize),
    /// Bytes at the last cut, until it is known whether anything came since.
    cut_at_bytes: Option<u64>,
    bytes: u64,
}

impl Control {
    /// A controller that has seen nothing.
    pub fn new(bounds: Bounds) -> Control {
        let min = bounds.min.max(1);
        let max = bounds.max.max(min);
        let pinned = bounds.pinned.map(|pinned| pinned.max(1));
        Control {
            bounds: Bounds {
                min,
                max,
                pinned,
                ..bounds
            },
            connections: pinned.unwrap_or(START.clamp(min, max)),
            phase: Phase::Climb(Vec::new()),
            window: Window::opening(u64::MAX),
            parts: PartSize::new(bounds.requests_per_minute),
            ceiling: Ceiling::new(),
            latency: Latency::Unknown,
            level: None,
            best: 0.0,
            each: 0.0,
            drifted: 0,
            interval_ns: FIRST_INTERVAL_NS,
            probe_at_ns: 0,
            fewer_next: false,
            quiet_until_ns: 0,
            strikes: (0, 0),
            cut_at_bytes: None,
            bytes: 0,
        }
    }

    /// The setting that holds now.
    pub fn setting(&self) -> Setting {
        Setting {
            connections: self.connections,
            part_bytes: self.parts.bytes(),
        }
    }

    /// Takes a look into account; the setting that holds from now on.
    pub fn observe(&mut self, seen: Seen) -> Setting {
        let Seen { at_ns, bytes, .. } = seen;
        self.bytes = bytes;
        self.parts
            .look(at_ns, bytes, seen.answered, seen.busy, seen.starved);
        if self.bounds.pinned.is_some() {
            return self.setting();
        }
        if self.latency.look(&seen) {
            self.window = Window::opening(at_ns);
        }
        if at_ns >= self.quiet_until_ns
            && let Some(before) = self.cut_at_bytes.take()
            && before == bytes
        {
            // Nothing at all came: that was an outage, not a number that is too high.
            self.ceiling.forget();
            self.climb(at_ns, Vec::new());
        }
        if seen.starved || seen.busy == 0 {
            self.window.again(at_ns);
            return self.setting();
        }
        // Connections that are still to go would count for the new setting, those still to come
        // would be missing.
        let late_ns = self.window.overdue_ns(at_ns);
        let leaving = seen.busy > self.connections && late_ns < 2_000 * MS;
        let coming = seen.busy * 10 < self.connections * 9 && late_ns < 300 * MS;
        if !self.window.begun() && (leaving || coming) {
            return self.setting();
        }
        // Nor does it say anything while most of them keep a pause together.
        if seen.busy * 2 < self.connections {
            self.window.again(at_ns);
            return self.setting();
        }
        self.window.look(at_ns, bytes);
        let measured = self.window.length_ns();
        if measured >= self.shortest_window_ns() {
            if seen.busy * 10 >= self.connections * 9 {
                self.ceiling.holds(self.connections);
            }
            match &self.phase {
                Phase::Climb(samples) => self.climbing(at_ns, samples.clone()),
                Phase::Probe(from) => self.probing(at_ns, *from),
                Phase::Rest if measured >= REST_WINDOW_NS => self.resting(at_ns),
                Phase::Rest => {}
            }
        }
        self.setting()
    }

    /// Takes a sign into account that came while `busy` connections, that of the sign among them,
    /// had a request under way; the setting that holds from now on.
    pub fn sign(&mut self, at_ns: u64, sign: Sign, busy: usize) -> Setting {
        if self.bounds.pinned.is_some() || at_ns < self.quiet_until_ns {
            return self.setting();
        }
        if sign == Sign::Throttled {
            self.parts.throttled();
        }
        self.strikes = match self.strikes {
            (since, count) if at_ns.saturating_sub(since) < STRIKES_NS => (since, count + 1),
            _ => (at_ns, 1),
        };
        let now = self.connections.min(busy.saturating_add(1)).max(1);
        let held = self.ceiling.held();
        // One refusal of a number that held, one connection that fell silent: that happens.
        let proven = sign == Sign::TimedOut || now <= held;
        let needed = if proven { (now / 4).max(2) } else { 1 };
        if self.strikes.1 < needed && now > 1 {
            return self.setting();
        }
        self.strikes = (at_ns, 0);
        let target = match sign {
            Sign::TimedOut => now * 3 / 4,
            _ if held > 0 && held < now => held.max(now / 2),
            Sign::Refused => now * 3 / 4,
            Sign::Throttled => now / 2,
        };
        let target = target.clamp(self.bounds.min, self.bounds.max);
        if now > 1 {
            match sign {
                Sign::TimedOut => self.ceiling.falls_below(at_ns, now, TIMED_OUT_HOLD_NS),
                _ => self.ceiling.refuses(at_ns, now),
            }
        }
        self.rest(at_ns, target, None);
        self.interval_ns = FIRST_INTERVAL_NS;
        self.quiet_until_ns = at_ns + (2 * self.settling_ns()).max(500 * MS);
        self.probe_at_ns = self.quiet_until_ns;
        self.fewer_next = false;
        self.cut_at_bytes = Some(self.bytes);
        self.setting()
    }

    fn settling_ns(&self) -> u64 {
        self.latency.ns() + 50 * MS
    }

    fn shortest_window_ns(&self) -> u64 {
        self.latency.ns().clamp(200 * MS, 500 * MS)
    }

    fn most(&self, at_ns: u64) -> usize {
        self.ceiling
            .allowed(at_ns)
            .clamp(self.bounds.min, self.bounds.max)
    }

    fn floor(&self) -> usize {
        REST.clamp(self.bounds.min, self.bounds.max)
    }

    /// Lets another number hold, and begins to measure it when it has taken effect.
    fn hold(&mut self, at_ns: u64, connections: usize) {
        self.connections = connections;
        self.window = Window::opening(at_ns + self.settling_ns());
    }

    /// Doubles from what was measured, if that is allowed.
    fn climb(&mut self, at_ns: u64, samples: Vec<Sample>) {
        let steep = match samples.as_slice() {
            [.., before, last] => last.rate > before.rate * (1.0 + CLEAR_GAIN),
            _ => true,
        };
        let now = self.connections;
        let next = match (samples.is_empty(), steep, self.ceiling.known()) {
            (true, _, _) => now,
            // Where there was a refusal, the next one is to be small.
            (_, _, true) => now + (now / 4).max(1),
            (_, true, _) => now * 2,
            (_, false, _) => now + now.div_ceil(2),
        };
        let next = next.min(self.most(at_ns));
        if !samples.is_empty() && next <= self.connections {
            self.settle_on_plateau(at_ns, &samples);
            return;
        }
        self.phase = Phase::Climb(samples);
        self.level = None;
        self.hold(at_ns, next);
    }

    /// What a window of a climb means.
    fn climbing(&mut self, at_ns: u64, mut samples: Vec<Sample>) {
        let (rate, error) = (self.window.rate(), self.window.error());
        let here = Sample {
            connections: self.connections,
            rate,
        };
        let Some(before) = samples.last().copied() else {
            samples.push(here);
            self.climb(at_ns, samples);
            return;
        };
        let gain = rate / before.rate.max(1.0) - 1.0;
        let unclear = self.window.rising() || (gain - GAIN).abs() < 2.0 * error;
        if gain < CLEAR_GAIN && unclear && self.window.length_ns() < LONGEST_WINDOW_NS {
            return;
        }
        samples.push(here);
        if gain >= GAIN {
            self.climb(at_ns, samples);
        } else {
            self.settle_on_plateau(at_ns, &samples);
        }
    }

    /// Goes to the number that should hold the best rate of a climb, and checks it.
    fn settle_on_plateau(&mut self, at_ns: u64, samples: &[Sample]) {
        let best = samples.iter().map(|s| s.rate).fold(0.0, f64::max);
        self.each = self.each.max(each(samples));
        let enough = samples
            .iter()
            .filter(|s| s.rate >= best * (1.0 - LOSS))
            .min_by_key(|s| s.connections);
        let Some(enough) = enough.copied() else {
            self.rest(at_ns, self.connections, None);
            return;
        };
        self.best = best;
        self.interval_ns = FIRST_INTERVAL_NS;
        let knee = ((best / self.each * ROOM).ceil() as usize).max(self.floor());
        if knee < enough.connections {
            self.phase = Phase::Probe(enough);
            self.hold(at_ns, knee);
        } else {
            let floor = self.floor().min(self.most(at_ns));
            self.rest(at_ns, enough.connections.max(floor), Some(enough.rate));
        }
    }

    fn rest(&mut self, at_ns: u64, connections: usize, level: Option<f64>) {
        self.phase = Phase::Rest;
        self.level = level;
        self.drifted = 0;
        self.probe_at_ns = at_ns + self.interval_ns;
        self.hold(at_ns, connections);
    }

    /// What a window of the resting setting means.
    fn resting(&mut self, at_ns: u64) {
        let rate = self.window.rate();
        self.window.again(at_ns);
        self.window.look(at_ns, self.bytes);
        let level = *self.level.get_or_insert(rate);
        if (rate / level.max(1.0) - 1.0).abs() > DRIFT {
            self.drifted += 1;
            if self.drifted >= 2 {
                self.drifted = 0;
                self.level = Some(rate);
                self.best = rate;
                self.interval_ns = FIRST_INTERVAL_NS;
                self.fewer_next = false;
                self.probe(at_ns, rate);
            }
            return;
        }
        self.drifted = 0;
        let level = level + 0.3 * (rate - level);
        self.level = Some(level);
        self.best = self.best.max(level);
        if at_ns >= self.probe_at_ns {
            self.probe(at_ns, level);
        }
    }

    /// Tries some more or some fewer connections, whichever is due and possible.
    fn probe(&mut self, at_ns: u64, level: f64) {
        let now = self.connections;
        let more = (now + (now / 4).max(1)).min(self.most(at_ns));
        let fewer = (now * 4 / 5).max(self.floor());
        let next = match (self.fewer_next && fewer < now, more > now) {
            (true, _) => fewer,
            (false, true) => more,
            (false, false) if fewer < now => fewer,
            (false, false) => {
                let again_ns = self.ceiling.again_ns().filter(|again| *again > at_ns);
                self.probe_at_ns = again_ns.unwrap_or(at_ns + self.interval_ns);
                return;
            }
        };
        self.fewer_next = next > now;
        let from = Sample {
            connections: now,
            rate: level,
        };
        self.phase = Phase::Probe(from);
        self.hold(at_ns, next);
    }

    /// What a window of a probe means.
    fn probing(&mut self, at_ns: u64, from: Sample) {
        let (rate, error) = (self.window.rate(), self.window.error());
        let change = rate / from.rate.max(1.0) - 1.0;
        let long = self.window.length_ns() >= LONGEST_WINDOW_NS;
        if self.connections < from.connections {
            let kept = rate >= self.best.max(from.rate) * (1.0 - LOSS);
            if kept && long {
                self.rest(at_ns, self.connections, Some(rate));
            } else if long || change < -LOSS - 2.0 * error {
                // One connection no more brings what it did.
                self.each = from.rate / from.connections as f64;
                self.go_back(at_ns, from);
            }
        } else if change > GAIN + error && (long || change > GAIN + 2.0 * error) {
            let here = Sample {
                connections: self.connections,
                rate,
            };
            self.interval_ns = FIRST_INTERVAL_NS;
            self.best = self.best.max(rate);
            self.climb(at_ns, vec![from, here]);
        } else if long || change < GAIN - 2.0 * error {
            self.go_back(at_ns, from);
        }
    }

    /// A probe that brought nothing; the next one comes later.
    fn go_back(&mut self, at_ns: u64, from: Sample) {
        self.interval_ns = (self.interval_ns * 2).min(LONGEST_INTERVAL_NS);
        self.rest(at_ns, from.connections, Some(from.rate));
    }
}

#[cfg(test)]
mod virtual_link;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copernicus_gets_the_four_that_it_allows() {
        let cdse = EndpointProfile::builtin("EODATA.dataspace.copernicus.eu");
        let bounds = Bounds::of(&cdse, None);
        assert_eq!((bounds.max, bounds.requests_per_minute), (4, Some(2_000)));
        assert_eq!(Bounds::of(&cdse, Some(16)).pinned, Some(4));
        let any = EndpointProfile::builtin("127.0.0.1");
        assert_eq!(Bounds::of(&any, None), Bounds::default());
    }
}
