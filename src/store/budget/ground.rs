//! The words of a budget: where each stands, who has a record, who holds which connection.
//!
//! ```text
//! word 0        what this is, and its version
//!      1        when the next request is due      (rate.rs)
//!      2        when the next byte is due
//!      3        bytes of this month that stand in no file yet
//!      4        when somebody last found no connection free
//!      8..520   128 records of 4: party, last sign of life, when it last found no connection free,
//!               its rates
//!    520..1544  1024 connections: the party that holds it, or 0
//! ```
//!
//! A party is a process, its pid and start time, and a number within it, in one word: so each
//! claim and each return is one compare-and-swap. Times are of the machine's monotonic clock. Nothing here is believed: a
//! holder counts as one while it lives, has a record and gave a sign of life not long ago.

use crate::sys::proc;
use crate::sys::sync::{AtomicU64, Ordering};
use crate::sys::words::Words;

/// "cotecEP" and the version of this layout.
pub(super) const MAGIC: u64 = u64::from_be_bytes(*b"cotecEP\x01");

pub(super) const REQUESTS: usize = 1;
pub(super) const BYTES: usize = 2;
pub(super) const MONTH: usize = 3;
const WANTED: usize = 4;
const RECORDS: usize = 8;
/// Parties that can use an endpoint at a time.
pub(super) const MOST_PARTIES: usize = 128;
const RECORD: usize = 4;
const SLOTS: usize = RECORDS + MOST_PARTIES * RECORD;
/// Connections that can be shared.
pub(super) const MOST_CONNECTIONS: usize = 1024;
/// All words, rounded up to whole pages.
pub(super) const COUNT: usize = 2048;

const BEAT: usize = 1;
const WANT: usize = 2;
const RATES: usize = 3;

const SECOND: u64 = 1_000_000_000;
/// A party that gave no sign of life for so long holds nothing any more, whatever it says.
pub(super) const STALE: u64 = 120 * SECOND;
/// For how long somebody who found no connection free counts as waiting.
const PATIENCE: u64 = 2 * SECOND;
const PID_BITS: u32 = 22;
/// Clock ticks since boot: enough for 20 years.
const START_BITS: u32 = 36;
/// Parties of one process have different numbers, the first 64 of them.
const NUMBERS: u64 = 1 << (64 - PID_BITS - START_BITS);

/// A party for good: pid and start time of its process, and its number there; 0 is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Who(pub u64);

impl Who {
    /// A new party of this process; `None` where `/proc` does not tell.
    pub fn new() -> Option<Who> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let pid = proc::id();
        let start = proc::start_time(pid)?;
        Some(Who::of(pid, start, NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    pub fn of(pid: u32, start: u64, number: u64) -> Who {
        let pid = u64::from(pid) & ((1 << PID_BITS) - 1);
        let start = start & ((1 << START_BITS) - 1);
        Who(pid | start << PID_BITS | (number % NUMBERS) << (PID_BITS + START_BITS))
    }

    fn pid(self) -> u32 {
        (self.0 & ((1 << PID_BITS) - 1)) as u32
    }

    pub fn lives(self) -> bool {
        let number = self.0 >> (PID_BITS + START_BITS);
        let pid = self.pid();
        proc::start_time(pid).is_some_and(|start| Who::of(pid, start, number) == self)
    }
}

/// The words, shared with other processes or not.
#[derive(Debug)]
pub(super) enum Ground {
    Shared(Words),
    Own(Box<[AtomicU64]>),
}

/// Somebody who waits for a connection, and how many it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiter {
    pub held: usize,
}

/// Who holds what at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Census {
    /// Connections held by anybody.
    pub held: usize,
    /// Of these, by the one who asks.
    pub mine: usize,
    /// The most that any one process holds.
    pub most: usize,
    /// Others who wait.
    pub waiters: Vec<Waiter>,
}

impl Ground {
    /// Words of this process alone.
    pub fn own() -> Ground {
        Ground::Own((0..COUNT).map(|_| AtomicU64::new(0)).collect())
    }

    /// Sees to it that the words are a budget's: those of a new segment are all zero, and those
    /// of anything else are made so.
    pub fn prepare(&self) {
        let first = self.load(0);
        if first == MAGIC || first == 0 && self.swap(0, 0, MAGIC) {
            return;
        }
        if self.load(0) == MAGIC {
            return;
        }
        (1..COUNT).for_each(|index| self.store(index, 0));
        self.store(0, MAGIC);
    }

    pub fn word(&self, index: usize) -> Option<&AtomicU64> {
        match self {
            Ground::Shared(words) => words.word(index),
            Ground::Own(words) => words.get(index),
        }
    }

    fn load(&self, index: usize) -> u64 {
        self.word(index).map_or(0, |w| w.load(Ordering::SeqCst))
    }

    fn store(&self, index: usize, value: u64) {
        if let Some(word) = self.word(index) {
            word.store(value, Ordering::SeqCst);
        }
    }

    fn swap(&self, index: usize, from: u64, to: u64) -> bool {
        self.word(index).is_some_and(|word| {
            word.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        })
    }

    fn record(index: usize, field: usize) -> usize {
        RECORDS + index * RECORD + field
    }

    /// A copy of another one's words, if they are of this layout.
    pub fn copy(words: Vec<u64>) -> Option<Ground> {
        let right = words.len() == COUNT && words.first() == Some(&MAGIC);
        right.then(|| Ground::Own(words.into_iter().map(AtomicU64::new).collect()))
    }

    /// How many connections are held by who lives, and how many of them by the processes `pids`.
    pub fn held(&self, pids: &[u32]) -> (u64, u64) {
        let (mut all, mut theirs) = (0, 0);
        let mut known: Vec<(u64, bool)> = Vec::new();
        for slot in SLOTS..SLOTS + MOST_CONNECTIONS {
            let holder = self.load(slot);
            if holder == 0 {
                continue;
            }
            let lives = known.iter().find(|(who, _)| *who == holder).map(|k| k.1);
            let lives = lives.unwrap_or_else(|| {
                let lives = Who(holder).lives();
                known.push((holder, lives));
                lives
            });
            all += u64::from(lives);
            theirs += u64::from(lives && pids.contains(&Who(holder).pid()));
        }
        (all, theirs)
    }

    /// How many parties wait for a connection.
    pub fn waiting(&self, now: u64) -> u64 {
        let waits = |index: &usize| {
            let who = self.load(Ground::record(*index, 0));
            let wants = recent(self.load(Ground::record(*index, WANT)), now, PATIENCE);
            who != 0 && wants && Who(who).lives()
        };
        (0..MOST_PARTIES).filter(waits).count() as u64
    }

    /// This party's record, taken if it has none; `None` if all are taken by parties that
    /// live. `rates` stand in it for the others.
    pub fn join(&self, me: Who, rates: u64, now: u64) -> Option<usize> {
        let mine = |index: &usize| self.load(Ground::record(*index, 0)) == me.0;
        let taken = (0..MOST_PARTIES).find(mine).or_else(|| {
            (0..MOST_PARTIES).find(|index| {
                let word = Ground::record(*index, 0);
                let holder = self.load(word);
                if holder != 0 && self.there(*index, now) {
                    return false;
                }
                // Before it is ours: a record without a sign of life would be taken away.
                self.store(Ground::record(*index, BEAT), now);
                self.swap(word, holder, me.0)
            })
        })?;
        self.store(Ground::record(taken, BEAT), now);
        self.store(Ground::record(taken, RATES), rates);
        self.store(Ground::record(taken, WANT), 0);
        Some(taken)
    }

    /// Gives a sign of life; false if the record has become somebody else's.
    pub fn beat(&self, record: usize, me: Who, now: u64) -> bool {
        let mine = self.load(Ground::record(record, 0)) == me.0;
        if mine {
            self.store(Ground::record(record, BEAT), now);
        }
        mine
    }

    /// Gives the record back.
    pub fn leave(&self, record: usize, me: Who) {
        self.swap(Ground::record(record, 0), me.0, 0);
    }

    /// The rates of all who are there.
    pub fn rates(&self, now: u64) -> Vec<u64> {
        let there = (0..MOST_PARTIES)
            .filter(|index| self.load(Ground::record(*index, 0)) != 0 && self.alive(*index, now));
        there
            .map(|index| self.load(Ground::record(index, RATES)))
            .collect()
    }

    /// Whether a record's holder gave a sign of life not long ago. A later time than now is none.
    fn alive(&self, record: usize, now: u64) -> bool {
        recent(self.load(Ground::record(record, BEAT)), now, STALE)
    }

    /// Notes that this party found no connection free, or, with `None`, that it has one.
    pub fn want(&self, record: usize, now: Option<u64>) {
        self.store(Ground::record(record, WANT), now.unwrap_or(0));
        if let Some(now) = now {
            self.store(WANTED, now);
        }
    }

    /// Whether anybody may be waiting; one look at one word.
    pub fn anybody_waits(&self, now: u64) -> bool {
        recent(self.load(WANTED), now, PATIENCE)
    }

    /// Counts who holds what, and who waits.
    pub fn census(&self, me: Who, now: u64) -> Census {
        let mut holders: Vec<(u64, usize)> = Vec::new();
        for slot in 0..MOST_CONNECTIONS {
            let holder = self.load(SLOTS + slot);
            if holder == 0 {
                continue;
            }
            match holders.iter_mut().find(|(who, _)| *who == holder) {
                Some((_, count)) => *count += 1,
                None => holders.push((holder, 1)),
            }
        }
        let held_by = |who: u64| holders.iter().find(|h| h.0 == who).map_or(0, |h| h.1);
        let waiters = (0..MOST_PARTIES).filter_map(|index| {
            let who = self.load(Ground::record(index, 0));
            let waits = recent(self.load(Ground::record(index, WANT)), now, PATIENCE);
            let counts = who != 0 && who != me.0 && waits && Who(who).lives();
            counts.then(|| Waiter { held: held_by(who) })
        });
        Census {
            held: holders.iter().map(|h| h.1).sum(),
            mine: held_by(me.0),
            most: holders.iter().map(|h| h.1).max().unwrap_or(0),
            waiters: waiters.collect(),
        }
    }

    /// Takes one of the first `limit` connections, the last of them first, so that a process with
    /// a smaller limit finds its own free as long as possible.
    pub fn take(&self, me: Who, limit: usize) -> Option<usize> {
        (0..limit.min(MOST_CONNECTIONS))
            .rev()
            .find(|slot| self.load(SLOTS + slot) == 0 && self.swap(SLOTS + slot, 0, me.0))
    }

    /// Gives a connection back, unless it has been taken away.
    pub fn give_back(&self, me: Who, slot: usize) {
        if slot < MOST_CONNECTIONS {
            self.swap(SLOTS + slot, me.0, 0);
        }
    }

    /// Whether a connection is still this process's.
    pub fn holds(&self, me: Who, slot: usize) -> bool {
        slot < MOST_CONNECTIONS && self.load(SLOTS + slot) == me.0
    }

    /// Takes records and connections away from those who are gone.
    pub fn sweep(&self, now: u64) {
        for index in 0..MOST_PARTIES {
            let who = self.load(Ground::record(index, 0));
            if who != 0 && !self.there(index, now) {
                self.swap(Ground::record(index, 0), who, 0);
            }
        }
        // Whether a holder has a record is looked at after its connection was seen: a record is
        // taken before the first connection.
        let mut known: Vec<(u64, bool)> = Vec::new();
        for slot in SLOTS..SLOTS + MOST_CONNECTIONS {
            let holder = self.load(slot);
            if holder == 0 {
                continue;
            }
            let there = known.iter().find(|(who, _)| *who == holder).map(|k| k.1);
            let there = there.unwrap_or_else(|| {
                let mine = |index: &usize| self.load(Ground::record(*index, 0)) == holder;
                let there = (0..MOST_PARTIES)
                    .find(mine)
                    .is_some_and(|index| self.there(index, now));
                known.push((holder, there));
                there
            });
            if !there {
                self.swap(slot, holder, 0);
            }
        }
    }

    /// Whether the holder of a record lives and gave a sign of life.
    fn there(&self, record: usize, now: u64) -> bool {
        self.alive(record, now) && Who(self.load(Ground::record(record, 0))).lives()
    }
}

/// Whether `time` is now or at most `within` ago. Clocks of two cores may differ a little.
fn recent(time: u64, now: u64, within: u64) -> bool {
    time != 0 && time <= now.saturating_add(SECOND) && now.saturating_sub(time) <= within
}
