//! A handle on a child that cannot come to mean another process.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus};

/// A child process.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    fd: OwnedFd,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It returned this status.
    Exited(i32),
    /// This signal killed it.
    Killed(i32),
}

impl Child {
    /// Opens a child that has not been waited for.
    pub fn open(pid: u32) -> io::Result<Child> {
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let raw = raw.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let fd = rustix::process::pidfd_open(raw, PidfdFlags::empty())?;
        Ok(Child { pid, fd })
    }

    /// A child that was made together with its descriptor.
    pub(super) fn of(pid: u32, fd: OwnedFd) -> Child {
        Child { pid, fd }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Becomes readable when the child ends.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Sends a signal; that the child has ended already is no error.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::pidfd_send_signal(&self.fd, signal);
    }

    /// Waits until the child ends, and takes its end.
    pub fn wait(&self) -> io::Result<Ended> {
        loop {
            let options = WaitIdOptions::EXITED;
            match rustix::process::waitid(WaitId::PidFd(self.fd.as_fd()), options) {
                Ok(Some(status)) => return Ok(Ended::from(status)),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the child's end without waiting; `None` while it lives.
    pub fn ended(&self) -> io::Result<Option<Ended>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let status = rustix::process::waitid(WaitId::PidFd(self.fd.as_fd()), options)?;
        Ok(status.map(Ended::from))
    }
}

impl From<WaitIdStatus> for Ended {
    fn from(status: WaitIdStatus) -> Ended {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Ended::Exited(code),
            (None, signal) => Ended::Killed(signal.unwrap_or(0)),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ended::Exited(code) => write!(f, "exit status {code}"),
            Ended::Killed(signal) => write!(f, "signal {signal}"),
        }
    }
}
