//! The most that a table can hold. Memory is taken as the table fills, not at creation.

/// Capacities of a table, fixed when it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Objects (slots).
    pub objects: u32,
    /// Jobs.
    pub jobs: u32,
    /// Inputs of all jobs together.
    pub inputs: u32,
    /// Bytes for keys, job names and job payloads together.
    pub text_bytes: u64,
    /// Words for the landed grains of objects that have more than 32 grains.
    pub grain_words: u32,
    /// Processes that can be attached at one time, at most 4,096.
    pub processes: u32,
    /// Events kept until they are read; a power of two.
    pub events: u32,
}

impl Limits {
    /// log2 of the bytes of a grain, the unit in which landed bytes are published: 1 MiB.
    pub const GRAIN_SHIFT: u32 = 20;
    /// The longest key in bytes. S3 allows 1,024.
    pub const KEY_BYTES: usize = 4096;
    /// The longest payload of a job in bytes.
    pub const PAYLOAD_BYTES: usize = 1 << 20;
    /// The most inputs of one job.
    pub const INPUTS_OF_A_JOB: usize = 1 << 20;

    /// Limits for about `objects` objects of about 100-byte keys, with the rest in proportion.
    pub fn for_objects(objects: u32) -> Limits {
        let objects = objects.max(64);
        Limits {
            objects,
            jobs: objects,
            inputs: objects.saturating_mul(4),
            text_bytes: u64::from(objects) * 1024,
            // 512 TiB of objects larger than 32 MiB.
            grain_words: 1 << 24,
            processes: 1024,
            events: 1 << 16,
        }
    }
}

impl Default for Limits {
    /// Four million objects and jobs.
    fn default() -> Limits {
        Limits::for_objects(4 << 20)
    }
}
