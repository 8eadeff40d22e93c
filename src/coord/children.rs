//! The child processes of a run.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, WaitOptions};

use crate::sys::command::kill_group;
use crate::sys::pidfd::{Child, Ended};
use crate::sys::proc;
use crate::values::Role;

/// A child with its role.
pub(super) struct Kid {
    pub role: Role,
    pub child: Child,
}

/// All children.
#[derive(Default)]
pub(super) struct Children {
    kids: Vec<Kid>,
}

impl Children {
    pub fn add(&mut self, role: Role, child: Child) {
        self.kids.push(Kid { role, child });
    }

    pub fn is_empty(&self) -> bool {
        self.kids.is_empty()
    }

    /// Sleeps until a child ends, `also` becomes readable, or `timeout` passes.
    pub fn sleep(&self, also: BorrowedFd<'_>, timeout: Duration) {
        let mut fds: Vec<PollFd<'_>> = std::iter::once(also)
            .chain(self.kids.iter().map(|kid| kid.child.fd()))
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // Whatever ended the sleep, the caller looks at everything.
        let _ = rustix::event::poll(&mut fds, Some(&timeout));
    }

    /// Takes those who have ended out, with how.
    pub fn ended(&mut self) -> Vec<(Kid, Ended)> {
        let mut ended = Vec::new();
        let mut at = 0;
        while at < self.kids.len() {
            match self.kids[at].child.ended() {
                Ok(None) => at += 1,
                Ok(Some(how)) => ended.push((self.kids.swap_remove(at), how)),
                // Somebody else has waited for it: it is gone, and nobody knows how.
                Err(_) => ended.push((self.kids.swap_remove(at), Ended::Killed(0))),
            }
        }
        ended
    }

    /// Sends a signal to those whose role `which` picks.
    pub fn signal(&self, signal: Signal, which: impl Fn(Role) -> bool) {
        for kid in self.kids.iter().filter(|kid| which(kid.role)) {
            kid.child.signal(signal);
        }
    }

    /// Waits for all; kills those that still live after `grace`.
    pub fn finish(&mut self, grace: Duration) {
        let until = Instant::now() + grace;
        while !self.kids.is_empty() {
            if Instant::now() >= until {
                self.signal(Signal::KILL, |_| true);
            }
            if let Some(first) = self.kids.first() {
                self.sleep(first.child.fd(), Duration::from_millis(20));
            }
            self.ended();
        }
    }
}

/// Makes this process the parent of what its children leave behind.
pub(super) fn adopt_orphans() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Kills whatever processors have left behind, down to the last grandchild.
pub(super) fn end_orphans() {
    // Each round may bring up children of those that were killed.
    for _ in 0..1000 {
        let orphans = proc::children(std::process::id());
        if orphans.is_empty() {
            return;
        }
        for pid in orphans {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
            }
        }
    }
}

/// Kills the commands of workers that are gone.
pub(super) fn end_groups(groups: impl IntoIterator<Item = u32>) {
    for group in groups {
        kill_group(group);
    }
}
