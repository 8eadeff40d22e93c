//! What `/proc` says of a process.

use std::fs;
use std::io;

/// The process id of this process.
pub fn id() -> u32 {
    std::process::id()
}

/// When a process started, in clock ticks since boot; `None` if there is no such process.
/// With the pid it names a process for good: a pid comes back, the pair does not.
/// A zombie has ended, so it counts as gone, unless other threads of it have not stopped yet.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, spaces and parentheses too; the fields follow its last ')'.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let threads: u32 = fields.nth(16)?.parse().ok()?;
    let start = fields.nth(1)?.parse().ok()?;
    let ended = state == "X" || state == "Z" && threads <= 1;
    (!ended).then_some(start)
}

/// A name for the time since the machine was started; `None` if it does not say.
pub fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let id = id.trim();
    (!id.is_empty()).then(|| id.to_owned())
}

/// Number of threads of this process.
pub fn threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// Direct children of a process, oldest first.
pub fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|line| {
            line.split_ascii_whitespace()
                .filter_map(|p| p.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_start_time_and_a_thread() {
        assert!(start_time(std::process::id()).is_some_and(|t| t > 0));
        assert!(threads().unwrap() >= 1);
        assert_eq!(start_time(u32::MAX), None);
    }
}
