//! Looking at the budget of an endpoint without a part in it: a copy of the segment is read, which
//! is neither made nor changed.

use serde::{Deserialize, Serialize};

use super::ground::{COUNT, Ground, MONTH};
use super::month::Month;
use super::name;
use crate::store::endpoint::EndpointProfile;
use crate::store::{StoreConfig, StoreError, state};
use crate::sys::clock::now_ns;
use crate::sys::words;

/// An endpoint whose budget can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Host and port.
    pub name: String,
    /// What it allows.
    pub limits: EndpointProfile,
}

/// How much of an endpoint's budget is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndpointUse {
    /// Connections held by anybody who lives; counted only where connections are limited.
    pub connections: u64,
    /// Of these, by the processes that were asked for.
    pub connections_of: u64,
    /// Parties that found no connection free a moment ago.
    pub waiting: u64,
    /// Bytes of this month, as far as this user's state directory and the segment know; at most
    /// the limit. `None` where there is none.
    pub month: Option<u64>,
}

impl Endpoint {
    /// The endpoint of a store, as its configuration wants it.
    ///
    /// # Errors
    /// `Config` where the endpoint is no URL.
    pub fn of(config: &StoreConfig) -> Result<Endpoint, StoreError> {
        let url = config.endpoint_url()?;
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        Ok(Endpoint {
            limits: EndpointProfile::builtin(host).with(&config.limits),
            name: format!("{host}:{port}"),
        })
    }

    /// How much is in use now, and how much of that by the processes `pids`. `None` where nobody
    /// on this machine has used the endpoint, or nothing is limited.
    pub fn used(&self, pids: &[u32]) -> Option<EndpointUse> {
        if self.limits.is_unlimited() {
            return None;
        }
        let endpoint = self.name.to_ascii_lowercase();
        let ground = Ground::copy(words::copy(&name(&endpoint), COUNT)?)?;
        let now = now_ns();
        let (connections, connections_of) = ground.held(pids);
        let month = self.limits.bytes_per_month.and_then(|limit| {
            let month = Month::new(state::directory("traffic"), &endpoint, limit);
            Some(limit.saturating_sub(month.left(ground.word(MONTH)?, now)))
        });
        Some(EndpointUse {
            connections,
            connections_of,
            waiting: ground.waiting(now),
            month,
        })
    }
}
