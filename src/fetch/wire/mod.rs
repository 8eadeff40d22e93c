//! HTTP/1.1 for one purpose: ranges of objects, from a socket into a file.
//!
//! A [`Wire`] makes connections to one origin; a [`Connection`] asks for one range after the
//! other and lands each body in a file. Over plain HTTP the bytes go from the socket to the file
//! without passing through this process (`splice`); over TLS through one buffer that all
//! connections share. No redirect is followed, and no time limit is kept here: whoever waits for a
//! connection decides how long.

mod chunked;
mod connect;
mod connection;
mod head;
mod mover;
mod origin;
mod proxy;

use std::io;

pub(super) use connect::Wire;
pub(super) use connection::{Ask, Connection};
pub(super) use head::Head;

/// Why an answer or its body did not come.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// No connection could be made.
    #[error("{what}: {source}")]
    Connect {
        /// What was tried.
        what: String,
        /// What happened.
        source: io::Error,
    },
    /// The connection was closed before a byte of the answer came; a connection that is used again
    /// may have been closed while it was idle.
    #[error("the connection was closed before an answer came")]
    Closed,
    /// The connection broke, or ended before the body did.
    #[error("the connection broke ({0})")]
    Broken(String),
    /// What came is not HTTP.
    #[error("the answer is not HTTP ({0})")]
    Answer(String),
    /// The body goes on after its end.
    #[error("the answer is longer than what was asked for")]
    Long,
    /// The landing file could not be written.
    #[error(transparent)]
    File(io::Error),
}

impl WireError {
    fn broken(error: &io::Error) -> WireError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => WireError::Broken("it ended early".to_owned()),
            _ => WireError::Broken(error.to_string()),
        }
    }
}

/// The head that a text is, for the tests of those who look at heads.
#[cfg(test)]
pub(super) fn head_of(text: &str) -> Head {
    head::parse(text.as_bytes()).unwrap().unwrap().0
}

#[cfg(test)]
mod tests;
