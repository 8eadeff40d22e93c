//! Forking a process that has one thread.

use std::io::{self, Write};
use std::panic::AssertUnwindSafe;

use nix::unistd::ForkResult;
use rustix::process::Signal;

use crate::sys::pidfd::Child;
use crate::sys::{proc, signals};

/// The exit status of a child that panicked.
pub const PANICKED: i32 = 101;

/// Forks; the child runs `body`, and ends with the status that it returns. The child dies with
/// its parent. Refused when this process has more than one thread, because the child would
/// inherit locks that nobody can open.
pub fn fork(body: impl FnOnce() -> i32) -> io::Result<Child> {
    let threads = proc::threads()?;
    if threads != 1 {
        let text = format!("refusing to fork: this process has {threads} threads");
        return Err(io::Error::other(text));
    }
    // What stands in these buffers would be written twice. That a reader has gone away must not
    // keep a process from being started.
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    let parent = std::process::id();
    // SAFETY: the process has exactly one thread, checked above, so the child is a complete
    // copy and may run any code.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Child::open(child.as_raw().unsigned_abs()),
        ForkResult::Child => {
            let status = run_child(parent, body);
            // SAFETY: ends this process at once, without the parent's exit handlers.
            unsafe { nix::libc::_exit(status) }
        }
    }
}

fn run_child(parent: u32, body: impl FnOnce() -> i32) -> i32 {
    let _ = die_with_parent(parent);
    if signals::child_mask().is_err() {
        return PANICKED;
    }
    let status = std::panic::catch_unwind(AssertUnwindSafe(body)).unwrap_or(PANICKED);
    let _ = io::stdout().flush();
    let _ = io::stderr().flush();
    status
}

/// Asks the kernel to kill this process when its parent ends.
pub fn die_with_parent(parent: u32) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have ended before the request.
    let now = rustix::process::getppid().map_or(0, |p| p.as_raw_nonzero().get());
    if i32::try_from(parent).is_ok_and(|p| p != now) {
        rustix::process::kill_process(rustix::process::getpid(), Signal::KILL)?;
    }
    Ok(())
}
