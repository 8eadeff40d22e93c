//! What all connections to one endpoint share.

use reqwest::Url;

use super::mover::Mover;
use super::proxy::Proxy;

/// The endpoint as its connections know it.
#[derive(Debug)]
pub(super) struct Origin {
    /// The host's name or address, without brackets.
    pub host: String,
    pub port: u16,
    /// The value of `Host`.
    pub authority: String,
    pub https: bool,
    pub proxy: Option<Proxy>,
    pub mover: Mover,
}

impl Origin {
    pub fn of(base: &Url, variable: impl Fn(&str) -> Option<String>) -> Result<Origin, String> {
        let host = base.host_str().unwrap_or_default();
        let authority = match base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Origin {
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: base.port_or_known_default().unwrap_or(80),
            authority,
            https: base.scheme() == "https",
            proxy: Proxy::of(base, variable)?,
            mover: Mover::new(),
        })
    }

    /// The proxy that reads the requests; one for https only passes them on.
    pub fn reading_proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|_| !self.https)
    }
}
