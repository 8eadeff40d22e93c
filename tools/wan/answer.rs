//! Answers as the line sends them: a head, and a body that is never in memory as a whole.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::sync::OnceLock;

use super::dice::mix;

/// Bytes of the pattern that all synthetic objects are cut from; a prime, so that objects of
/// round sizes do not repeat at round places.
const PATTERN: usize = 1_048_573;

fn pattern() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| {
        let words = (0..PATTERN.div_ceil(8) as u64).flat_map(|n| mix(n + 1).to_le_bytes());
        words.take(PATTERN).collect()
    })
}

/// What follows the head.
#[derive(Debug)]
pub enum Body {
    /// Bytes that were made for this answer.
    Text(Vec<u8>),
    /// Bytes of a synthetic object: byte n of the object with this number is byte
    /// (n + number) of the pattern, which repeats.
    Synthetic { number: u64, from: u64, length: u64 },
}

/// An answer on its way.
#[derive(Debug)]
pub struct Answer {
    head: Vec<u8>,
    body: Body,
    sent: u64,
    /// Close the connection behind it.
    pub close: bool,
}

impl Answer {
    pub fn new(head: Vec<u8>, body: Body, close: bool) -> Answer {
        Answer {
            head,
            body,
            sent: 0,
            close,
        }
    }

    /// A status with a short text, and more header lines if any, each with its line end.
    pub fn status(status: u16, reason: &str, more: &str, close: bool) -> Answer {
        let text = format!("<Error><Code>{reason}</Code><Message>by wan</Message></Error>");
        let connection = if close { "Connection: close\r\n" } else { "" };
        let head = format!(
            "HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\n{more}{connection}\
             Content-Length: {}\r\n\r\n",
            text.len()
        );
        Answer::new(head.into_bytes(), Body::Text(text.into_bytes()), close)
    }

    fn body_length(&self) -> u64 {
        match &self.body {
            Body::Text(text) => text.len() as u64,
            Body::Synthetic { length, .. } => *length,
        }
    }

    /// Bytes still to send.
    pub fn left(&self) -> u64 {
        self.head.len() as u64 + self.body_length() - self.sent
    }

    /// Writes at most `most` bytes; how many the socket took.
    pub fn write(&mut self, socket: &mut TcpStream, most: u64) -> io::Result<u64> {
        let head_length = self.head.len() as u64;
        let head = &self.head[self.sent.min(head_length) as usize..];
        let head = &head[..head.len().min(most as usize)];
        let done = self.sent.saturating_sub(head_length);
        let left = (self.body_length() - done).min(most - head.len() as u64) as usize;
        let (first, second): (&[u8], &[u8]) = match &self.body {
            Body::Text(text) => (&text[done as usize..done as usize + left], &[]),
            Body::Synthetic { number, from, .. } => {
                let at = ((number + from + done) % PATTERN as u64) as usize;
                let first = left.min(PATTERN - at);
                (&pattern()[at..at + first], &pattern()[..left - first])
            }
        };
        let slices = [
            IoSlice::new(head),
            IoSlice::new(first),
            IoSlice::new(second),
        ];
        let wrote = socket.write_vectored(&slices)? as u64;
        self.sent += wrote;
        Ok(wrote)
    }
}
