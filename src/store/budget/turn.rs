//! A budget for clients that make their connections themselves: a turn is a connection and a
//! request in one.

use std::time::Duration;

use super::{Budget, Lease};
use crate::sys::clock::now_ns;

/// How often a connection that is not free is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long a client gets to close its connection after the answer's end.
const CLOSING: Duration = Duration::from_millis(20);

/// The right to one connection and one request on it, until the answer was read.
#[derive(Debug)]
pub struct Turn {
    lease: Option<Lease>,
}

impl Budget {
    /// Waits for a turn. Needs a tokio runtime with time.
    pub async fn turn(&self) -> Turn {
        let lease = loop {
            match self.connection() {
                Some(lease) => break lease,
                None => tokio::time::sleep(ASK_AGAIN).await,
            }
        };
        while let Err(wait) = self.request(now_ns()) {
            // Now and then a sign of life, also in a long wait.
            let wait = Duration::from_nanos(wait).min(Duration::from_secs(10));
            tokio::time::sleep(wait).await;
        }
        Turn { lease: Some(lease) }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        // The client closes the connection on its own, a moment after the end of the answer.
        if let (true, Ok(runtime)) = (lease.counts(), tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                tokio::time::sleep(CLOSING).await;
                drop(lease);
            });
        }
    }
}
