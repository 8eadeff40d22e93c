//! The one clock of a run: `CLOCK_MONOTONIC`, which all processes of a machine share.

use std::time::Duration;

/// Nanoseconds since an arbitrary point that is the same for every process of this boot.
pub fn now_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// A point in time after which a wait gives up; `None` waits for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Option<u64>);

impl Deadline {
    /// Never gives up.
    pub const NEVER: Deadline = Deadline(None);

    /// Gives up `timeout` from now; `None` never does.
    pub fn after(timeout: Option<Duration>) -> Deadline {
        Deadline(
            timeout
                .map(|t| now_ns().saturating_add(u64::try_from(t.as_nanos()).unwrap_or(u64::MAX))),
        )
    }

    /// Whether the point has passed.
    pub fn passed(self) -> bool {
        self.0.is_some_and(|at| now_ns() >= at)
    }

    /// The absolute nanoseconds at which to look again: the deadline, or `bound` from now if
    /// that is sooner.
    pub fn or_within(self, bound: Duration) -> u64 {
        let soon = now_ns().saturating_add(u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX));
        self.0.map_or(soon, |at| at.min(soon))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes_and_never_does_not() {
        assert!(Deadline::after(Some(Duration::ZERO)).passed());
        assert!(!Deadline::NEVER.passed());
        assert!(!Deadline::after(Some(Duration::from_secs(3600))).passed());
        assert!(Deadline::after(Some(Duration::MAX)).or_within(Duration::from_secs(1)) < u64::MAX);
    }
}
