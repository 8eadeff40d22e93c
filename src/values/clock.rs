//! Points in time on the one clock of a run, in nanoseconds. Reading it is the business of `sys`.

use std::time::Duration;

/// A point in time after which a wait gives up; `None` waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<u64>);

impl Deadline {
    /// Never gives up.
    pub const NEVER: Deadline = Deadline(None);

    /// Gives up `timeout` after `now_ns`; `None` never does.
    pub fn after(now_ns: u64, timeout: Option<Duration>) -> Deadline {
        Deadline(timeout.map(|timeout| later(now_ns, timeout)))
    }

    /// The point in nanoseconds; `None` never comes.
    pub fn at(self) -> Option<u64> {
        self.0
    }

    /// Whether the point has passed at `now_ns`.
    pub fn passed(self, now_ns: u64) -> bool {
        self.0.is_some_and(|at| now_ns >= at)
    }

    /// The nanoseconds at which to look again: the deadline, or `bound` after `now_ns` if that is
    /// sooner.
    pub fn or_within(self, now_ns: u64, bound: Duration) -> u64 {
        let soon = later(now_ns, bound);
        self.0.map_or(soon, |at| at.min(soon))
    }
}

fn later(now_ns: u64, by: Duration) -> u64 {
    now_ns.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_and_never_does_not() {
        let second = Duration::from_secs(1);
        assert!(Deadline::after(7, Some(Duration::ZERO)).passed(7));
        assert!(!Deadline::after(7, Some(second)).passed(1_000_000_006));
        assert!(!Deadline::NEVER.passed(u64::MAX));
        assert_eq!(
            Deadline::after(7, Some(Duration::MAX)).or_within(7, second),
            1_000_000_007
        );
    }
}
