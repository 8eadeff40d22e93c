//! Rates on one word: the time at which, at an even pace, all that was taken so far would have
//! been due. Taking is one compare-and-swap of that time.

use crate::sys::sync::{AtomicU64, Ordering};

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;

/// No requests are booked further ahead than this, so a later time is damage and begins anew.
const FAR_REQUESTS: u64 = 2 * MINUTE;
/// The same for bytes, of which each connection books what it has just read.
const FAR_BYTES: u64 = 10 * MINUTE;
/// How much of an idle time is made up for: as much as makes up for late timers.
const CREDIT: u64 = SECOND / 10;

/// So many requests in any minute, on a word of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestRate {
    /// Nanoseconds from request to request.
    interval: u64,
    /// How far ahead of that pace requests may be.
    ahead: u64,
}

impl RequestRate {
    /// `per_minute` requests in any minute, at least 1. A twentieth of them may come at once;
    /// the pace is slower by as much, so that no minute has more, wherever it begins.
    pub fn new(per_minute: u32) -> RequestRate {
        let per_minute = u64::from(per_minute.max(1));
        let burst = (per_minute / 20).max(1);
        let interval = MINUTE.div_ceil(per_minute - burst + 1);
        RequestRate {
            interval,
            ahead: (burst - 1) * interval,
        }
    }

    /// Takes one request, or says how many nanoseconds to wait before asking again.
    pub fn take(self, word: &AtomicU64, now: u64) -> Result<(), u64> {
        let mut seen = word.load(Ordering::SeqCst);
        loop {
            let due = plausible(seen, now, FAR_REQUESTS).max(now);
            let lead = due - now;
            if lead > self.ahead {
                return Err(lead - self.ahead);
            }
            let next = due.saturating_add(self.interval);
            match word.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
    }
}

/// Books `bytes` that came, at `per_second` (at least 1); how many nanoseconds to pause.
pub(super) fn book(word: &AtomicU64, bytes: u64, per_second: u64, now: u64) -> u64 {
    let cost = u128::from(bytes) * u128::from(SECOND) / u128::from(per_second.max(1));
    let cost = u64::try_from(cost).unwrap_or(FAR_BYTES).min(FAR_BYTES);
    let mut seen = word.load(Ordering::SeqCst);
    loop {
        let due = plausible(seen, now, FAR_BYTES).max(now.saturating_sub(CREDIT));
        let next = due.saturating_add(cost);
        match word.compare_exchange_weak(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => return next.saturating_sub(now),
            Err(other) => seen = other,
        }
    }
}

/// The time that a word says, unless that cannot be.
fn plausible(time: u64, now: u64, far: u64) -> u64 {
    if time > now.saturating_add(far) {
        0
    } else {
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000 * SECOND;

    /// Asks as often as it may; when each request was let through.
    fn greedy(rate: RequestRate, seconds: u64) -> Vec<u64> {
        let word = AtomicU64::new(0);
        let (mut now, mut taken) = (START, Vec::new());
        while now < START + seconds * SECOND {
            match rate.take(&word, now) {
                Ok(()) => taken.push(now),
                Err(wait) => {
                    assert!(wait > 0);
                    now += wait;
                }
            }
        }
        taken
    }

    #[test]
    fn no_minute_has_more_and_little_is_given_away() {
        for per_minute in [1, 2, 19, 20, 60, 2_000, 100_000] {
            let taken = greedy(RequestRate::new(per_minute), 240);
            let most = taken
                .iter()
                .map(|from| {
                    let end = taken.partition_point(|t| *t < from + MINUTE);
                    end - taken.partition_point(|t| t < from)
                })
                .max()
                .unwrap();
            assert!(most <= per_minute as usize, "{per_minute}: {most}");
            let least = 4 * per_minute as usize * 9 / 10;
            assert!(taken.len() >= least, "{per_minute}: {}", taken.len());
        }
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let rate = RequestRate::new(100);
        let word = AtomicU64::new(0);
        rate.take(&word, START).unwrap();
        let later = START + 3600 * SECOND;
        let at_once = (0..100).take_while(|_| rate.take(&word, later).is_ok());
        assert_eq!(at_once.count(), 5);
    }

    #[test]
    fn bytes_come_at_their_rate() {
        let word = AtomicU64::new(0);
        let (mut now, mut bytes) = (START, 0u64);
        while now < START + 10 * SECOND {
            let pause = book(&word, 65_536, 20_000_000, now);
            bytes += 65_536;
            // A timer that is a little late is made up for.
            now += if pause == 0 { 1 } else { pause + 900_000 };
        }
        let rate = bytes as f64 / 10.0;
        assert!((19_500_000.0..=20_300_000.0).contains(&rate), "{rate}");
        // Two connections share it.
        let now = START + 3600 * SECOND;
        let first = book(&word, 20_000_000, 20_000_000, now);
        let second = book(&word, 20_000_000, 20_000_000, now);
        assert_eq!((first, second), (SECOND - CREDIT, 2 * SECOND - CREDIT));
    }

    #[test]
    fn any_word_lets_somebody_through_in_bounded_time() {
        for seen in [
            0,
            1,
            START - 1,
            START + MINUTE,
            START + FAR_BYTES,
            u64::MAX / 2,
            u64::MAX,
        ] {
            for per_minute in [1, 60, 2_000] {
                let word = AtomicU64::new(seen);
                let wait = RequestRate::new(per_minute).take(&word, START);
                assert!(
                    wait.is_ok() || wait.is_err_and(|w| w <= FAR_REQUESTS),
                    "{seen}"
                );
            }
            let word = AtomicU64::new(seen);
            assert!(book(&word, u64::MAX, 1, START) <= 2 * FAR_BYTES, "{seen}");
            // And with a clock that is at its end.
            assert!(RequestRate::new(5).take(&word, u64::MAX).is_ok());
            book(&word, 1, 1, u64::MAX);
        }
    }
}
