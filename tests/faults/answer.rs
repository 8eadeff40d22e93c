//! An answer of the server, right until a row makes it wrong, and the ways to send it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// What the server says to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// `200 OK`, without the version.
    pub status: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub sending: Sending,
}

/// How the bytes of an answer go out.
#[derive(Clone, Debug)]
pub enum Sending {
    /// All of it, and the connection stays open for the next request.
    Whole,
    /// All of it, and then the connection is closed, which the head does not say.
    ThenClosed,
    /// The head and so many bytes of the body, and then the connection is closed.
    Cut(usize),
    /// The same, with a reset.
    Reset(usize),
    /// The same, and then nothing more.
    Stalled(usize),
    /// Nothing at all.
    Silent,
    /// A byte of the head from time to time.
    HeadInDrops(Duration),
    /// A byte of the body from time to time.
    BodyInDrops(Duration),
    /// So many bytes of the body in a second, in small pieces.
    Paced(usize),
    /// The body again and again, without an end.
    Endless,
    /// The body in chunks of so many bytes.
    Chunked(usize),
    /// The same without the last chunk, and then the connection is closed.
    ChunkedCut(usize),
    /// These bytes before the answer.
    After(Vec<u8>),
    /// These bytes again and again, without an end.
    Repeated(Vec<u8>),
    /// These bytes after the answer.
    Before(Vec<u8>),
    /// These bytes instead of the answer, and then the connection is closed.
    Instead(Vec<u8>),
    /// With another version than `HTTP/1.1`, and then the connection is closed.
    Version(&'static str),
}

impl Answer {
    pub fn new(status: &str, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status: status.to_owned(),
            headers: Vec::new(),
            body: body.into(),
            sending: Sending::Whole,
        }
    }

    /// An S3 error document.
    pub fn error(status: &str, code: &str, message: &str) -> Answer {
        let body = format!(
            "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        );
        Answer::new(status, body).with("Content-Type", "application/xml")
    }

    /// With this header, instead of one of the same name.
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn without(mut self, name: &str) -> Answer {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    pub fn sent(mut self, sending: Sending) -> Answer {
        self.sending = sending;
        self
    }

    fn head(&self, version: &str) -> String {
        let mut head = format!("{version} {}\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let has = |name: &str| {
            self.headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
        };
        let chunked = matches!(self.sending, Sending::Chunked(_) | Sending::ChunkedCut(_));
        match self.sending {
            _ if chunked => head += "Transfer-Encoding: chunked\r\n",
            Sending::Endless => {}
            _ if has("Content-Length") => {}
            _ => head += &format!("Content-Length: {}\r\n", self.body.len()),
        }
        head + "\r\n"
    }

    /// Sends it; whether the connection may be used for another request.
    pub fn send(&self, socket: &TcpStream) -> io::Result<bool> {
        let mut out = socket;
        let (head, body) = (self.head("HTTP/1.1"), &self.body);
        let up_to = |n: &usize| &body[..(*n).min(body.len())];
        let both = |body: &[u8]| [head.as_bytes(), body].concat();
        match &self.sending {
            Sending::Whole => out.write_all(&both(body))?,
            Sending::ThenClosed => {
                out.write_all(&both(body))?;
                return Ok(false);
            }
            Sending::Cut(n) => {
                out.write_all(&both(up_to(n)))?;
                return Ok(false);
            }
            Sending::Reset(n) => {
                out.write_all(&both(up_to(n)))?;
                until_delivered(socket);
                reset_at_close(socket)?;
                return Ok(false);
            }
            Sending::Stalled(n) => {
                out.write_all(&both(up_to(n)))?;
                until_the_client_goes(socket);
                return Ok(false);
            }
            Sending::Silent => {
                until_the_client_goes(socket);
                return Ok(false);
            }
            Sending::Repeated(bytes) => loop {
                out.write_all(bytes)?;
            },
            Sending::HeadInDrops(pause) => {
                drops(out, head.as_bytes(), *pause)?;
                out.write_all(body)?;
            }
            Sending::BodyInDrops(pause) => {
                out.write_all(head.as_bytes())?;
                drops(out, body, *pause)?;
            }
            Sending::Paced(rate) => {
                out.write_all(head.as_bytes())?;
                for piece in body.chunks(rate / 20) {
                    out.write_all(piece)?;
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
            Sending::Endless => {
                out.write_all(head.as_bytes())?;
                loop {
                    out.write_all(body)?;
                }
            }
            Sending::Chunked(size) | Sending::ChunkedCut(size) => {
                let mut bytes = head.clone().into_bytes();
                for chunk in body.chunks(*size) {
                    write!(bytes, "{:x}\r\n", chunk.len())?;
                    bytes.extend_from_slice(chunk);
                    bytes.extend_from_slice(b"\r\n");
                }
                let whole = matches!(self.sending, Sending::Chunked(_));
                if whole {
                    bytes.extend_from_slice(b"0\r\n\r\n");
                }
                out.write_all(&bytes)?;
                return Ok(whole);
            }
            Sending::After(first) => {
                out.write_all(first)?;
                out.write_all(&both(body))?;
            }
            Sending::Before(last) => {
                let mut bytes = both(body);
                bytes.extend_from_slice(last);
                out.write_all(&bytes)?;
            }
            Sending::Instead(bytes) => {
                out.write_all(bytes)?;
                return Ok(false);
            }
            Sending::Version(version) => {
                let mut bytes = self.head(version).into_bytes();
                bytes.extend_from_slice(body);
                out.write_all(&bytes)?;
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn drops(mut out: &TcpStream, bytes: &[u8], pause: Duration) -> io::Result<()> {
    out.set_nodelay(true)?;
    for byte in bytes {
        out.write_all(&[*byte])?;
        std::thread::sleep(pause);
    }
    Ok(())
}

fn until_the_client_goes(mut socket: &TcpStream) {
    let mut bytes = [0; 4096];
    while matches!(socket.read(&mut bytes), Ok(1..)) {}
}

/// Waits until the other side has all that was sent, which a reset would else take back.
fn until_delivered(socket: &TcpStream) {
    for _ in 0..10_000 {
        let mut waiting: nix::libc::c_int = 0;
        // SAFETY: TIOCOUTQ writes one int, and the descriptor is open.
        let asked =
            unsafe { nix::libc::ioctl(socket.as_raw_fd(), nix::libc::TIOCOUTQ, &mut waiting) };
        if asked != 0 || waiting == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Makes the close of the connection a reset.
pub fn reset_at_close(socket: &TcpStream) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let same = socket.try_clone()?;
        same.set_nonblocking(true)?;
        tokio::net::TcpStream::from_std(same)?.set_zero_linger()
    })
}
