//! Requests of an upload: when they begin, what is tried again, when they are called off.

use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::Client;

use super::Inner;
use crate::store::connections::Kind;
use crate::store::{ErrorKind, StoreError};
use crate::sys::clock::jitter;

const ATTEMPTS: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// No longer pause than this is made when a store asks for it.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// How often a long request gives a sign of life to the endpoint's budget.
const BEAT: Duration = Duration::from_secs(30);

/// Whether [`Inner::tried`] ends when the uploads are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stoppable {
    Yes,
    /// What the store does then could not be undone, or it undoes something.
    No,
}

impl Inner {
    /// Makes a request of this kind, again and again where that may help. Pauses that the store
    /// wants, or that a broken connection suggests, are made by all uploads.
    pub async fn tried<T, F>(
        &self,
        place: &str,
        stoppable: Stoppable,
        kind: Kind,
        mut request: impl FnMut(Client) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut failures = 0;
        loop {
            let turn = async {
                self.quiet().await;
                let _permit = self.requests.acquire().await;
                self.store.fresh().await?;
                self.store.connections().run(kind, &mut request).await
            };
            let outcome = match stoppable {
                Stoppable::No => turn.await,
                Stoppable::Yes => tokio::select! {
                    biased;
                    () = self.is_stopped() => return Err(StoreError::Stopped { place: place.to_owned() }),
                    outcome = turn => outcome,
                },
            };
            let error = match outcome {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failures += 1;
            let (passes, concerns_all) = match error.kind() {
                ErrorKind::Throttled | ErrorKind::Unreachable => (true, true),
                ErrorKind::Server => (!not_implemented(&error), false),
                _ => (false, false),
            };
            if !passes || failures >= ATTEMPTS {
                return Err(error);
            }
            tracing::debug!(failures, %error, "trying again");
            let pause = match error.retry_after() {
                Some(asked) => asked.min(LONGEST_ASKED),
                None => pause_after(failures).mul_f64(jitter()),
            };
            if concerns_all {
                let until = Instant::now() + pause;
                let mut quiet = self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
                *quiet = until.max(*quiet);
            } else {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Returns when requests may begin.
    async fn quiet(&self) {
        loop {
            let until = *self.quiet.lock().unwrap_or_else(PoisonError::into_inner);
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until.into()).await;
        }
    }

    /// Returns when the uploads are stopped.
    async fn is_stopped(&self) {
        let mut stop = self.stop.subscribe();
        // The sender lives as long as this.
        let _ = stop.wait_for(|stop| *stop).await;
    }

    /// Runs a request, and gives up when `sent` has not grown for long.
    pub async fn watched<T>(
        &self,
        place: &str,
        sent: &AtomicU64,
        request: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        // A store may be slow to answer for what it has just received.
        let patience = self.store.config().stall_timeout * 2;
        let silence = async {
            let (mut last, mut since) = (sent.load(Ordering::Relaxed), Instant::now());
            loop {
                tokio::time::sleep(patience.min(BEAT)).await;
                self.store.budget().beat();
                let now = sent.load(Ordering::Relaxed);
                if now != last {
                    (last, since) = (now, Instant::now());
                } else if since.elapsed() >= patience {
                    return;
                }
            }
        };
        tokio::select! {
            outcome = request => outcome,
            () = silence => Err(StoreError::Unreachable {
                place: place.to_owned(),
                detail: format!("nothing moved for {patience:.0?}"),
            }),
        }
    }
}

/// The longest pause after so many failures.
fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE
        .saturating_mul(1 << failures.saturating_sub(1).min(16))
        .min(LONGEST_PAUSE)
}

/// Whether the store does not know what it was asked for.
pub(super) fn not_implemented(error: &StoreError) -> bool {
    matches!(error, StoreError::Server { status: 501, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        assert_eq!(pause_after(1), FIRST_PAUSE);
        assert_eq!(pause_after(2), FIRST_PAUSE * 2);
        assert_eq!(pause_after(40), LONGEST_PAUSE);
    }
}
