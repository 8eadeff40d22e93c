//! How large a part is: a second or two of one connection's time, within the request budget.

use crate::values::Limits;

const GRAIN: u64 = 1 << Limits::GRAIN_SHIFT;
/// Bytes of a part before anything is known.
const FIRST: u64 = 8 * GRAIN;
const SMALLEST: u64 = 4 * GRAIN;
/// Larger parts save nothing more, and are slower to come back to when a connection breaks.
const LARGEST: u64 = 64 * GRAIN;
/// With a request budget parts may be this large.
const LARGEST_IN_BUDGET: u64 = 1024 * GRAIN;
/// How long one connection is to work on a part: many round trips, so that the one in which it
/// waits for the answer costs little.
const SECONDS_OF_A_PART: f64 = 1.5;
const LOOK_NS: u64 = 500_000_000;
/// The share of the request budget from which parts grow, and the one that they aim at.
const CROWDED: f64 = 0.75;
const AIM: f64 = 0.6;

/// The part size and what it follows from.
#[derive(Clone, Debug)]
pub(super) struct PartSize {
    requests_per_minute: Option<u32>,
    bytes: u64,
    /// What the request budget or an endpoint that throttles asks for at least.
    at_least: f64,
    /// Time, bytes and answered requests at the beginning of the current stretch.
    since: Option<(u64, u64, u64)>,
    /// Bytes per second of one connection, smoothed.
    connection_rate: Option<f64>,
}

impl PartSize {
    pub fn new(requests_per_minute: Option<u32>) -> PartSize {
        PartSize {
            requests_per_minute: requests_per_minute.filter(|requests| *requests > 0),
            bytes: FIRST,
            at_least: 0.0,
            since: None,
            connection_rate: None,
        }
    }

    /// Bytes, a multiple of a grain.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// `bytes` and `answered` count since the start of the program.
    pub fn look(&mut self, at_ns: u64, bytes: u64, answered: u64, busy: usize, starved: bool) {
        let Some((begun, had, had_answered)) = self.since else {
            self.since = Some((at_ns, bytes, answered));
            return;
        };
        let passed = at_ns.saturating_sub(begun);
        if passed < LOOK_NS {
            return;
        }
        self.since = Some((at_ns, bytes, answered));
        let seconds = passed as f64 / 1e9;
        let came = bytes.saturating_sub(had) as f64;
        let requests = answered.saturating_sub(had_answered) as f64;
        if busy == 0 || came == 0.0 {
            return;
        }
        let rate = came / seconds / busy as f64;
        let smooth = self
            .connection_rate
            .map_or(rate, |before| before + 0.4 * (rate - before));
        self.connection_rate = Some(smooth);
        self.keep_to_the_budget(requests / seconds, came / requests.max(1.0));
        // At the end of the work small parts give all connections something to do.
        let wanted = match starved {
            true => SMALLEST as f64,
            false => (smooth * SECONDS_OF_A_PART).clamp(SMALLEST as f64, LARGEST as f64),
        };
        let wanted = wanted.max(self.at_least);
        let now = self.bytes as f64;
        if wanted > now * 1.2 || wanted < now / 1.5 {
            self.bytes = ((wanted / GRAIN as f64).ceil() as u64).max(1) * GRAIN;
        }
    }

    /// Lets the least size grow while requests come near the budget, and lets it go afterwards.
    fn keep_to_the_budget(&mut self, requests_per_second: f64, bytes_of_a_request: f64) {
        let share = self
            .requests_per_minute
            .map_or(0.0, |budget| requests_per_second * 60.0 / f64::from(budget));
        // Where nearly all requests are for whole small objects larger parts change nothing.
        let parts_count = bytes_of_a_request > self.bytes as f64 / 8.0;
        if share > CROWDED && parts_count {
            let grown = self.bytes as f64 * (share / AIM).clamp(1.0, 4.0);
            self.at_least = self.at_least.max(grown).min(LARGEST_IN_BUDGET as f64);
        } else if share < AIM / 2.0 {
            self.at_least *= 0.98;
        }
    }

    /// The endpoint throttles: whatever its budget is, fewer and larger requests spare it.
    pub fn throttled(&mut self) {
        let grown = (self.bytes * 2).min(LARGEST.max(self.bytes));
        self.at_least = self.at_least.max(grown as f64);
    }
}
