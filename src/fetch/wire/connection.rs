//! One connection: asking for ranges, and landing the bodies in files.

use std::fmt::Write as _;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use reqwest::Url;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::store::CHECKSUM_MODE;

use super::WireError;
use super::chunked::Chunked;
use super::head::{self, Head, Length};
use super::mover::Moved;
use super::origin::Origin;

/// What is read at first where no head has come yet.
const FIRST_READ: usize = 2048;
/// What is read further of a head that was longer than the last one.
const NEXT_READ: usize = 512;

pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection, used for one request after the other.
pub(in crate::fetch) struct Connection {
    stream: Stream,
    origin: Rc<Origin>,
    /// What was read with the last head; from `unread` on it is of the body.
    read: Vec<u8>,
    unread: usize,
    /// How long the last head was: as much is read first, so that none of the body comes along,
    /// which would take another write.
    last_head: usize,
    body: Body,
    keep: bool,
    asked: String,
}

enum Body {
    /// So many bytes are to come.
    Exact(u64),
    Chunked(Chunked),
    ToClose,
    Over,
}

/// What is asked for.
pub(in crate::fetch) struct Ask<'a> {
    /// The presigned URL.
    pub url: &'a Url,
    /// Bytes of the object; not empty.
    pub range: Range<u64>,
    /// The ETag that the object must still have, as a header says it.
    pub etag: Option<&'a str>,
    /// Whether that is all of it: then no range is named, since stores send no checksums with
    /// ranges.
    pub whole: bool,
    /// Whether the store is asked for its checksums, as the URL says then.
    pub checksums: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream, origin: Rc<Origin>) -> Connection {
        Connection {
            stream,
            origin,
            read: Vec::new(),
            unread: 0,
            last_head: FIRST_READ,
            body: Body::Over,
            keep: true,
            asked: String::new(),
        }
    }

    pub(super) fn into_plain(self) -> Option<TcpStream> {
        match self.stream {
            Stream::Plain(tcp) if self.unread == self.read.len() => Some(tcp),
            _ => None,
        }
    }

    /// Whether the next request may use it: the last body is over, and the server keeps it.
    pub fn reusable(&self) -> bool {
        let over = matches!(self.body, Body::Over | Body::Exact(0));
        over && self.keep && self.unread == self.read.len()
    }

    /// Whether the other side has sent nothing since the last answer: what it says without being
    /// asked would be taken for the next answer. Over TLS it may say things about the connection.
    pub fn quiet(&self) -> bool {
        match &self.stream {
            Stream::Plain(tcp) => {
                let came = tcp.try_read(&mut [0]);
                came.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            Stream::Tls(_) => true,
        }
    }

    /// Sends a request and reads the head of its answer.
    pub async fn ask(&mut self, ask: &Ask<'_>) -> Result<Head, WireError> {
        let mut text = std::mem::take(&mut self.asked);
        text.clear();
        write_request(&mut text, &self.origin, ask);
        let sent = self.send(text.as_bytes()).await;
        self.asked = text;
        sent?;
        self.head().await
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let sent = match &mut self.stream {
            Stream::Plain(tcp) => tcp.write_all(bytes).await,
            Stream::Tls(tls) => match tls.write_all(bytes).await {
                Ok(()) => tls.flush().await,
                failed => failed,
            },
        };
        sent.map_err(|error| before_answer(&error))
    }

    /// Reads a head; what came with it of the body is kept.
    pub(super) async fn head(&mut self) -> Result<Head, WireError> {
        (self.body, self.keep) = (Body::Over, false);
        self.read.clear();
        self.unread = 0;
        let mut room = self.last_head;
        loop {
            let from = self.read.len();
            self.read.resize(from + room, 0);
            let came = match &mut self.stream {
                Stream::Plain(tcp) => tcp.read(&mut self.read[from..]).await,
                Stream::Tls(tls) => tls.read(&mut self.read[from..]).await,
            };
            self.read.truncate(from + *came.as_ref().unwrap_or(&0));
            match came {
                Ok(0) if from == 0 => return Err(WireError::Closed),
                Ok(0) => return Err(WireError::broken(&io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) if from == 0 => return Err(before_answer(&error)),
                Err(error) => return Err(WireError::broken(&error)),
            }
            if self.read.len() > head::LONGEST {
                return Err(WireError::Answer("its head is too long".to_owned()));
            }
            room = NEXT_READ;
            while let Some((head, length)) = head::parse(&self.read[self.unread..])? {
                self.unread += length;
                // 1xx: the answer itself is still to come.
                if matches!(head.status, 100..=199) && head.status != 101 {
                    continue;
                }
                self.last_head = self.unread;
                self.keep = head.keep;
                self.body = match head.body {
                    Length::Exact(0) => Body::Over,
                    Length::Exact(length) => Body::Exact(length),
                    Length::Chunked => Body::Chunked(Chunked::new()),
                    Length::ToClose => Body::ToClose,
                };
                return Ok(head);
            }
        }
    }

    /// Lands the next bytes of the body at `at` in a file: how many, 0 when the body is over. No
    /// more than `most` may come.
    pub async fn land(&mut self, file: &File, at: u64, most: u64) -> Result<u64, WireError> {
        if let (Body::Exact(left), Stream::Plain(tcp)) = (&mut self.body, &self.stream)
            && self.unread == self.read.len()
        {
            let most = (*left).min(most);
            if most == 0 {
                return if *left == 0 {
                    Ok(0)
                } else {
                    Err(WireError::Long)
                };
            }
            let mover = &self.origin.mover;
            let moved = tcp.async_io(Interest::READABLE, || mover.splice(tcp, file, at, most));
            return match moved.await {
                Ok(Moved::Bytes(0)) => Err(WireError::broken(&io::ErrorKind::UnexpectedEof.into())),
                Ok(Moved::Bytes(n)) => {
                    *left -= n;
                    Ok(n)
                }
                Ok(Moved::File(error)) => Err(WireError::File(error)),
                Err(error) => Err(WireError::broken(&error)),
            };
        }
        let mut landed = 0;
        self.pieces(most, |bytes| {
            file.write_all_at(bytes, at + landed)?;
            landed += bytes.len() as u64;
            Ok(())
        })
        .await?;
        Ok(landed)
    }

    /// The body of an answer that is no object, up to `most` bytes of it.
    pub async fn text(&mut self, most: usize) -> Vec<u8> {
        let mut text = Vec::new();
        while text.len() < most {
            let from = text.len();
            let piece = self.pieces(u64::MAX, |bytes| {
                text.extend_from_slice(bytes);
                Ok(())
            });
            // A body that breaks off is worth as much as came of it.
            if piece.await.is_err() || text.len() == from {
                break;
            }
        }
        text.truncate(most);
        text
    }

    /// Hands on the next bytes of the body; none when it is over.
    async fn pieces(
        &mut self,
        most: u64,
        mut write: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), WireError> {
        loop {
            let room = match &self.body {
                Body::Over | Body::Exact(0) => return Ok(()),
                Body::Exact(left) => *left,
                Body::Chunked(_) | Body::ToClose => u64::MAX,
            };
            let mover = &self.origin.mover;
            let (mut handed, mut broken) = (0, None);
            let body = &mut self.body;
            let mut take = |bytes: &[u8]| -> io::Result<()> {
                let mut rest = bytes;
                while !rest.is_empty() && broken.is_none() {
                    let (taken, data) = match body {
                        Body::Chunked(chunks) => match chunks.next(rest) {
                            Ok(both) => both,
                            Err(error) => {
                                broken = Some(error);
                                break;
                            }
                        },
                        _ => (rest.len(), rest.len()),
                    };
                    if handed + data as u64 > most {
                        broken = Some(WireError::Long);
                        break;
                    }
                    if taken == 0 {
                        // More than the last chunk came; the connection is not used again.
                        self.keep = false;
                        break;
                    }
                    write(&rest[taken - data..taken])?;
                    handed += data as u64;
                    rest = &rest[taken..];
                }
                Ok(())
            };
            let came = if self.unread < self.read.len() {
                let room = usize::try_from(room).unwrap_or(usize::MAX);
                let end = self.read.len().min(self.unread.saturating_add(room));
                let bytes = &self.read[self.unread..end];
                self.unread = end;
                take(bytes)
                    .map(|()| bytes.len() as u64)
                    .map_err(WireError::File)
            } else {
                let moved = match &mut self.stream {
                    Stream::Plain(tcp) => {
                        let tcp = &*tcp;
                        let read = |buffer: &mut [u8]| Ok(rustix::io::read(tcp, buffer)?);
                        tcp.async_io(Interest::READABLE, || mover.fill(room, read, &mut take))
                            .await
                    }
                    Stream::Tls(tls) => {
                        poll_fn(|cx| {
                            let read = |buffer: &mut [u8]| {
                                let mut into = ReadBuf::new(buffer);
                                match Pin::new(&mut **tls).poll_read(cx, &mut into) {
                                    Poll::Ready(read) => read.map(|()| into.filled().len()),
                                    Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
                                }
                            };
                            match mover.fill(room, read, &mut take) {
                                Err(e) if e.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                                other => Poll::Ready(other),
                            }
                        })
                        .await
                    }
                };
                match moved {
                    Ok(Moved::Bytes(n)) => Ok(n),
                    Ok(Moved::File(error)) => Err(WireError::File(error)),
                    Err(error) => Err(WireError::broken(&error)),
                }
            };
            if let Some(error) = broken {
                return Err(error);
            }
            match (came?, &mut self.body) {
                (0, Body::ToClose) => self.body = Body::Over,
                (0, _) => return Err(WireError::broken(&io::ErrorKind::UnexpectedEof.into())),
                (n, Body::Exact(left)) => *left = left.saturating_sub(n),
                (_, Body::Chunked(chunks)) if chunks.done() => self.body = Body::Over,
                _ => {}
            }
            if handed > 0 {
                return Ok(());
            }
        }
    }
}

/// What it means that a connection failed before a byte of the answer.
fn before_answer(error: &io::Error) -> WireError {
    match error.kind() {
        io::ErrorKind::BrokenPipe
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::UnexpectedEof => WireError::Closed,
        _ => WireError::broken(error),
    }
}

fn write_request(text: &mut String, origin: &Origin, ask: &Ask<'_>) {
    let url = ask.url;
    let (first, last) = (ask.range.start, ask.range.end.saturating_sub(1));
    text.push_str("GET ");
    let proxy = origin.reading_proxy();
    match (proxy, url.query()) {
        (Some(_), _) => text.push_str(url.as_str()),
        (None, None) => text.push_str(url.path()),
        (None, Some(query)) => {
            text.push_str(url.path());
            text.push('?');
            text.push_str(query);
        }
    }
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        " HTTP/1.1\r\nHost: {}\r\nUser-Agent: cotec/{}\r\nAccept: */*\r\n",
        origin.authority,
        env!("CARGO_PKG_VERSION"),
    );
    if !ask.whole {
        let _ = write!(text, "Range: bytes={first}-{last}\r\n");
    }
    if let Some(etag) = ask.etag {
        let _ = write!(text, "If-Match: {etag}\r\n");
    }
    if ask.checksums {
        let (name, value) = CHECKSUM_MODE;
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if let Some(authorization) = proxy.and_then(|proxy| proxy.authorization.as_ref()) {
        let _ = write!(text, "Proxy-Authorization: {authorization}\r\n");
    }
    text.push_str("\r\n");
}
