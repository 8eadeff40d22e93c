//! How a run ends, as scripts see it.

/// The exit codes of `cotec-coord` and `cotec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// All jobs are done.
    Done = 0,
    /// Some jobs failed, the rest are done.
    SomeFailed = 1,
    /// The command line or the job file is wrong.
    Usage = 2,
    /// The store cannot be reached or refused the credentials.
    Store = 3,
    /// Staging or output cannot be written, or is full.
    Local = 4,
    /// Interrupted; staging is kept.
    Interrupted = 130,
}

impl ExitCode {
    /// From the exit status of a child that ended with such a code.
    pub(super) fn from_status(status: i32) -> Option<ExitCode> {
        use ExitCode::*;
        [Done, SomeFailed, Usage, Store, Local, Interrupted]
            .into_iter()
            .find(|code| *code as i32 == status)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> std::process::ExitCode {
        std::process::ExitCode::from(code as u8)
    }
}
