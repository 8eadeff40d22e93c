//! What the line is like.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// What can be said on the command line.
pub const HELP: &str = "\
wan [--OPTION VALUE]...

  listen ADDRESS     where to listen (127.0.0.1:0)
  upstream ADDRESS   the HTTP server behind the line; without it wan serves synthetic objects
  list SET=NxSIZE[~] N objects SET/SIZE/0000000 ... in the listing of every bucket; ~ spreads their
                     sizes from half to one and a half. May be given more than once. Any key that
                     ends in SIZE/NAME can be fetched, listed or not
  rtt TIME           round-trip time (0ms)
  jitter SHARE       how far it varies, evenly (0.05)
  trips N            round trips that the server spends on each request besides the one (0)
  handshake N        round trips of a new connection before its first request (1)
  total RATE         of the line, shared fairly by its connections (unlimited)
  each RATE          of one connection (unlimited)
  cap N              connections at a time (unlimited)
  cap-answer WHAT    to those beyond: refuse (reset before any answer), 429 or 503 (refuse)
  rpm N              requests a minute; 429 with Retry-After beyond it (unlimited)
  ramp yes|no        connections start with ten packets in a round trip and double, again after
                     idling (no)
  loss SHARE         of packets; with ramp, each halves its connection's window (0)
  stalls SHARE       of answers that stop for stall-time at byte stall-at (0, 60s, 65536)
  resets SHARE       of answers whose connection is reset at byte reset-at (0, 65536)
  chunk SIZE         bytes in which connections take turns (64KiB)
  seed N             of all that is random (1)
  seconds N          end by itself
  script FILE        lines of SECOND OPTION VALUE, applied while it runs

RATE: 200Mbit, 1Gbit, 20MB (a second), unlimited. SIZE: 1000, 256KiB, 8MiB, 1GiB. TIME: 5ms, 2s.";

/// An option that gets another value while the line is in use.
#[derive(Clone, Debug)]
pub struct Change {
    /// From the start.
    pub after: Duration,
    /// As on the command line.
    pub option: String,
    /// As on the command line.
    pub value: String,
}

/// How connections beyond the cap are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapAnswer {
    /// Accepted by the kernel, then reset.
    Refuse,
    /// Every request on them gets this status.
    Status(u16),
}

/// Objects in the listing.
#[derive(Clone, Debug)]
pub struct Set {
    pub name: String,
    pub count: u64,
    pub bytes: u64,
    /// Sizes vary.
    pub spread: bool,
}

/// What the line is like. Rates are bytes per second.
#[derive(Clone, Debug)]
pub struct Options {
    pub upstream: Option<SocketAddr>,
    pub sets: Vec<Set>,
    pub rtt: Duration,
    pub jitter: f64,
    pub trips: u32,
    pub handshake: u32,
    pub total: Option<f64>,
    pub each: Option<f64>,
    pub cap: Option<usize>,
    pub cap_answer: CapAnswer,
    pub rpm: Option<f64>,
    pub ramp: bool,
    pub loss: f64,
    pub stalls: f64,
    pub stall_at: u64,
    pub stall_time: Duration,
    pub resets: f64,
    pub reset_at: u64,
    pub chunk: u64,
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            upstream: None,
            sets: Vec::new(),
            rtt: Duration::ZERO,
            jitter: 0.05,
            trips: 0,
            handshake: 1,
            total: None,
            each: None,
            cap: None,
            cap_answer: CapAnswer::Refuse,
            rpm: None,
            ramp: false,
            loss: 0.0,
            stalls: 0.0,
            stall_at: 1 << 16,
            stall_time: Duration::from_secs(60),
            resets: 0.0,
            reset_at: 1 << 16,
            chunk: 1 << 16,
            seed: 1,
        }
    }
}

impl Options {
    /// Gives an option the value that stands on the command line or in a script.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let wrong = || format!("--{name} {value:?}: not understood; see --help");
        let count = || value.parse::<u64>().ok();
        let unlimited = value == "unlimited";
        let some = |number: Option<f64>| match unlimited {
            true => Some(None),
            false => number.filter(|n| *n > 0.0).map(Some),
        };
        let share = || value.parse().ok().filter(|s| (0.0..=1.0).contains(s));
        let done = match name {
            "upstream" => value
                .to_socket_addrs()
                .ok()
                .and_then(|mut all| all.next())
                .map(|address| self.upstream = Some(address)),
            "list" => set(value).map(|set| self.sets.push(set)),
            "rtt" => time(value).map(|rtt| self.rtt = rtt),
            "jitter" => share().map(|share| self.jitter = share),
            "trips" => value.parse().ok().map(|trips| self.trips = trips),
            "handshake" => value.parse().ok().map(|trips| self.handshake = trips),
            "total" => some(rate(value)).map(|rate| self.total = rate),
            "each" => some(rate(value)).map(|rate| self.each = rate),
            "cap" => some(count().map(|n| n as f64)).map(|cap| self.cap = cap.map(|n| n as usize)),
            "cap-answer" => match value {
                "refuse" => Some(CapAnswer::Refuse),
                "429" => Some(CapAnswer::Status(429)),
                "503" => Some(CapAnswer::Status(503)),
                _ => None,
            }
            .map(|answer| self.cap_answer = answer),
            "rpm" => some(count().map(|n| n as f64)).map(|rpm| self.rpm = rpm),
            "ramp" => match value {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            }
            .map(|ramp| self.ramp = ramp),
            "loss" => share().map(|share| self.loss = share),
            "stalls" => share().map(|share| self.stalls = share),
            "stall-at" => size(value).map(|bytes| self.stall_at = bytes),
            "stall-time" => time(value).map(|time| self.stall_time = time),
            "resets" => share().map(|share| self.resets = share),
            "reset-at" => size(value).map(|bytes| self.reset_at = bytes),
            "chunk" => size(value).map(|bytes| self.chunk = bytes.clamp(1 << 10, 1 << 20)),
            "seed" => count().map(|seed| self.seed = seed),
            _ => return Err(format!("--{name} is no option; --help lists them")),
        };
        done.ok_or_else(wrong)
    }
}

fn unit(text: &str) -> Option<(f64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit))
}

fn rate(text: &str) -> Option<f64> {
    let (number, unit) = unit(text)?;
    let factor = match unit {
        "Gbit" => 125e6,
        "Mbit" => 125e3,
        "GB" => 1e9,
        "MB" => 1e6,
        "kB" => 1e3,
        _ => return None,
    };
    Some(number * factor)
}

fn size(text: &str) -> Option<u64> {
    let (number, unit) = unit(text)?;
    let factor = match unit {
        "" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return None,
    };
    Some((number * factor) as u64)
}

fn time(text: &str) -> Option<Duration> {
    let (number, unit) = unit(text)?;
    let factor = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * factor).ok()
}

fn set(text: &str) -> Option<Set> {
    let (name, rest) = text.split_once('=')?;
    let (count, bytes) = rest.split_once('x')?;
    let spread = bytes.ends_with('~');
    Some(Set {
        name: name.to_owned(),
        count: count.parse().ok()?,
        bytes: size(bytes.trim_end_matches('~'))?,
        spread,
    })
}
