//! What a run of cases found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Figures and findings of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Cases run.
    pub cases: u64,
    /// What must not be, each with the way to see it again.
    pub findings: Vec<String>,
    pub(super) operations: u64,
    pub(super) refused: u64,
    /// The kinds of errors seen, with an example.
    pub(super) errors: BTreeMap<&'static str, (u64, String)>,
    pub(super) slowest: (Duration, &'static str),
    pub(super) largest: (u64, &'static str),
    pub(super) took: Duration,
}

impl Report {
    pub(super) fn merge(&mut self, other: Report) {
        self.cases += other.cases;
        self.operations += other.operations;
        self.refused += other.refused;
        for (kind, (count, example)) in other.errors {
            self.errors.entry(kind).or_insert((0, example)).0 += count;
        }
        self.slowest = self.slowest.max(other.slowest);
        self.largest = self.largest.max(other.largest);
        self.findings.extend(other.findings);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(1e-9);
        writeln!(
            f,
            "{} cases in {seconds:.1} s ({:.0} cases/s), {} operations, {} refused with an error",
            self.cases,
            self.cases as f64 / seconds,
            self.operations,
            self.refused
        )?;
        for (kind, (count, example)) in &self.errors {
            writeln!(f, "  {count:>12} {kind:<10} for example: {example}")?;
        }
        writeln!(
            f,
            "slowest operation: {:.1} ms ({}); most memory asked for by one: {} bytes ({})",
            self.slowest.0.as_secs_f64() * 1e3,
            self.slowest.1,
            self.largest.0,
            self.largest.1
        )?;
        writeln!(f, "findings: {}", self.findings.len())?;
        for finding in self.findings.iter().take(20) {
            writeln!(f, "{finding}")?;
        }
        Ok(())
    }
}
