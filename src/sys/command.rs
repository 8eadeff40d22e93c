//! Commands that end with the process that started them, and everything that they leave behind.

use std::ffi::CString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal as Handled, sigaction};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, WaitOptions};

use super::fork::die_with_parent;
use super::{proc, signals};

/// Starts a command in a process group of its own, with no signal blocked. The kernel kills it
/// when this process ends; what it starts in turn is ended with [`kill_group`].
///
/// With `memory` it may map so many bytes (RLIMIT_AS).
pub fn spawn_group(command: &mut Command, memory: Option<u64>) -> io::Result<Child> {
    let parent = std::process::id();
    command.process_group(0);
    // SAFETY: runs between fork and exec and makes only system calls: prctl, getppid, kill,
    // setrlimit, sigprocmask.
    unsafe {
        command.pre_exec(move || {
            die_with_parent(parent)?;
            if let Some(bytes) = memory {
                setrlimit(Resource::RLIMIT_AS, bytes, bytes)?;
            }
            signals::command_mask()
        });
    }
    command.spawn()
}

/// Waits for a command until it ends or `timeout` passes; `None` if it still runs.
pub fn wait_for(child: &mut Child, timeout: Option<Duration>) -> io::Result<Option<ExitStatus>> {
    let Some(timeout) = timeout else {
        return child.wait().map(Some);
    };
    let handle = super::pidfd::Child::open(child.id())?;
    let until = Instant::now() + timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        let mut fds = [PollFd::from_borrowed_fd(handle.fd(), PollFlags::IN)];
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        // Whatever ended the sleep, the next round looks.
        let _ = rustix::event::poll(&mut fds, Some(&left));
    }
}

/// Asks a whole process group to end.
pub fn end_group(group: u32) {
    signal_group(group, Signal::TERM);
}

/// Kills a whole process group; that it is gone already is no error.
pub fn kill_group(group: u32) {
    signal_group(group, Signal::KILL);
}

fn signal_group(group: u32, signal: Signal) {
    // 0 and 1 would mean our own group and everybody.
    if group > 1
        && let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Makes this process the parent of what its descendants leave behind.
pub fn adopt_orphans() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// Kills all children but those that `keep` picks, down to the last grandchild that comes up as
/// an orphan when its parent is killed.
pub fn end_children(keep: impl Fn(u32) -> bool) {
    // Each round may bring up children of those that were killed.
    for _ in 0..1000 {
        let mut strays = proc::children(std::process::id());
        strays.retain(|pid| !keep(*pid));
        if strays.is_empty() {
            return;
        }
        for pid in strays {
            if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
            }
        }
    }
}

/// `/proc/self/task/<pid>/children`, for the handler, which cannot make it.
static CHILDREN: OnceLock<CString> = OnceLock::new();

/// For a process that runs commands: adopts what they leave behind, and when it is asked to end
/// or its parent dies, takes all of them along, also those that have left their group.
pub fn take_commands_along() -> io::Result<()> {
    adopt_orphans()?;
    let path = format!("/proc/self/task/{}/children", std::process::id());
    let path = CString::new(path).map_err(io::Error::other)?;
    let _ = CHILDREN.set(path);
    let handler = SigHandler::Handler(end_with_children);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::all());
    // SAFETY: the handler makes only system calls and never returns.
    unsafe { sigaction(Handled::SIGTERM, &action) }?;
    // Until here the parent's death would have been a SIGKILL; one of the two is in force.
    let parent = rustix::process::getppid();
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    if rustix::process::getppid() != parent {
        rustix::process::kill_process(rustix::process::getpid(), Signal::TERM)?;
    }
    Ok(())
}

/// The handler of SIGTERM: kills child after child until there is none, then ends the process.
/// Everything here is async-signal-safe: system calls and memory on the stack.
extern "C" fn end_with_children(_: libc::c_int) {
    let mut text = [0u8; 4096];
    loop {
        let len = match CHILDREN.get() {
            // SAFETY: a path that ends with a zero, a buffer of the length given, and the
            // descriptor that was just opened.
            Some(path) => unsafe {
                let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
                let len = libc::read(fd, text.as_mut_ptr().cast(), text.len());
                libc::close(fd);
                usize::try_from(len).unwrap_or(0)
            },
            None => 0,
        };
        let (mut pid, mut killed): (libc::pid_t, bool) = (0, false);
        for byte in text.get(..len).unwrap_or_default() {
            match byte {
                b'0'..=b'9' => pid = pid.wrapping_mul(10).wrapping_add((byte - b'0').into()),
                // Each number is followed by a space; one that the end of the buffer has cut
                // would mean another process and is left for the next round.
                _ if pid > 1 => {
                    // SAFETY: kills a child of this process, not waited for yet, so the number
                    // is still its own; and the group that it may lead.
                    unsafe {
                        libc::kill(-pid, libc::SIGKILL);
                        libc::kill(pid, libc::SIGKILL);
                    }
                    (pid, killed) = (0, true);
                }
                _ => pid = 0,
            }
        }
        // SAFETY: waits for a child that has been killed; no status is asked for. Its children
        // are in the list of the next round. Without any, the process ends at once.
        unsafe {
            if !killed || libc::waitpid(-1, std::ptr::null_mut(), 0) < 0 {
                libc::_exit(128 + libc::SIGTERM);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_killed_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]);
        let mut child = spawn_group(&mut command, None).unwrap();
        kill_group(child.id());
        assert!(!child.wait().unwrap().success());
        kill_group(child.id());
    }
}
