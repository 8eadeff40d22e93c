//! The small named segment by which other programs of the same user find a run.
//!
//! `/dev/shm/cotec-<uid>-<pid>`, readable and writable by this user alone. It holds a line of
//! JSON that says where the table is, and one-shot "started" events, each used once: a process
//! that dies while it waits on such an event may spoil it, so nothing that repeats uses one.

use std::fs;
use std::io;
use std::time::Duration;

use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};
use shared_memory::{Shmem, ShmemConf};

use super::proc;

/// Bytes of the segment.
const SIZE: usize = 4096;

/// The segment of a run; removed when the value that made it is dropped.
pub struct Segment {
    shm: Shmem,
}

/// A one-shot event in the segment.
pub struct Started {
    event: Box<dyn EventImpl>,
}

/// Bytes for the line; the events follow.
const LINE: usize = Segment::LINE;

impl Segment {
    /// A line is shorter than this, in bytes.
    pub const LINE: usize = 2048;

    /// Makes the segment of this process's run and writes `line` into it.
    pub fn create(line: &str) -> io::Result<Segment> {
        let prefix = format!("cotec-{}-", rustix::process::geteuid().as_raw());
        remove_left(&prefix);
        let shm = ShmemConf::new()
            .size(SIZE)
            .os_id(format!("{prefix}{}", std::process::id()))
            .create()
            .map_err(io::Error::other)?;
        let bytes = line.as_bytes();
        if bytes.len() >= LINE {
            return Err(io::Error::other("the announcement of the run is too long"));
        }
        // SAFETY: the segment was just made with SIZE bytes, more than LINE, and nobody else
        // has opened it for writing; the text ends with the zero that the new segment holds.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), shm.as_ptr(), bytes.len()) };
        Ok(Segment { shm })
    }

    /// Makes the segment's event anew, before the fork that it tells of. An earlier one must not
    /// be in use any more.
    pub fn started(&self) -> io::Result<Started> {
        // SAFETY: LINE is a multiple of any alignment, and SIZE - LINE bytes follow, far more
        // than the event needs; nothing else uses them.
        let made = unsafe { Event::new(self.shm.as_ptr().add(LINE), false) };
        let (event, _) = made.map_err(|e| io::Error::other(e.to_string()))?;
        Ok(Started { event })
    }
}

/// What a run says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The process that said it.
    pub pid: u32,
    /// The line of [`Segment::create`].
    pub line: String,
}

/// What the runs of this user say of themselves, those that were killed included as long as
/// nobody has removed what they left; the newest process last.
pub fn announced() -> Vec<Announced> {
    let prefix = format!("cotec-{}-", rustix::process::geteuid().as_raw());
    let entries = fs::read_dir("/dev/shm").into_iter().flatten().flatten();
    let mut all: Vec<Announced> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let pid = name.to_str()?.strip_prefix(&prefix)?.parse().ok()?;
            let bytes = fs::read(entry.path()).ok()?;
            let line = bytes.get(..LINE)?.split(|byte| *byte == 0).next()?;
            let line = String::from_utf8(line.to_vec()).ok()?;
            Some(Announced { pid, line })
        })
        .collect();
    all.sort_by_key(|one| one.pid);
    all
}

/// Removes what killed runs of this user could not remove: the segments of processes that are
/// gone, and one of an earlier process with this one's pid.
fn remove_left(prefix: &str) {
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(prefix));
        if let Some(pid) = pid.and_then(|pid| pid.parse().ok())
            && (pid == std::process::id() || proc::start_time(pid).is_none())
        {
            let _ = fs::remove_file(entry.path());
        }
    }
}

impl Started {
    /// Says that it has started.
    pub fn set(&self) -> io::Result<()> {
        self.event
            .set(EventState::Signaled)
            .map_err(|e| io::Error::other(e.to_string()))
    }

    /// Waits up to some whole seconds; true if it has started.
    pub fn wait(&self, seconds: u64) -> bool {
        self.event
            .wait(Timeout::Val(Duration::from_secs(seconds)))
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_there_for_others_and_goes_with_the_run() {
        let segment = Segment::create("{\"schema\":1}").unwrap();
        let path = format!(
            "/dev/shm/{}",
            segment.shm.get_os_id().trim_start_matches('/')
        );
        assert!(
            std::fs::read(&path)
                .unwrap()
                .starts_with(b"{\"schema\":1}\0")
        );
        let here = Announced {
            pid: std::process::id(),
            line: "{\"schema\":1}".into(),
        };
        assert!(announced().contains(&here));
        let started = segment.started().unwrap();
        assert!(!started.wait(1));
        started.set().unwrap();
        assert!(started.wait(1));
        drop(started);
        drop(segment);
        assert!(!std::path::Path::new(&path).exists());
        // One that a killed run of the same pid has left is replaced.
        let gone = path.replace(&std::process::id().to_string(), "4194304");
        for left in [&path, &gone] {
            fs::write(left, b"left").unwrap();
        }
        drop(Segment::create("{}").unwrap());
        assert!(!std::path::Path::new(&path).exists());
        assert!(!std::path::Path::new(&gone).exists());
    }
}
