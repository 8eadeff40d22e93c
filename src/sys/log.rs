//! Where the lines of a run's log go: straight to standard error, or, while somebody draws on the
//! terminal, through a pipe to whoever draws, so that the two do not garble each other.

use std::fs::File;
use std::io::{self, Read, Write, stderr};
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::pipe::{PipeFlags, pipe_with};

/// The pipe's end for writing, in this process and all that it forks; -1 without a pipe.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// What this process is in the run.
static ROLE: Mutex<&str> = Mutex::new("");

/// How long a line waits when the pipe is full before it is lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// Says what this process is in the run, for its lines.
pub fn set_role(name: &'static str) {
    if let Ok(mut role) = ROLE.lock() {
        *role = name;
    }
}

/// What this process is in the run; empty if it said nothing.
pub fn role() -> &'static str {
    ROLE.lock().map_or("", |role| *role)
}

/// Writes the log of this process; each write is one or more whole lines.
#[derive(Clone, Copy, Debug, Default)]
pub struct Writer;

impl Write for Writer {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let fd = PIPE.load(Ordering::Acquire);
        if fd < 0 || !send(fd, lines) {
            stderr().write_all(lines)?;
        }
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Puts lines into the pipe; false if nobody will read them there.
fn send(fd: RawFd, mut lines: &[u8]) -> bool {
    // SAFETY: the descriptor was opened by `Relay::open`, which never closes it.
    let pipe = unsafe { BorrowedFd::borrow_raw(fd) };
    while !lines.is_empty() {
        match rustix::io::write(pipe, lines) {
            Ok(n) => lines = lines.get(n..).unwrap_or_default(),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let mut fds = [PollFd::from_borrowed_fd(pipe, PollFlags::OUT)];
                let wait = Timespec {
                    tv_sec: 0,
                    tv_nsec: PATIENCE.subsec_nanos().into(),
                };
                // A reader that is stopped must not stop the run.
                if !matches!(rustix::event::poll(&mut fds, Some(&wait)), Ok(1..)) {
                    return true;
                }
            }
            Err(_) => return false,
        }
    }
    true
}

/// The reading end of the log, for whoever draws on the terminal.
#[derive(Debug)]
pub struct Relay {
    pipe: File,
    begun: Vec<u8>,
}

impl Relay {
    /// From now on the lines of this process and of all that it forks come here.
    pub fn open() -> io::Result<Relay> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // The writing end stays open as long as the process lives: forked processes have its number.
        PIPE.store(write.into_raw_fd(), Ordering::Release);
        Ok(Relay {
            pipe: read.into(),
            begun: Vec::new(),
        })
    }

    /// The lines that have come since the last call, without their ends.
    pub fn lines(&mut self) -> Vec<String> {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = self.pipe.read(&mut bytes) {
            self.begun.extend(bytes.get(..n).unwrap_or_default());
        }
        let end = self.begun.iter().rposition(|byte| *byte == b'\n');
        let whole: Vec<u8> = self.begun.drain(..end.map_or(0, |end| end + 1)).collect();
        String::from_utf8_lossy(&whole)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Relay {
    /// What comes later goes to standard error.
    fn drop(&mut self) {
        let fd = PIPE.swap(-1, Ordering::AcqRel);
        for line in self.lines() {
            let _ = writeln!(stderr(), "{line}");
        }
        if fd >= 0 {
            // SAFETY: the number was taken out, so nobody else in this process uses or closes it.
            drop(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_nothing_is_lost_when_nobody_draws_any_more() {
        let mut relay = Relay::open().unwrap();
        let fd = PIPE.load(Ordering::Acquire);
        assert!(fd >= 0);
        Writer.write_all(b"one\ntw").unwrap();
        assert_eq!(relay.lines(), ["one"]);
        Writer.write_all(b"o\n").unwrap();
        assert_eq!(relay.lines(), ["two"]);
        drop(relay);
        assert_eq!(PIPE.load(Ordering::Acquire), -1);
        Writer.write_all(b"").unwrap();
    }
}
