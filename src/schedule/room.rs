//! Whether there is room in staging for one more job's inputs.

/// What became of asking for room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The job may begin.
    Admitted,
    /// These slots are held by no admitted job: when they are evicted, there is room.
    MustRecycle(Vec<u32>),
    /// There is none until a job ends.
    Full,
}

/// The room in staging, and which admitted jobs hold what of it.
#[derive(Debug)]
pub struct Room {}

impl Room {
    /// Room for everything.
    pub fn unlimited() -> Room {
        Room {}
    }

    /// Asks for room for a job: its inputs as slots with their bytes, and the bytes of its
    /// scratch directory.
    pub fn admit(&mut self, _job: u32, _inputs: &[(u32, u64)], _scratch: u64) -> Admission {
        Admission::Admitted
    }

    /// A job is over. Gives the slots whose last admitted job it was.
    pub fn ended(&mut self, _job: u32) -> Vec<u32> {
        Vec::new()
    }

    /// A slot's bytes were removed from staging.
    pub fn recycled(&mut self, _slot: u32) {}

    /// Whether an admitted job may hold this slot.
    pub fn holds(&self, _slot: u32) -> bool {
        true
    }
}
