//! What the downloader tells the controller, and what it is told.

/// Connections to an endpoint of which nothing is known, at most.
const MOST: usize = 128;

/// Within what the controller may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections, at least 1.
    pub min: usize,
    /// Connections, at least `min`.
    pub max: usize,
    /// Exactly so many connections: the user's wish, which nothing overrides.
    pub pinned: Option<usize>,
    /// The endpoint's request budget.
    pub requests_per_minute: Option<u32>,
}

impl Default for Bounds {
    /// 1 to 128 connections, no request budget.
    fn default() -> Bounds {
        Bounds {
            min: 1,
            max: MOST,
            pinned: None,
            requests_per_minute: None,
        }
    }
}

/// What the downloader saw up to a moment; one every 100 ms or so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When, on any clock that only goes forward.
    pub at_ns: u64,
    /// Bytes of bodies since the start.
    pub bytes: u64,
    /// Requests answered since the start.
    pub answered: u64,
    /// Connections open.
    pub open: usize,
    /// Connections with a request under way.
    pub busy: usize,
    /// There were fewer parts to give out than connections since the last look: the rate is not
    /// that of the setting.
    pub starved: bool,
}

/// A sign that there may be too many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Answered 429 or 503.
    Throttled,
    /// Not connected, or reset before any answer.
    Refused,
    /// No connection or no byte for too long.
    TimedOut,
}

/// What the downloader is to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Connections to hold.
    pub connections: usize,
    /// Bytes of a part, a multiple of a grain.
    pub part_bytes: u64,
}
