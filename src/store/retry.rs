//! A few further attempts for small requests: listings, metadata, parts of an upload.

use std::future::Future;
use std::time::{Duration, Instant};

use super::{ErrorKind, StoreError};
use crate::sys::clock::jitter;

const ATTEMPTS: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// No further attempt begins after this long, and no longer wait than this is accepted. A store
/// that is silent for half a minute is asked a second time.
const PATIENCE: Duration = Duration::from_secs(60);

/// A URL that is signed within the same second is the same.
const NEW_SIGNATURE: Duration = Duration::from_millis(1100);

/// Runs `request` until it succeeds, fails for good, or has been tried four times within a
/// minute. A wait that the store asks for is kept.
pub(super) async fn retried<T, F>(mut request: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let started = Instant::now();
    let mut delay = FIRST_DELAY;
    let mut attempt = 1;
    loop {
        let error = match request().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let passing = matches!(
            error.kind(),
            ErrorKind::Unreachable | ErrorKind::Throttled | ErrorKind::Server
        );
        let wait = match error.wants_new_signature() {
            true => NEW_SIGNATURE,
            false => error.retry_after().unwrap_or_else(|| jittered(delay)),
        };
        if !passing && !error.wants_new_signature()
            || attempt == ATTEMPTS
            || started.elapsed() + wait > PATIENCE
        {
            return Err(error);
        }
        tracing::debug!(attempt, %error, "trying again");
        tokio::time::sleep(wait).await;
        delay *= 3;
        attempt += 1;
    }
}

/// Between half of `delay` and all of it.
fn jittered(delay: Duration) -> Duration {
    delay / 2 + delay.mul_f64(jitter() / 2.0)
}
