//! Making connections to an endpoint.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::WireError;
use super::connection::{Connection, Stream};
use super::origin::Origin;
use super::proxy::Proxy;

/// How long one of several addresses may take.
const EACH: Duration = Duration::from_secs(3);

/// Makes connections to one endpoint. For one thread.
pub(in crate::fetch) struct Wire {
    origin: Rc<Origin>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    /// Which address the next connection goes to, where there are several.
    turn: Cell<usize>,
}

impl Wire {
    /// For the endpoint of `base`. `tls` is asked for https only.
    ///
    /// # Errors
    /// What is wrong with the environment's proxy, or with TLS.
    pub fn new(
        base: &Url,
        tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
    ) -> Result<Wire, String> {
        Wire::within(base, tls, |name| std::env::var(name).ok())
    }

    /// The same with other variables than those of the environment.
    pub(super) fn within(
        base: &Url,
        tls: impl FnOnce() -> Result<Arc<ClientConfig>, String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Wire, String> {
        let origin = Origin::of(base, variable)?;
        let tls = match origin.https {
            true => {
                let host = &origin.host;
                let name = ServerName::try_from(host.clone())
                    .map_err(|_| format!("{host} is no name that a certificate can have"))?;
                Some((TlsConnector::from(tls()?), name))
            }
            false => None,
        };
        Ok(Wire {
            origin: Rc::new(origin),
            tls,
            turn: Cell::new(0),
        })
    }

    /// Nanoseconds spent on writing to files since this was asked last.
    pub fn writing_ns(&self) -> u64 {
        self.origin.mover.writing_ns()
    }

    /// A new connection, to an address that is looked up anew.
    pub async fn connect(&self) -> Result<Connection, WireError> {
        let origin = &self.origin;
        let (host, port) = match &origin.proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (origin.host.as_str(), origin.port),
        };
        let failed = |what: &str| {
            let what = format!("{host}:{port}: {what}");
            move |source: io::Error| WireError::Connect { what, source }
        };
        let found = tokio::net::lookup_host((host, port)).await;
        let addresses = self.in_turn(found.map_err(failed("no address"))?.collect());
        let mut tcp = Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
        for (at, address) in addresses.iter().enumerate() {
            let connecting = TcpStream::connect(address);
            tcp = match at + 1 == addresses.len() {
                // Whoever waits for the connection says how long.
                true => connecting.await,
                false => tokio::time::timeout(EACH, connecting)
                    .await
                    .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            };
            if tcp.is_ok() {
                break;
            }
        }
        let tcp = tcp.map_err(failed("no connection"))?;
        tcp.set_nodelay(true).map_err(failed("no connection"))?;
        let mut plain = Connection::new(Stream::Plain(tcp), Rc::clone(origin));
        let Some((connector, name)) = &self.tls else {
            return Ok(plain);
        };
        if let Some(proxy) = &origin.proxy {
            self.tunnel(&mut plain, proxy).await?;
        }
        let Some(tcp) = plain.into_plain() else {
            return Err(WireError::Answer("more than its head came".to_owned()));
        };
        let tls = connector.connect(name.clone(), tcp).await;
        let tls = tls.map_err(failed("TLS"))?;
        Ok(Connection::new(
            Stream::Tls(Box::new(tls)),
            Rc::clone(origin),
        ))
    }

    /// The addresses in the order in which this connection tries them: those of the first one's
    /// family take turns, since a store behind many addresses serves each with a limit.
    fn in_turn(&self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let Some(first) = addresses.first().map(SocketAddr::is_ipv4) else {
            return addresses;
        };
        addresses.sort_by_key(|address| address.is_ipv4() != first);
        let like = addresses.partition_point(|address| address.is_ipv4() == first);
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        addresses[..like].rotate_left(turn % like);
        addresses
    }

    /// Asks a proxy for a connection to the origin.
    async fn tunnel(&self, connection: &mut Connection, proxy: &Proxy) -> Result<(), WireError> {
        let (host, port) = (&self.origin.host, self.origin.port);
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host.clone(),
        };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(authorization) = &proxy.authorization {
            request += &format!("Proxy-Authorization: {authorization}\r\n");
        }
        request += "\r\n";
        connection.send(request.as_bytes()).await?;
        let status = connection.head().await?.status;
        match status {
            200..=299 => Ok(()),
            _ => Err(WireError::Connect {
                what: format!(
                    "no connection through the proxy {}:{}",
                    proxy.host, proxy.port
                ),
                source: io::Error::other(format!("HTTP {status}")),
            }),
        }
    }
}
