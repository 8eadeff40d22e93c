//! How long a new connection needs until it works.

use super::terms::Seen;

const MS: u64 = 1_000_000;
/// What is believed at least, before anything has come, and at most.
const LATENCY_NS: (u64, u64, u64) = (60 * MS, 300 * MS, 1_000 * MS);

/// How long the first answer took to come: what a new connection needs until it works.
#[derive(Clone, Debug)]
pub(super) enum Latency {
    Unknown,
    Since(u64),
    Known(u64),
}

impl Latency {
    pub fn ns(&self) -> u64 {
        match self {
            Latency::Known(ns) => *ns,
            _ => LATENCY_NS.1,
        }
    }

    /// Whether this look saw the first bytes.
    pub fn look(&mut self, seen: &Seen) -> bool {
        match *self {
            Latency::Unknown if seen.bytes > 0 => {
                *self = Latency::Known(LATENCY_NS.1);
                true
            }
            Latency::Unknown if seen.busy > 0 => {
                *self = Latency::Since(seen.at_ns);
                false
            }
            Latency::Since(since) if seen.bytes > 0 => {
                let took = seen.at_ns.saturating_sub(since);
                *self = Latency::Known(took.clamp(LATENCY_NS.0, LATENCY_NS.2));
                true
            }
            _ => false,
        }
    }
}
