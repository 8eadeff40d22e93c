//! Commands that end with the process that started them.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use rustix::process::{Pid, Signal};

use super::fork::die_with_parent;

/// Starts a command in a process group of its own. The kernel kills it when this process ends;
/// what it starts in turn is ended with [`kill_group`].
pub fn spawn_group(command: &mut Command) -> io::Result<Child> {
    let parent = std::process::id();
    command.process_group(0);
    // SAFETY: runs between fork and exec and makes only system calls: prctl, getppid, kill.
    unsafe {
        command.pre_exec(move || die_with_parent(parent));
    }
    command.spawn()
}

/// Kills a whole process group; that it is gone already is no error.
pub fn kill_group(group: u32) {
    // 0 and 1 would mean our own group and everybody.
    if group > 1
        && let Some(pid) = i32::try_from(group).ok().and_then(Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_killed_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & sleep 1000"]);
        let mut child = spawn_group(&mut command).unwrap();
        kill_group(child.id());
        assert!(!child.wait().unwrap().success());
        kill_group(child.id());
    }
}
