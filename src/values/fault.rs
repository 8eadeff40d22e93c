//! Why an object or a job failed, small enough for the table: a code and a number.

use std::fmt;

/// The kinds of failure. The numbers are part of the table's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FaultCode {
    /// The store has no such key. Detail: HTTP status.
    NotFound = 1,
    /// The store refused the credentials or the permission. Detail: HTTP status, or 0.
    Refused = 2,
    /// The object changed between planning and download. Detail: HTTP status.
    Changed = 3,
    /// The store could not be reached, or the connection kept breaking. Detail: attempts.
    Unreachable = 4,
    /// The store answered with an error. Detail: HTTP status.
    Server = 5,
    /// The answer was not what HTTP or S3 allow. Detail: 0.
    Protocol = 6,
    /// The staging directory could not be written. Detail: errno.
    Staging = 7,
    /// An input of the job failed. Detail: its slot.
    Input = 8,
    /// The processor returned an error. Detail: exit status, or 0 for a native one.
    Processor = 9,
    /// The processor was killed by a signal. Detail: the signal.
    ProcessorKilled = 10,
    /// The worker died on this job as often as is allowed. Detail: attempts.
    WorkerDied = 11,
    /// The processor ended well but its output file is not there. Detail: 0.
    NoOutput = 12,
    /// The output could not be written. Detail: errno.
    Output = 13,
    /// The job could not be planned, for example for want of a band. Detail: 0.
    Planning = 14,
    // 15 was of a code that nothing led to; the number is not used again.
    /// The bytes are not those that a checksum of the store or the product speaks of. Detail:
    /// downloads.
    Corrupt = 16,
    /// What the endpoint allows in a month is used up. Detail: 0.
    UsedUp = 17,
    /// The processor ran longer than its task allows. Detail: seconds.
    TimedOut = 18,
    /// The result could not be uploaded. Detail: 0.
    Upload = 19,
}

impl FaultCode {
    /// All codes, in the order of their numbers.
    pub const ALL: [FaultCode; 18] = [
        FaultCode::NotFound,
        FaultCode::Refused,
        FaultCode::Changed,
        FaultCode::Unreachable,
        FaultCode::Server,
        FaultCode::Protocol,
        FaultCode::Staging,
        FaultCode::Input,
        FaultCode::Processor,
        FaultCode::ProcessorKilled,
        FaultCode::WorkerDied,
        FaultCode::NoOutput,
        FaultCode::Output,
        FaultCode::Planning,
        FaultCode::Corrupt,
        FaultCode::UsedUp,
        FaultCode::TimedOut,
        FaultCode::Upload,
    ];

    /// A stable name for records and scripts.
    pub fn name(self) -> &'static str {
        match self {
            FaultCode::NotFound => "not-found",
            FaultCode::Refused => "refused",
            FaultCode::Changed => "changed",
            FaultCode::Unreachable => "unreachable",
            FaultCode::Server => "server",
            FaultCode::Protocol => "protocol",
            FaultCode::Staging => "staging",
            FaultCode::Input => "input",
            FaultCode::Processor => "processor",
            FaultCode::ProcessorKilled => "processor-killed",
            FaultCode::WorkerDied => "worker-died",
            FaultCode::NoOutput => "no-output",
            FaultCode::Output => "output",
            FaultCode::Planning => "planning",
            FaultCode::Corrupt => "corrupt",
            FaultCode::UsedUp => "used-up",
            FaultCode::TimedOut => "timed-out",
            FaultCode::Upload => "upload",
        }
    }

    /// Whether it says that the store is not there or not well, so that other objects will hardly
    /// fare better.
    pub fn is_the_stores(self) -> bool {
        matches!(self, FaultCode::Unreachable | FaultCode::Server)
    }

    /// What the person at the terminal can do about it.
    pub fn way_out(self) -> &'static str {
        match self {
            FaultCode::NotFound => "check the key with `cotec ls`; the product may be incomplete",
            FaultCode::Refused => "check the credentials, --profile, and the rights on the bucket",
            FaultCode::Changed => "the object was replaced during the run: run again",
            FaultCode::Unreachable => "check the network and --endpoint, then run again",
            FaultCode::Server => "the store has a fault of its own: run again later",
            FaultCode::Protocol => {
                "check that --endpoint is an S3 store and not a proxy or a web page"
            }
            FaultCode::Staging => {
                "make room in the staging directory, or choose another with --staging"
            }
            FaultCode::Input => "see the failure of the object that it names",
            FaultCode::Processor => "see what the processor says, or run it alone to find out why",
            FaultCode::ProcessorKilled => {
                "see the end of the job's log; signal 9 often means that memory ran out"
            }
            FaultCode::WorkerDied => {
                "the processor takes its worker down: run it alone to find out why"
            }
            FaultCode::NoOutput => "the processor must write the file that {out} names",
            FaultCode::Output => "make room in the output directory, or choose another with --out",
            FaultCode::Planning => {
                "check the product with `cotec ls`, and the task in the job file"
            }
            FaultCode::TimedOut => {
                "find out what the processor waits for, or raise the task's `timeout`"
            }
            FaultCode::Upload => {
                "see what the store said, and run again: what is done is not done again"
            }
            FaultCode::Corrupt => {
                "run again; if the same object fails again, the store's copy of it is damaged: tell whoever runs the store"
            }
            FaultCode::UsedUp => {
                "wait for the next month, or set bytes_per_month in [endpoint] or with --limit"
            }
        }
    }
}

/// A failure as it stands in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What kind.
    pub code: FaultCode,
    /// A number whose meaning the code names; 24 bits are kept.
    pub detail: u32,
}

impl Fault {
    /// A fault with its detail, cut to 24 bits.
    pub fn new(code: FaultCode, detail: u32) -> Fault {
        Fault {
            code,
            detail: detail & 0xff_ffff,
        }
    }

    /// As 32 bits, never 0.
    pub fn to_bits(self) -> u32 {
        (self.code as u32) << 24 | self.detail
    }

    /// From 32 bits; `None` for 0 and for codes that do not exist.
    pub fn from_bits(bits: u32) -> Option<Fault> {
        let code = FaultCode::ALL
            .into_iter()
            .find(|c| *c as u32 == bits >> 24)?;
        Some(Fault {
            code,
            detail: bits & 0xff_ffff,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let d = self.detail;
        match self.code {
            FaultCode::NotFound => write!(f, "not in the store{}", http(d)),
            FaultCode::Refused => write!(f, "refused by the store{}", http(d)),
            FaultCode::Changed => write!(f, "changed in the store since it was planned{}", http(d)),
            FaultCode::Unreachable => write!(f, "store unreachable after {d} attempts"),
            FaultCode::Server => write!(f, "the store answered with an error{}", http(d)),
            FaultCode::Protocol => write!(f, "the store's answer makes no sense{}", http(d)),
            FaultCode::Staging => write!(f, "staging not writable ({})", errno_text(d)),
            FaultCode::Input => write!(f, "an input failed (slot {d})"),
            FaultCode::Processor if d == 0 => write!(f, "the processor failed"),
            FaultCode::Processor => write!(f, "the processor ended with exit status {d}"),
            FaultCode::ProcessorKilled => write!(f, "the processor was killed by signal {d}"),
            FaultCode::WorkerDied => write!(f, "its worker died {d} times"),
            FaultCode::NoOutput => write!(f, "the processor wrote no output"),
            FaultCode::Output => write!(f, "output not writable ({})", errno_text(d)),
            FaultCode::Planning => write!(f, "could not be planned"),
            FaultCode::TimedOut => write!(f, "the processor ran longer than the {d} s of its task"),
            FaultCode::Upload => write!(f, "its result could not be uploaded"),
            FaultCode::Corrupt => {
                write!(f, "its bytes have the wrong checksum (download number {d})")
            }
            FaultCode::UsedUp => write!(f, "what the endpoint allows in a month is used up"),
        }
    }
}

/// A status in brackets; nothing where there was none.
fn http(status: u32) -> String {
    match status {
        0 => String::new(),
        status => format!(" (HTTP {status})"),
    }
}

fn errno_text(errno: u32) -> String {
    match i32::try_from(errno) {
        Ok(e) if e > 0 => std::io::Error::from_raw_os_error(e).to_string(),
        _ => "unknown error".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_go_and_come_back_and_nonsense_is_none() {
        for code in FaultCode::ALL {
            let fault = Fault::new(code, 0x123_4567);
            assert_eq!(Fault::from_bits(fault.to_bits()), Some(fault));
            assert!(!fault.to_string().is_empty() && !code.way_out().is_empty());
        }
        assert_eq!(Fault::from_bits(0), None);
        assert_eq!(Fault::from_bits(15 << 24), None, "the number of no code");
        assert_eq!(Fault::from_bits(u32::MAX), None);
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = FaultCode::ALL.iter().map(|c| c.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), FaultCode::ALL.len());
    }
}
