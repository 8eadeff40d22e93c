//! What the coordinator keeps of the exporter of a run's metrics.

use std::net::{SocketAddr, TcpListener};
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
}
