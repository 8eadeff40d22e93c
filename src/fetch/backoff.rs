//! What all connections to an endpoint keep together: pauses, and a budget for retries.
//!
//! When the store asks to slow down, or cannot be reached, no new request begins for a while, on
//! any connection; the pause doubles with each further trouble. After it one request goes ahead,
//! and the others follow when that is answered. Troubles of requests that began before the pause
//! are the same trouble. Retries are taken from a budget that good answers fill, so that a store
//! in trouble sees hardly more requests than one that is well.

use std::time::{Duration, Instant};

/// The longest first pause; doubled by each further trouble.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause that this side chooses.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// The longest pause that the store may ask for.
pub(super) const LONGEST_ASKED: Duration = Duration::from_secs(60);
/// How long the request that goes ahead may take before another one does.
const PATIENCE: Duration = Duration::from_secs(5);

/// An endpoint from which nothing but trouble came for so long gets no more retries.
const HOPELESS: Duration = Duration::from_secs(60);

/// Retries that are allowed at once.
const RETRIES: f64 = 32.0;
/// Retries that a good answer allows.
const PER_ANSWER: f64 = 0.15;
/// Retries that a second allows.
const PER_SECOND: f64 = 1.0;

/// The state of an endpoint, as this downloader sees it.
#[derive(Debug)]
pub(super) struct Backoff {
    /// Troubles since the last good answer.
    troubles: u32,
    /// When the first of them came.
    first: Instant,
    quiet_since: Instant,
    quiet_until: Instant,
    /// When the request that goes ahead began.
    ahead: Option<Instant>,
    retries: f64,
    filled: Instant,
}

impl Backoff {
    pub fn new(now: Instant) -> Backoff {
        Backoff {
            troubles: 0,
            first: now,
            quiet_since: now,
            quiet_until: now,
            ahead: None,
            retries: RETRIES,
            filled: now,
        }
    }

    /// Whether a request may begin now.
    pub fn open(&self, now: Instant) -> bool {
        let ahead = |begun| now.saturating_duration_since(begun) < PATIENCE;
        self.troubles == 0 || now >= self.quiet_until && !self.ahead.is_some_and(ahead)
    }

    /// A request begins.
    pub fn begins(&mut self, now: Instant) {
        if self.troubles > 0 {
            self.ahead = Some(now);
        }
    }

    /// A request that began at `begun` met with trouble. `asked` is a pause that the store asks
    /// for, `random` (0 to 1) a part of the one that this side chooses.
    pub fn trouble(&mut self, now: Instant, begun: Instant, asked: Option<Duration>, random: f64) {
        let pause = match asked {
            Some(asked) => asked.min(LONGEST_ASKED),
            None if self.troubles > 0 && begun <= self.quiet_since => return,
            None => doubled(self.troubles).mul_f64(random.clamp(0.0, 1.0)),
        };
        if self.troubles == 0 {
            self.first = now;
        }
        self.quiet_until = self.quiet_until.max(now + pause);
        self.quiet_since = now;
        self.troubles += 1;
        self.ahead = None;
    }

    /// A request that began at `begun` was answered as it should be.
    pub fn answered(&mut self, begun: Instant) {
        self.retries = (self.retries + PER_ANSWER).min(RETRIES);
        if self.troubles > 0 && begun > self.quiet_since {
            self.troubles = 0;
            self.ahead = None;
        }
    }

    /// Whether there was nothing but trouble for a long time. With one request after the other
    /// and long pauses between them, many objects would else take hours to fail.
    pub fn hopeless(&self, now: Instant) -> bool {
        self.troubles > 0 && now.saturating_duration_since(self.first) >= HOPELESS
    }

    /// Takes a retry from the budget.
    pub fn retry(&mut self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.retries = (self.retries + since * PER_SECOND).min(RETRIES);
        let may = self.retries >= 1.0;
        if may {
            self.retries -= 1.0;
        }
        may
    }
}

/// A pause that doubles with each failure before it.
pub(super) fn doubled(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << failures.min(16))
        .min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn pauses_double_to_a_bound() {
        assert_eq!((doubled(0), doubled(1)), (FIRST_PAUSE, FIRST_PAUSE * 2));
        assert_eq!(doubled(60), LONGEST_PAUSE);
    }

    #[test]
    fn one_trouble_is_shared_and_one_request_goes_ahead() {
        let t0 = Instant::now();
        let mut shared = Backoff::new(t0);
        assert!(shared.open(t0));
        shared.trouble(t0 + MS, t0, None, 1.0);
        // Sixteen requests under way fail for the same reason.
        for _ in 0..15 {
            shared.trouble(t0 + 2 * MS, t0, None, 1.0);
        }
        let end = t0 + MS + FIRST_PAUSE;
        assert!(!shared.open(end - MS) && shared.open(end));
        shared.begins(end);
        assert!(!shared.open(end + MS), "the others wait for the first");
        shared.answered(end);
        assert!(shared.open(end + MS));
    }

    #[test]
    fn further_troubles_double_the_pause_and_the_store_may_ask_for_one() {
        let t0 = Instant::now();
        let mut shared = Backoff::new(t0);
        shared.trouble(t0, t0, None, 1.0);
        let second = t0 + FIRST_PAUSE;
        shared.begins(second);
        shared.trouble(second + MS, second, None, 1.0);
        assert!(!shared.open(second + MS + FIRST_PAUSE));
        assert!(shared.open(second + MS + 2 * FIRST_PAUSE));
        shared.trouble(second, t0, Some(Duration::from_secs(7)), 0.0);
        assert!(!shared.open(second + Duration::from_secs(6)));
        shared.trouble(second, t0, Some(Duration::from_secs(7000)), 0.0);
        assert!(shared.open(second + LONGEST_ASKED));
        // One that is never answered does not hold the others back for ever.
        shared.begins(second + LONGEST_ASKED);
        assert!(shared.open(second + LONGEST_ASKED + PATIENCE));
    }

    #[test]
    fn nothing_but_trouble_for_a_minute_is_enough() {
        let t0 = Instant::now();
        let mut shared = Backoff::new(t0);
        shared.trouble(t0, t0, None, 1.0);
        shared.trouble(t0 + HOPELESS - MS, t0 + MS, None, 1.0);
        assert!(!shared.hopeless(t0 + HOPELESS - MS) && shared.hopeless(t0 + HOPELESS));
        shared.answered(t0 + HOPELESS);
        assert!(!shared.hopeless(t0 + HOPELESS));
        shared.trouble(t0 + 2 * HOPELESS, t0 + 2 * HOPELESS, None, 1.0);
        assert!(!shared.hopeless(t0 + 3 * HOPELESS - MS));
    }

    #[test]
    fn retries_are_a_share_of_the_answers_and_a_floor() {
        let t0 = Instant::now();
        let mut shared = Backoff::new(t0);
        let all = (0..1000).filter(|_| shared.retry(t0)).count();
        assert_eq!(all as f64, RETRIES);
        for _ in 0..100 {
            shared.answered(t0);
        }
        let share = (0..1000).filter(|_| shared.retry(t0)).count();
        assert!((14..=15).contains(&share), "{share}");
        assert!(shared.retry(t0 + Duration::from_secs(1)));
    }
}
