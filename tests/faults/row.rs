//! One row of the matrix: a fault, and how it must end.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::Answer;
use crate::bucket::{Ask, BIG, SMALL};
use crate::judge::{self, Line};
use crate::server::{Greeting, On};

/// A fault and what is to become of it.
pub struct Row {
    pub name: String,
    pub on: On,
    pub ends: Ends,
    /// No end before this: a wait that the store asked for is kept.
    pub not_before: Duration,
    /// Whether the coordinator runs it too, with a job.
    pub in_a_run: bool,
}

/// How a row must end.
#[derive(Clone, Debug)]
pub enum Ends {
    /// With the right bytes everywhere.
    Right,
    /// One object fails, with this fault and these words; the others are there.
    Object {
        fault: &'static str,
        says: &'static [&'static str],
    },
    /// Nothing can be done: the exit code, and these words.
    Nothing {
        code: i32,
        says: &'static [&'static str],
    },
}

impl Row {
    fn new(name: &str, on: On) -> Row {
        Row {
            name: name.to_owned(),
            on,
            ends: Ends::Right,
            not_before: Duration::ZERO,
            in_a_run: false,
        }
    }

    /// A fault in the answers for an object of several parts.
    pub fn object(
        name: &str,
        change: impl Fn(&Ask, Answer) -> Answer + Send + Sync + 'static,
    ) -> Row {
        Row::new(name, On::Object(BIG, Arc::new(change)))
    }

    /// A fault in the answers for an object of one part.
    pub fn small(
        name: &str,
        change: impl Fn(&Ask, Answer) -> Answer + Send + Sync + 'static,
    ) -> Row {
        Row::new(name, On::Object(SMALL, Arc::new(change)))
    }

    /// The object that fails where one does.
    pub fn key(&self) -> &'static str {
        match &self.on {
            On::Object(key, _) => key,
            _ => BIG,
        }
    }

    /// A fault in listings.
    pub fn listing(
        name: &str,
        change: impl Fn(&Ask, Answer) -> Answer + Send + Sync + 'static,
    ) -> Row {
        Row::new(name, On::Listing(Arc::new(change)))
    }

    /// A fault in all answers.
    pub fn all(name: &str, change: impl Fn(&Ask, Answer) -> Answer + Send + Sync + 'static) -> Row {
        Row::new(name, On::All(Arc::new(change)))
    }

    /// A fault in connections, by their number.
    pub fn connections(
        name: &str,
        greet: impl Fn(usize) -> Greeting + Send + Sync + 'static,
    ) -> Row {
        Row::new(name, On::Connections(Arc::new(greet)))
    }

    /// A fault of the host.
    pub fn host(name: &str, on: On) -> Row {
        Row::new(name, on)
    }

    /// It ends with one failed object.
    pub fn fails(mut self, fault: &'static str, says: &'static [&'static str]) -> Row {
        self.ends = Ends::Object { fault, says };
        self
    }

    /// It ends with nothing done.
    pub fn stops(mut self, code: i32, says: &'static [&'static str]) -> Row {
        self.ends = Ends::Nothing { code, says };
        self
    }

    pub fn not_before(mut self, seconds: u64) -> Row {
        self.not_before = Duration::from_secs(seconds);
        self
    }

    pub fn in_a_run_too(mut self) -> Row {
        self.in_a_run = true;
        self
    }

    /// Runs it, and says what happened in a line for each command.
    pub fn run(&self) -> Vec<Line> {
        let mut lines = vec![judge::by_hand(self)];
        if self.in_a_run {
            lines.push(judge::in_a_run(self));
        }
        lines
    }
}
