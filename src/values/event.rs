//! What happened, in a record small enough for the table's ring.

/// What a process of a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// Creates the table, forks the others, reports.
    Coordinator = 1,
    /// Lists products, registers objects and jobs.
    Planner = 2,
    /// Turns wanted slots into bytes in staging.
    Downloader = 3,
    /// Runs processors.
    Worker = 4,
    /// The embedded S3 server.
    Server = 5,
    /// Attached from outside.
    Stranger = 6,
    /// Brings results to a store.
    Uploader = 7,
    /// Reads the events and writes what is to be seen of them.
    Recorder = 8,
    /// Answers with how the run stands, in the format of Prometheus.
    Exporter = 9,
}

impl Role {
    /// From its number.
    pub fn from_bits(bits: u8) -> Option<Role> {
        use Role::*;
        [
            Coordinator,
            Planner,
            Downloader,
            Worker,
            Server,
            Stranger,
            Uploader,
            Recorder,
            Exporter,
        ]
        .into_iter()
        .find(|r| *r as u8 == bits)
    }

    /// The name used in records and messages.
    pub fn name(self) -> &'static str {
        match self {
            Role::Coordinator => "coordinator",
            Role::Planner => "planner",
            Role::Downloader => "downloader",
            Role::Worker => "worker",
            Role::Server => "server",
            Role::Stranger => "stranger",
            Role::Uploader => "uploader",
            Role::Recorder => "recorder",
            Role::Exporter => "exporter",
        }
    }
}

/// What happened. The numbers are part of the table's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EventKind {
    /// An object was registered, or wanted again. Value: its size.
    ObjectWanted = 1,
    /// A downloader took it. Value: the attempt.
    ObjectFetching = 2,
    /// It is complete. Value: bytes fetched for it in this run, 0 if staging had it.
    ObjectReady = 3,
    /// It failed. Value: the fault's bits.
    ObjectFailed = 4,
    /// Its bytes were removed from staging. Value: its size.
    ObjectEvicted = 5,
    /// A job was registered. Value: its number of inputs.
    JobWaiting = 6,
    /// Its inputs are ready. Value: 0.
    JobReady = 7,
    /// A worker runs it. Value: the attempt.
    JobRunning = 8,
    /// Its result is in place. Value: 0, or 1 if an earlier run has done it.
    JobDone = 9,
    /// It failed. Value: the fault's bits.
    JobFailed = 10,
    /// Its worker died and it can be claimed again. Value: the attempt.
    JobHandedOn = 11,
    /// The planner has registered everything. Id: products. Value: jobs.
    Planned = 12,
    /// A sentence for the user. Id: 1 for an error, else 0. Value: where its text stands.
    Note = 13,
    /// A request is tried again. Id: the slot. Value: the fault's bits.
    Retry = 14,
    /// A job failed and is to be run again. Value: the fault's bits.
    JobPostponed = 15,
    /// Its results are complete and wait to be uploaded. Value: the attempt, or 0 if whoever
    /// uploaded them has died.
    JobUploading = 16,
    /// Somebody uploads its results. Value: the attempt.
    UploadBegun = 17,
    /// A detail: a process has joined. Id: its pid.
    Joined = 18,
    /// A detail: a part is asked for. Id: the slot. Value: the line and the bytes, see
    /// [`on_line`].
    PartBegun = 19,
    /// A detail: the head of its answer is there. Id: the slot. Value: the line and 0.
    PartAnswered = 20,
    /// A detail: it has landed, or its request has ended otherwise. Id: the slot. Value: the line
    /// and the bytes that have landed.
    PartEnded = 21,
    /// A detail: somebody has waited for an object. Id: the slot. Value: nanoseconds.
    Waited = 22,
    /// A detail: what the downloader may do from now on. Id: connections. Value: bytes of a part.
    Setting = 23,
    /// A detail: a worker has started a job's command. Id: the job. Value: the command's pid.
    CommandBegun = 24,
    /// A detail: that command has ended. Id and value as before.
    CommandEnded = 25,
}

impl EventKind {
    /// Whether it is written only where somebody records the details of a run.
    pub fn is_detail(self) -> bool {
        use EventKind::*;
        matches!(
            self,
            Joined
                | PartBegun
                | PartAnswered
                | PartEnded
                | Waited
                | Setting
                | CommandBegun
                | CommandEnded
        )
    }

    /// From its number.
    pub fn from_bits(bits: u8) -> Option<EventKind> {
        use EventKind::*;
        [
            ObjectWanted,
            ObjectFetching,
            ObjectReady,
            ObjectFailed,
            ObjectEvicted,
            JobWaiting,
            JobReady,
            JobRunning,
            JobDone,
            JobFailed,
            JobHandedOn,
            Planned,
            Note,
            Retry,
            JobPostponed,
            JobUploading,
            UploadBegun,
            Joined,
            PartBegun,
            PartAnswered,
            PartEnded,
            Waited,
            Setting,
            CommandBegun,
            CommandEnded,
        ]
        .into_iter()
        .find(|k| *k as u8 == bits)
    }
}

/// Bits of a value that count bytes where a line stands above them.
const LINE_SHIFT: u32 = 48;

/// A line and a number of bytes in one value.
pub fn on_line(line: u16, bytes: u64) -> u64 {
    u64::from(line) << LINE_SHIFT | bytes.min((1 << LINE_SHIFT) - 1)
}

/// The line and the bytes of a value.
pub fn line_of(value: u64) -> (u16, u64) {
    (
        (value >> LINE_SHIFT) as u16,
        value & ((1 << LINE_SHIFT) - 1),
    )
}

/// One record of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// When, in nanoseconds of the run's clock.
    pub at_ns: u64,
    /// What.
    pub kind: EventKind,
    /// The role of the process that did it.
    pub role: Role,
    /// The number of that process's record.
    pub process: u16,
    /// The slot or job that it is about.
    pub id: u32,
    /// A number whose meaning the kind names.
    pub value: u64,
}
