//! Signals as a file descriptor: the coordinator sleeps on it beside its children's pidfds.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals that the coordinator handles itself. It takes SIGHUP to let it pass: a run goes on
/// when its terminal is closed.
const HANDLED: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGCHLD,
];

/// Handled signals, blocked in this process and readable here.
pub struct Signals {
    fd: SignalFd,
}

impl Signals {
    /// Blocks the handled signals and opens the descriptor.
    pub fn open() -> io::Result<Signals> {
        let set: SigSet = HANDLED.into_iter().collect();
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Signals { fd })
    }

    /// Becomes readable when a handled signal came.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The next signal that came, if any.
    pub fn next(&self) -> Option<Signal> {
        let info = self.fd.read_signal().ok()??;
        Signal::try_from(i32::try_from(info.ssi_signo).ok()?).ok()
    }
}

/// In a forked child: SIGTERM works as usual again. SIGINT and SIGHUP stay blocked, because a
/// terminal sends them to all processes and the coordinator decides what they mean.
pub fn child_mask() -> io::Result<()> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGTERM);
    set.add(Signal::SIGCHLD);
    set.thread_unblock()?;
    Ok(())
}

/// From now on a write beyond the limit on the size of files (`ulimit -f`) is an error of that
/// write, and not the end of this process.
pub fn survive_file_limits() -> io::Result<()> {
    // SAFETY: no function is installed, so none can be called at a wrong moment.
    unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) }?;
    Ok(())
}
