//! Ending commands with the process that started them, and with everything that they leave behind.

use std::ffi::CString;
use std::io;
use std::sync::OnceLock;

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal as Handled, sigaction};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};

use super::proc;

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
    if has_no_child() {
        return;
    }
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

/// Whether there is no child, neither alive nor ended. Cheaper than a look into `/proc`.
fn has_no_child() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::All, options).err() == Some(rustix::io::Errno::CHILD)
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
