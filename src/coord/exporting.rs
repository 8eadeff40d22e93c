//! What the coordinator keeps of the exporter of a run's metrics.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Instant;

use crate::watch::About;

use super::config::RunError;

/// Where metrics are served, and what is known of their exporter.
pub(super) struct Exporting {
    pub listener: TcpListener,
    pub about: About,
    /// When the last exporter was started.
    pub started: Instant,
    /// How many ended in a row that had not lived well.
    pub deaths: u32,
    /// When one that died is to be replaced.
    pub due: Option<Instant>,
}

/// Takes the port, so that it is known before the run whether it can be had.
pub(super) fn listen(address: SocketAddr) -> Result<TcpListener, RunError> {
    TcpListener::bind(address).map_err(|source| RunError::Metrics { address, source })
}

impl Exporting {
    /// Metrics of this run on this listener.
    pub fn new(listener: TcpListener, about: About) -> Exporting {
        Exporting {
            listener,
            about,
            started: Instant::now(),
            deaths: 0,
            due: None,
        }
    }

    /// Nobody is to knock at the port any more. Other children have copies of the listener, so
    /// that closing this one would leave clients waiting.
    pub fn close(self) {
        let listener = TcpStream::from(OwnedFd::from(self.listener));
        // What does not listen any more needs no end.
        let _ = listener.shutdown(Shutdown::Both);
    }
}
