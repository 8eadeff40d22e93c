//! One connection: what it waits for, and how fast it may go.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::answer::Answer;
use super::options::Options;

const PACKET: f64 = 1448.0;
/// TCP's first window, in packets, and the largest one here, in bytes.
const FIRST_WINDOW: f64 = 10.0 * PACKET;
const LARGEST_WINDOW: f64 = 16.0 * 1024.0 * 1024.0;
/// Unused rate of a connection that may be caught up with.
const CATCH_UP: Duration = Duration::from_millis(2);

/// What a connection is doing.
pub enum Phase {
    /// Beyond the cap: reset then.
    Refused(Instant),
    /// No request, or not all of its head.
    Idle,
    /// The answer begins then.
    Waiting(Instant, Then),
    Sending(Answer),
    /// Whatever the upstream sends is the answer.
    Passing,
}

/// What happens when the answer begins.
pub enum Then {
    Send(Answer),
    /// These bytes go to the upstream.
    Forward(Vec<u8>),
}

/// What goes wrong with an answer, and at which of its bytes.
#[derive(Clone, Copy)]
pub enum Fate {
    Stall(u64),
    Reset(u64),
}

/// Whether a connection has something to send.
pub enum Ready {
    Nothing,
    Later(Instant),
    /// At most so many bytes.
    Bytes(u64),
    /// Reset it.
    Reset,
}

pub struct Connection {
    pub client: TcpStream,
    pub upstream: Option<TcpStream>,
    /// Counts towards the cap.
    pub admitted: bool,
    pub phase: Phase,
    pub requests: u64,
    /// Stands in the line's ring.
    pub queued: bool,
    pub writable: bool,
    pub upstream_readable: bool,
    pub fate: Option<Fate>,
    /// Bytes of the request's head that are still in the socket: closing it then is a reset.
    pub unread: usize,
    /// Bytes of the request's body that the upstream has not got yet.
    pub upload_left: u64,
    sent: u64,
    stalled_until: Option<Instant>,
    next_at: Instant,
    window: f64,
    threshold: f64,
    in_flight: VecDeque<(Instant, f64)>,
    flying: f64,
    last_sent: Instant,
    buffer: Vec<u8>,
    buffer_at: usize,
}

impl Connection {
    pub fn new(client: TcpStream, phase: Phase, admitted: bool, now: Instant) -> Connection {
        Connection {
            client,
            upstream: None,
            admitted,
            phase,
            requests: 0,
            queued: false,
            writable: true,
            upstream_readable: false,
            fate: None,
            unread: 0,
            upload_left: 0,
            sent: 0,
            stalled_until: None,
            next_at: now,
            window: FIRST_WINDOW,
            threshold: f64::MAX,
            in_flight: VecDeque::new(),
            flying: 0.0,
            last_sent: now,
            buffer: Vec::new(),
            buffer_at: 0,
        }
    }

    /// A new answer is to come.
    pub fn begin(&mut self, fate: Option<Fate>) {
        self.requests += 1;
        self.fate = fate;
        self.sent = 0;
    }

    /// Takes the bytes of the last request's head out of the socket.
    pub fn consume(&mut self) -> io::Result<()> {
        let mut head = vec![0; std::mem::take(&mut self.unread)];
        self.client.read_exact(&mut head)
    }

    /// What may be sent now; stalls begin here.
    pub fn ready(&mut self, now: Instant, options: &Options, chunk: u64) -> Ready {
        if let Some(until) = self.stalled_until {
            if now < until {
                return Ready::Later(until);
            }
            self.stalled_until = None;
        }
        let left = match &self.phase {
            Phase::Sending(answer) => answer.left(),
            Phase::Passing => match self.fill(chunk) {
                Ok(left) => left,
                Err(_) => return Ready::Reset,
            },
            _ => 0,
        };
        if left == 0 || !self.writable {
            return Ready::Nothing;
        }
        let mut most = left.min(chunk);
        match self.fate {
            Some(Fate::Reset(at)) if self.sent >= at => return Ready::Reset,
            Some(Fate::Stall(at)) if self.sent >= at => {
                self.fate = None;
                let until = now + options.stall_time;
                self.stalled_until = Some(until);
                return Ready::Later(until);
            }
            Some(Fate::Reset(at) | Fate::Stall(at)) => most = most.min(at - self.sent),
            None => {}
        }
        if options.each.is_some() && now < self.next_at {
            return Ready::Later(self.next_at);
        }
        if options.ramp {
            while let Some((at, bytes)) = self.in_flight.front().copied()
                && at <= now
            {
                self.in_flight.pop_front();
                self.flying -= bytes;
                let grown = match self.window < self.threshold {
                    true => bytes,
                    false => PACKET * bytes / self.window,
                };
                self.window = (self.window + grown).min(LARGEST_WINDOW);
            }
            if self.flying <= 0.0 && now > self.last_sent + 2 * options.rtt + CATCH_UP * 100 {
                self.window = FIRST_WINDOW;
            }
            let free = self.window - self.flying;
            if free < PACKET.min(most as f64) {
                let at = self.in_flight.front().map_or(now, |(at, _)| *at);
                return Ready::Later(at);
            }
            most = most.min(free as u64).max(1);
        }
        Ready::Bytes(most)
    }

    /// Bytes of the upstream that wait to be sent, reading some if there are none.
    fn fill(&mut self, chunk: u64) -> io::Result<u64> {
        if self.buffer_at == self.buffer.len() && self.upstream_readable {
            self.buffer.resize(chunk as usize, 0);
            self.buffer_at = 0;
            let read = self.upstream.as_mut().map(|up| up.read(&mut self.buffer));
            match read {
                Some(Ok(0)) | None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(Ok(read)) => self.buffer.truncate(read),
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.upstream_readable = false;
                    self.buffer.clear();
                }
                Some(Err(error)) => return Err(error),
            }
        }
        Ok((self.buffer.len() - self.buffer_at) as u64)
    }

    /// Sends; how many bytes the socket took.
    pub fn send(&mut self, most: u64) -> io::Result<u64> {
        let wrote = match &mut self.phase {
            Phase::Sending(answer) => answer.write(&mut self.client, most)?,
            _ => {
                let end = self.buffer.len().min(self.buffer_at + most as usize);
                let wrote = self.client.write(&self.buffer[self.buffer_at..end])?;
                self.buffer_at += wrote;
                wrote as u64
            }
        };
        self.sent += wrote;
        Ok(wrote)
    }

    /// Counts what was sent against the connection's own limits. `lost`: a packet of it was lost.
    pub fn account(&mut self, now: Instant, bytes: u64, options: &Options, lost: bool) {
        if let Some(rate) = options.each {
            let from = self.next_at.max(now.checked_sub(CATCH_UP).unwrap_or(now));
            self.next_at = from + Duration::from_secs_f64(bytes as f64 / rate);
        }
        if options.ramp {
            self.in_flight.push_back((now + options.rtt, bytes as f64));
            self.flying += bytes as f64;
            if lost {
                self.window = (self.window / 2.0).max(FIRST_WINDOW);
                self.threshold = self.window;
            }
        }
        self.last_sent = now;
    }

    /// Passes on what there is of an upload.
    ///
    /// # Errors
    /// The client's or the upstream's; also where the client has closed.
    pub fn upload(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; 1 << 16];
        while self.upload_left > 0 {
            let most = self.upload_left.min(1 << 16) as usize;
            let read = match self.client.read(&mut bytes[..most]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            self.upload_left -= read as u64;
            self.forward(&bytes[..read])?;
        }
        Ok(())
    }

    /// Writes to the upstream, waiting for it where it is slow: it is on the same machine.
    pub fn forward(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(upstream) = &mut self.upstream else {
            return Ok(());
        };
        upstream.set_nonblocking(false)?;
        let wrote = upstream.write_all(bytes);
        upstream.set_nonblocking(true)?;
        wrote
    }
}
