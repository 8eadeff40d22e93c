//! The HTTP clients of a store: plain HTTP/1.1, no redirects, no retries of their own.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Url};
use rustls::ClientConfig;

use super::config::is_loopback;
use super::{StoreConfig, StoreError, answer};

/// How long a connection may take to be made, TLS included, where silence may last longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes clients of one kind.
#[derive(Clone)]
pub(super) struct Maker {
    tls: Arc<ClientConfig>,
    connecting: Duration,
    /// How long nothing may come of an answer.
    silence: Option<Duration>,
    /// Proxies of the environment are for others.
    on_this_machine: bool,
}

impl Maker {
    pub fn new(config: &StoreConfig, base: &Url, tls: &Arc<ClientConfig>) -> Maker {
        Maker {
            tls: Arc::clone(tls),
            connecting: CONNECT_TIMEOUT.min(config.stall_timeout),
            silence: Some(config.stall_timeout),
            on_this_machine: is_loopback(base),
        }
    }

    /// The same for requests with large bodies: nothing comes from the store while much is sent
    /// to it.
    pub fn for_senders(mut self) -> Maker {
        self.silence = None;
        self
    }

    /// A client that keeps up to `idle` idle connections to use again.
    pub fn client(&self, idle: usize) -> Result<Client, StoreError> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured((*self.tls).clone())
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .user_agent(concat!("cotec/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connecting)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(idle);
        if let Some(silence) = self.silence {
            builder = builder.read_timeout(silence);
        }
        if self.on_this_machine {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|e| {
            StoreError::config(format!(
                "the HTTP client cannot be set up: {}; check --ca-bundle and the proxies of the environment",
                answer::root_cause(&e)
            ))
        })
    }
}
