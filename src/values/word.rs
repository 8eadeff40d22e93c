//! The word that carries the whole truth about a slot or a job.
//!
//! ```text
//!  63            32 31           5   4   3   2     0
//! +----------------+--------------+---+---+---------+
//! | owner          | attempt      | R | W |  state  |
//! +----------------+--------------+---+---+---------+
//!                   `------- the futex's 32 bits ---'
//! ```
//!
//! * *state*: see [`ObjectState`] and [`JobState`]; 0 is a record that was never published.
//! * *W*: somebody sleeps until the state changes; *R*: somebody sleeps until a range landed.
//! * *attempt*: grows with every claim and never shrinks, so a late move of an earlier claim
//!   fails its compare-and-swap.
//! * *owner*: who holds the claim while fetching, running or uploading, 0 otherwise.
//!
//! The owner is in the same word so that claiming and naming the claimant are one
//! compare-and-swap: there is no moment at which a claim has no owner to be swept by.

/// Life of an object: `wanted → fetching → ready | failed`, `ready → evicted → wanted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ObjectState {
    /// Registered, waits for the downloader.
    Wanted = 1,
    /// A downloader works on it.
    Fetching = 2,
    /// All bytes stand in staging.
    Ready = 3,
    /// Given up; the fault says why.
    Failed = 4,
    /// Was ready, and its bytes were removed from staging.
    Evicted = 5,
}

impl ObjectState {
    /// From the state bits of a word.
    pub fn from_bits(bits: u8) -> Option<ObjectState> {
        use ObjectState::*;
        [Wanted, Fetching, Ready, Failed, Evicted]
            .into_iter()
            .find(|s| *s as u8 == bits)
    }

    /// The name used in records and help.
    pub fn name(self) -> &'static str {
        match self {
            ObjectState::Wanted => "wanted",
            ObjectState::Fetching => "fetching",
            ObjectState::Ready => "ready",
            ObjectState::Failed => "failed",
            ObjectState::Evicted => "evicted",
        }
    }
}

/// Life of a job: `waiting → ready → running → done | failed`, and where its results go to a
/// store `running → uploading → done | failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum JobState {
    /// An input is not ready yet.
    Waiting = 1,
    /// A worker may claim it.
    Ready = 2,
    /// A worker runs its processor.
    Running = 3,
    /// Its result stands in the output directory.
    Done = 4,
    /// Given up; the fault says why.
    Failed = 5,
    /// Its results are complete and go to a store; owned while somebody uploads them.
    Uploading = 6,
}

impl JobState {
    /// From the state bits of a word.
    pub fn from_bits(bits: u8) -> Option<JobState> {
        use JobState::*;
        [Waiting, Ready, Running, Done, Failed, Uploading]
            .into_iter()
            .find(|s| *s as u8 == bits)
    }

    /// The name used in records and help.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Waiting => "waiting",
            JobState::Ready => "ready",
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Failed => "failed",
            JobState::Uploading => "uploading",
        }
    }

    /// Whether the job will never move again.
    pub fn ended(self) -> bool {
        matches!(self, JobState::Done | JobState::Failed)
    }
}

/// A process as the table names it: its record's number and the record's generation, so that a
/// record used again by another process is another owner. 0 is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Owner(pub u32);

impl Owner {
    /// Nobody.
    pub const NONE: Owner = Owner(0);
    /// Bits of the record's number.
    pub const INDEX_BITS: u32 = 12;

    /// The owner for a record's number (below 4,096) and its generation (20 bits, not 0).
    pub fn new(index: u32, generation: u32) -> Owner {
        Owner(generation << Owner::INDEX_BITS | (index & 0xfff))
    }

    /// The record's number.
    pub fn index(self) -> u32 {
        self.0 & 0xfff
    }

    /// The record's generation.
    pub fn generation(self) -> u32 {
        self.0 >> Owner::INDEX_BITS
    }

    /// Whether this names nobody.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// The word, taken apart and put together by plain functions.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word(pub u64);

impl Word {
    const STATE: u64 = 0b111;
    /// Somebody sleeps until the state changes.
    pub const WAITER: u64 = 1 << 3;
    /// Somebody sleeps until a range landed.
    pub const RANGE_WAITER: u64 = 1 << 4;
    const ATTEMPT_SHIFT: u32 = 5;
    /// The largest attempt number.
    pub const MAX_ATTEMPT: u32 = (1 << 27) - 1;

    /// A word with no waiters.
    pub fn new(state: u8, attempt: u32, owner: Owner) -> Word {
        Word(
            u64::from(state) & Word::STATE
                | u64::from(attempt & Word::MAX_ATTEMPT) << Word::ATTEMPT_SHIFT
                | u64::from(owner.0) << 32,
        )
    }

    /// The state's bits.
    pub fn state_bits(self) -> u8 {
        (self.0 & Word::STATE) as u8
    }

    /// The state of an object's word; `None` for a void or senseless one.
    pub fn object(self) -> Option<ObjectState> {
        ObjectState::from_bits(self.state_bits())
    }

    /// The state of a job's word; `None` for a void or senseless one.
    pub fn job(self) -> Option<JobState> {
        JobState::from_bits(self.state_bits())
    }

    /// How often it was claimed.
    pub fn attempt(self) -> u32 {
        (self.0 as u32) >> Word::ATTEMPT_SHIFT
    }

    /// Who holds the claim.
    pub fn owner(self) -> Owner {
        Owner((self.0 >> 32) as u32)
    }

    /// The waiters' bits.
    pub fn waiters(self) -> u64 {
        self.0 & (Word::WAITER | Word::RANGE_WAITER)
    }

    /// The 32 bits that the futex compares.
    pub fn futex(self) -> u32 {
        self.0 as u32
    }

    /// The same word with more bits set.
    pub fn with(self, bits: u64) -> Word {
        Word(self.0 | bits)
    }

    /// The same word with bits cleared.
    pub fn without(self, bits: u64) -> Word {
        Word(self.0 & !bits)
    }
}

impl std::fmt::Debug for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Word")
            .field("state", &self.state_bits())
            .field("waiter", &(self.0 & Word::WAITER != 0))
            .field("range_waiter", &(self.0 & Word::RANGE_WAITER != 0))
            .field("attempt", &self.attempt())
            .field("owner", &self.owner())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other() {
        let owner = Owner::new(4095, (1 << 20) - 1);
        let word = Word::new(ObjectState::Evicted as u8, Word::MAX_ATTEMPT, owner);
        assert_eq!(word.object(), Some(ObjectState::Evicted));
        assert_eq!((word.attempt(), word.owner()), (Word::MAX_ATTEMPT, owner));
        assert_eq!(word.waiters(), 0);
        let waited = word.with(Word::WAITER | Word::RANGE_WAITER);
        assert_eq!(waited.waiters(), Word::WAITER | Word::RANGE_WAITER);
        assert_eq!(waited.without(Word::WAITER | Word::RANGE_WAITER), word);
        assert_eq!((waited.attempt(), waited.owner()), (word.attempt(), owner));
        assert_eq!((owner.index(), owner.generation()), (4095, (1 << 20) - 1));
    }

    #[test]
    fn void_and_senseless_states_are_none() {
        assert_eq!(Word(0).object(), None);
        assert_eq!(Word(7).object(), None);
        assert_eq!(Word(7).job(), None);
    }
}
