//! Which failures are worth another try, and when.

use std::time::Duration;

use crate::store::ErrorKind;

use super::error::FetchError;

/// Requests for one part before it is given up.
pub(super) const ATTEMPTS: u32 = 6;
/// The longest pause before the second request; doubled for each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Whether the same request may succeed later.
pub(super) fn worth_it(error: &FetchError) -> bool {
    match error {
        FetchError::Store(error) => matches!(
            error.kind(),
            ErrorKind::Unreachable | ErrorKind::Throttled | ErrorKind::Server | ErrorKind::Protocol
        ),
        FetchError::Short { .. } | FetchError::Long { .. } => true,
        FetchError::Staging { .. } | FetchError::InTheWay { .. } => false,
    }
}

/// The pause before request number `next` (from 2): what the store asks for, or a random part
/// (0 to 1) of a pause that doubles, so that many connections do not come back together.
pub(super) fn pause(error: &FetchError, next: u32, random: f64) -> Duration {
    if let FetchError::Store(error) = error
        && let Some(asked) = error.retry_after()
    {
        return asked.min(LONGEST_PAUSE);
    }
    let doubled = FIRST_PAUSE.saturating_mul(1 << next.saturating_sub(2).min(16));
    doubled.min(LONGEST_PAUSE).mul_f64(random.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::ByteRange;

    #[test]
    fn pauses_double_to_a_bound() {
        let short = FetchError::Short {
            range: ByteRange::new(0, 1),
            missing: 1,
        };
        let at = |next| pause(&short, next, 1.0);
        assert_eq!((at(2), at(3)), (FIRST_PAUSE, FIRST_PAUSE * 2));
        assert_eq!(at(60), LONGEST_PAUSE);
        assert_eq!(pause(&short, 5, 0.0), Duration::ZERO);
        assert!(worth_it(&short));
    }
}
