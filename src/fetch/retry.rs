//! Which failures are worth another request, and when.

use std::time::Duration;

use crate::store::ErrorKind;

use super::backoff::{LONGEST_ASKED, doubled};
use super::control::Sign;
use super::error::FetchError;

/// Requests for one part before it is given up.
const ATTEMPTS: u32 = 6;
/// Requests for one part that is answered with what is no answer, or with a signature that is no longer good.
const STRANGE_ATTEMPTS: u32 = 3;

/// A URL that is signed within the same second is the same.
const NEW_SIGNATURE: Duration = Duration::from_millis(1100);

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// No connection, or one that was closed before an answer.
    Connect,
    /// No byte in time.
    Silent,
    /// The store asks to slow down.
    Throttled,
    /// The store failed.
    Server,
    /// The body ended early.
    Truncated,
    /// What came is not what was asked for.
    Strange,
    /// The signature is no longer good.
    Expired,
    /// The same request will always fail.
    Final,
}

impl Class {
    pub fn of(error: &FetchError) -> Class {
        match error {
            FetchError::Connect(_) => Class::Connect,
            FetchError::Silent(_) => Class::Silent,
            FetchError::Short { .. } => Class::Truncated,
            FetchError::Long { .. } => Class::Strange,
            FetchError::Corrupt { .. }
            | FetchError::Staging { .. }
            | FetchError::InTheWay { .. } => Class::Final,
            FetchError::Store(error) => match error.kind() {
                ErrorKind::Unreachable | ErrorKind::Server => Class::Server,
                ErrorKind::Throttled => Class::Throttled,
                ErrorKind::Protocol => Class::Strange,
                _ if error.wants_new_signature() => Class::Expired,
                _ => Class::Final,
            },
        }
    }

    /// What it tells of the number of connections.
    pub fn sign(self) -> Option<Sign> {
        match self {
            Class::Connect => Some(Sign::Refused),
            Class::Silent => Some(Sign::TimedOut),
            Class::Throttled => Some(Sign::Throttled),
            _ => None,
        }
    }

    /// Whether all connections of the endpoint have reason to pause.
    pub fn concerns_all(self) -> bool {
        matches!(self, Class::Connect | Class::Throttled)
    }

    /// Whether a part whose `failures`th request failed so is asked for again.
    pub fn worth_it(self, failures: u32) -> bool {
        match self {
            Class::Final => false,
            Class::Strange | Class::Expired => failures < STRANGE_ATTEMPTS,
            _ => failures < ATTEMPTS,
        }
    }
}

/// How long a store asks to wait.
pub(super) fn asked(error: &FetchError) -> Option<Duration> {
    match error {
        FetchError::Store(error) => error.retry_after().map(|asked| asked.min(LONGEST_ASKED)),
        _ => None,
    }
}

/// The pause after the `failures`th failure of a part: what the store asks for, or a random part
/// (0 to 1) of a pause that doubles, so that many do not come back together.
pub(super) fn pause(error: &FetchError, failures: u32, random: f64) -> Duration {
    match (asked(error), Class::of(error)) {
        (Some(asked), _) => asked,
        // Another connection can have it at once.
        (None, Class::Silent) => Duration::ZERO,
        (None, Class::Expired) => NEW_SIGNATURE,
        _ => doubled(failures.saturating_sub(1)).mul_f64(random.clamp(0.0, 1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;
    use crate::values::ByteRange;

    #[test]
    fn pauses_are_what_the_store_asks_for_or_grow() {
        let short = FetchError::Short {
            range: ByteRange::new(0, 1),
            missing: 1,
        };
        assert_eq!(pause(&short, 2, 1.0), doubled(1));
        assert_eq!(pause(&short, 5, 0.0), Duration::ZERO);
        assert!(Class::of(&short).worth_it(5) && !Class::of(&short).worth_it(6));
        let busy = |secs| {
            FetchError::Store(StoreError::Throttled {
                place: String::new(),
                status: 503,
                code: String::new(),
                retry_after: Some(Duration::from_secs(secs)),
            })
        };
        assert_eq!(pause(&busy(7), 1, 0.5), Duration::from_secs(7));
        assert_eq!(pause(&busy(3600), 1, 0.5), LONGEST_ASKED);
    }
}
