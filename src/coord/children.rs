//! The child processes of a run.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal as Handled;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::Signal;

use crate::sys::command::{end_children, kill_group};
use crate::sys::pidfd::{Child, Ended};
use crate::sys::signals::Signals;
use crate::values::Role;

use super::config::RunError;

/// Whether a signal asks to end the run. That a terminal was closed does not.
pub(super) fn ends_run(signal: Handled) -> bool {
    matches!(signal, Handled::SIGINT | Handled::SIGTERM)
}

/// Waits for a child that does one thing before or instead of a run; kills it when the run is to
/// end. `None` if it was.
pub(super) fn wait_for(child: &Child, signals: &Signals) -> Result<Option<Ended>, RunError> {
    loop {
        if let Some(ended) = child.ended().map_err(RunError::system("waitid"))? {
            return Ok(Some(ended));
        }
        sleep(
            [signals.fd(), child.fd()].into_iter(),
            Duration::from_secs(1),
        );
        while let Some(signal) = signals.next() {
            if ends_run(signal) {
                end(child)?;
                return Ok(None);
            }
        }
    }
}

/// Kills a child and takes its end.
pub(super) fn end(child: &Child) -> Result<(), RunError> {
    child.signal(Signal::KILL);
    while child.ended().map_err(RunError::system("waitid"))?.is_none() {
        sleep([child.fd()].into_iter(), Duration::from_secs(1));
    }
    Ok(())
}

/// Sleeps until one of `fds` becomes readable or `timeout` passes.
fn sleep<'a>(fds: impl Iterator<Item = BorrowedFd<'a>>, timeout: Duration) {
    let mut fds: Vec<PollFd<'_>> = fds
        .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
        .collect();
    let timeout = Timespec {
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // Whatever ended the sleep, the caller looks at everything.
    let _ = rustix::event::poll(&mut fds, Some(&timeout));
}

/// A child with its role.
pub(super) struct Kid {
    pub role: Role,
    pub child: Child,
}

/// All children. Those who only watch are waited for by nobody but who takes them out.
#[derive(Default)]
pub(super) struct Children {
    kids: Vec<Kid>,
    /// Who only watches the run, and outlives it.
    watchers: Vec<Kid>,
}

impl Children {
    pub fn add(&mut self, role: Role, child: Child) {
        self.kids.push(Kid { role, child });
    }

    pub fn add_watcher(&mut self, role: Role, child: Child) {
        self.watchers.push(Kid { role, child });
    }

    /// Takes a watcher out, for who ends it.
    pub fn take_watcher(&mut self, role: Role) -> Option<Child> {
        let at = self.watchers.iter().position(|kid| kid.role == role)?;
        Some(self.watchers.swap_remove(at).child)
    }

    pub fn is_empty(&self) -> bool {
        self.kids.is_empty()
    }

    /// Whether one of this role lives.
    pub fn has(&self, role: Role) -> bool {
        self.kids.iter().any(|kid| kid.role == role)
    }

    /// Sleeps until a child ends, `also` becomes readable, or `timeout` passes.
    pub fn sleep(&self, also: BorrowedFd<'_>, timeout: Duration) {
        let kids = self.kids.iter().chain(&self.watchers);
        let kids = kids.map(|kid| kid.child.fd());
        sleep(std::iter::once(also).chain(kids), timeout);
    }

    /// Ends what processors have left behind: all children that are none of these.
    pub fn end_strays(&self) {
        let kids = || self.kids.iter().chain(&self.watchers);
        end_children(|pid| kids().any(|kid| kid.child.pid() == pid));
    }

    /// Takes those who have ended out, with how.
    pub fn ended(&mut self) -> Vec<(Kid, Ended)> {
        let mut ended = Vec::new();
        for kids in [&mut self.kids, &mut self.watchers] {
            let mut at = 0;
            while at < kids.len() {
                match kids[at].child.ended() {
                    Ok(None) => at += 1,
                    Ok(Some(how)) => ended.push((kids.swap_remove(at), how)),
                    // Somebody else has waited for it: it is gone, and nobody knows how.
                    Err(_) => ended.push((kids.swap_remove(at), Ended::Killed(0))),
                }
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

    /// Kills one, if it is a child.
    pub fn kill(&self, pid: u32) {
        for kid in self.kids.iter().filter(|kid| kid.child.pid() == pid) {
            kid.child.signal(Signal::KILL);
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

/// Kills the commands of workers that are gone.
pub(super) fn end_groups(groups: impl IntoIterator<Item = u32>) {
    for group in groups {
        kill_group(group);
    }
}
