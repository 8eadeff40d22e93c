//! What the line saw.

use std::fmt::Write;
use std::time::Instant;

/// Milliseconds of one entry of the series.
pub const BIN_MS: u64 = 100;

/// Counts since the start, and series of them.
#[derive(Debug)]
pub struct Stats {
    /// The first request: the series begin here.
    pub begun: Option<Instant>,
    pub bytes: u64,
    pub connections: u64,
    pub requests: u64,
    /// Connections beyond the cap, and requests on them.
    pub refused: u64,
    pub beyond_budget: u64,
    pub resets: u64,
    pub stalls: u64,
    pub most_open: usize,
    series: Vec<Bin>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bin {
    bytes: u64,
    refused: u64,
    open: usize,
}

impl Stats {
    pub fn new() -> Stats {
        Stats {
            begun: None,
            bytes: 0,
            connections: 0,
            requests: 0,
            refused: 0,
            beyond_budget: 0,
            resets: 0,
            stalls: 0,
            most_open: 0,
            series: Vec::new(),
        }
    }

    fn bin(&mut self, now: Instant) -> &mut Bin {
        let begun = *self.begun.get_or_insert(now);
        let at = now.saturating_duration_since(begun).as_millis() as u64 / BIN_MS;
        let open = self.series.last().map_or(0, |bin| bin.open);
        while self.series.len() as u64 <= at {
            self.series.push(Bin {
                open,
                ..Bin::default()
            });
        }
        let last = self.series.len() - 1;
        &mut self.series[last]
    }

    pub fn sent(&mut self, now: Instant, bytes: u64) {
        self.bytes += bytes;
        self.bin(now).bytes += bytes;
    }

    pub fn refused(&mut self, now: Instant) {
        self.refused += 1;
        self.bin(now).refused += 1;
    }

    /// How many connections are open now, those beyond the cap not counted.
    pub fn open(&mut self, now: Instant, open: usize) {
        self.most_open = self.most_open.max(open);
        if self.begun.is_some() {
            self.bin(now).open = open;
        }
    }

    /// All of it on one line.
    pub fn json(&self) -> String {
        let list = |of: fn(&Bin) -> u64| {
            let numbers: Vec<String> = self.series.iter().map(|b| of(b).to_string()).collect();
            numbers.join(",")
        };
        let mut text = String::from("{");
        for (name, number) in [
            ("bytes", self.bytes),
            ("connections", self.connections),
            ("requests", self.requests),
            ("refused", self.refused),
            ("beyond_budget", self.beyond_budget),
            ("resets", self.resets),
            ("stalls", self.stalls),
            ("most_open", self.most_open as u64),
            ("cpu_ms", cpu_ms()),
            ("bin_ms", BIN_MS),
        ] {
            let _ = write!(text, "\"{name}\":{number},");
        }
        let _ = write!(
            text,
            "\"bytes_of_bin\":[{}],\"refused_of_bin\":[{}],\"open_of_bin\":[{}]}}",
            list(|b| b.bytes),
            list(|b| b.refused),
            list(|b| b.open as u64),
        );
        text
    }
}

/// Processor time of this process, from /proc, in its hundredths of a second.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2);
    ticks.filter_map(|t| t.parse::<u64>().ok()).sum::<u64>() * 10
}
