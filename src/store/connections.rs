//! The connections of a store's client, within what the endpoint allows.
//!
//! Where an endpoint counts connections, each is opened with the right to it and gives that back
//! when it is closed. To ask for that right, and to shake hands, for each request would make the
//! listing of some hundred products take longer than they take to come. So a connection stays open
//! for a moment after its answer, and the next request takes it. Each has a client of its own,
//! since that is how it can be closed: with its client.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use reqwest::Client;
use tokio::sync::Notify;

use super::client::Maker;
use super::{Budget, Lease, StoreError};
use crate::sys::clock::now_ns;

/// How often a connection that is not free is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How long after its answer a connection is free again: its client makes a second one for a
/// request that comes earlier.
const SETTLING: Duration = Duration::from_millis(2);
/// How long a connection that nobody uses stays open. Others may have it then.
const LINGER: Duration = Duration::from_millis(200);
/// How long a client gets to close its connection.
const CLOSING: Duration = Duration::from_millis(20);
/// A sign of life is given so often, also in a long wait.
const BEAT: Duration = Duration::from_secs(10);

/// What requests on a connection are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With small bodies, or none.
    Asking,
    /// With large ones: silence is allowed. Whoever makes such a request looks whether it still
    /// moves.
    Sending,
}

/// Connections; where they are not counted, a pool for each kind.
pub(super) struct Connections {
    budget: Budget,
    asking: (Maker, Client),
    sending: (Maker, Client),
    /// Those that nobody uses at the moment.
    idle: Mutex<Vec<Counted>>,
    back: Notify,
}

/// A connection, not opened yet perhaps, and the right to it.
struct Counted {
    kind: Kind,
    /// Both until it is dropped.
    parts: Option<(Client, Lease)>,
    since: Instant,
}

impl Connections {
    /// Connections within `budget`; pools keep up to `idle` of them to use again.
    pub fn new(budget: &Budget, maker: Maker, idle: usize) -> Result<Arc<Connections>, StoreError> {
        let idle = match budget.profile().connections {
            Some(_) => 0,
            None => idle,
        };
        let pooled = |maker: Maker| maker.client(idle).map(|pool| (maker, pool));
        Ok(Arc::new(Connections {
            asking: pooled(maker.clone())?,
            sending: pooled(maker.for_senders())?,
            budget: budget.clone(),
            idle: Mutex::default(),
            back: Notify::new(),
        }))
    }

    /// The pool for small requests. Where connections are counted it keeps none.
    pub fn pool(&self) -> &Client {
        &self.asking.1
    }

    /// Runs a request on a connection, when the endpoint allows it.
    pub async fn run<T, F>(
        self: &Arc<Self>,
        kind: Kind,
        request: impl FnOnce(Client) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        if self.budget.profile().connections.is_none() {
            self.paced().await;
            return request(self.of(kind).1.clone()).await;
        }
        let (counted, client) = self.take(kind).await?;
        self.paced().await;
        let answer = request(client).await;
        if answer.is_ok() {
            self.give(counted);
        }
        answer
    }

    fn of(&self, kind: Kind) -> &(Maker, Client) {
        match kind {
            Kind::Asking => &self.asking,
            Kind::Sending => &self.sending,
        }
    }

    /// Waits until one more request may be made.
    async fn paced(&self) {
        while let Err(wait) = self.budget.request(now_ns()) {
            tokio::time::sleep(Duration::from_nanos(wait).min(BEAT)).await;
        }
    }

    /// Waits for a connection: one that is open, or the right to a new one.
    async fn take(&self, kind: Kind) -> Result<(Counted, Client), StoreError> {
        let new = |lease| {
            let client = self.of(kind).0.client(1)?;
            Ok((Counted::new(kind, client.clone(), lease), client))
        };
        loop {
            if let Some((counted, client)) = self.idle_one(Some(kind)) {
                return Ok((counted, client));
            }
            if let Some(lease) = self.budget.connection() {
                return new(lease);
            }
            if let Some((counted, client)) = self.idle_one(None) {
                drop(client);
                if let Some(lease) = counted.close() {
                    tokio::time::sleep(CLOSING).await;
                    return new(lease);
                }
            }
            // Whichever comes first; one that was given back in between has left its mark.
            let _ = tokio::time::timeout(ASK_AGAIN, self.back.notified()).await;
        }
    }

    /// An open connection of this kind, or of any, that nobody uses or should have.
    fn idle_one(&self, kind: Option<Kind>) -> Option<(Counted, Client)> {
        loop {
            let mut idle = self.idle();
            let at = idle
                .iter()
                .rposition(|one| kind.is_none_or(|kind| kind == one.kind))?;
            let counted = idle.remove(at);
            drop(idle);
            if let Some(client) = counted.usable() {
                return Some((counted, client));
            }
        }
    }

    /// Keeps a connection whose answer was read, for a while, unless somebody else should have it.
    fn give(self: &Arc<Self>, mut counted: Counted) {
        if counted.usable().is_none() {
            return;
        }
        let connections = Arc::downgrade(self);
        tokio::spawn(async move {
            tokio::time::sleep(SETTLING).await;
            let Some(its) = connections.upgrade() else {
                return;
            };
            counted.since = Instant::now();
            its.idle().push(counted);
            its.back.notify_one();
            drop(its);
            tokio::time::sleep(LINGER).await;
            if let Some(its) = connections.upgrade() {
                its.idle()
                    .retain(|counted| counted.since.elapsed() < LINGER);
            }
        });
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Counted>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn new(kind: Kind, client: Client, lease: Lease) -> Counted {
        Counted {
            kind,
            parts: Some((client, lease)),
            since: Instant::now(),
        }
    }

    /// Its client, unless somebody else should have the connection.
    fn usable(&self) -> Option<Client> {
        let (client, lease) = self.parts.as_ref()?;
        (!lease.wanted_back(now_ns())).then(|| client.clone())
    }

    /// Begins to close the connection, and keeps the right to it.
    fn close(mut self) -> Option<Lease> {
        self.parts.take().map(|(_, lease)| lease)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((client, lease)) = self.parts.take() else {
            return;
        };
        drop(client);
        // The connection is closed by a task of its own, a moment after its client is gone.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(CLOSING).await;
                drop(lease);
            });
        }
    }
}
