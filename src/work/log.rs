//! What a command prints: a pipe, and a file in the directory of the results.
//!
//! The file is made with the first byte, and bounded; the rest is read and dropped, so that a
//! command that prints without end neither fills the disk nor waits.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::pipe::PipeFlags;

/// How much of the end of a command's output is shown when it fails.
const END_BYTES: usize = 2000;
/// The most of a command's output that is kept.
pub(super) const KEPT_BYTES: u64 = 64 << 20;
/// What a pipe holds at most unless told otherwise.
const PIECE: usize = 64 << 10;

/// A pipe for the output of one command after the other. The worker keeps both ends, so that it
/// is never at its end, and nobody is woken by that.
pub(super) struct Outlet {
    read: OwnedFd,
    write: OwnedFd,
    piece: Vec<u8>,
}

impl Outlet {
    pub fn open() -> io::Result<Outlet> {
        let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
        // Of the reading end alone: a command's writes wait as usual.
        rustix::fs::fcntl_setfl(&read, OFlags::NONBLOCK)?;
        let piece = vec![0; PIECE];
        Ok(Outlet { read, write, piece })
    }

    /// For the command.
    pub fn entry(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }

    /// Becomes readable when the command has printed something.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    /// Moves what the pipe holds into the log; false if it was empty.
    pub fn pass(&mut self, log: &mut Log) -> bool {
        match rustix::io::read(&self.read, &mut self.piece) {
            Ok(len) if len > 0 => {
                log.add(self.piece.get(..len).unwrap_or_default());
                true
            }
            _ => false,
        }
    }
}

/// The file with what the command of one job has printed.
pub(super) struct Log {
    path: PathBuf,
    file: Option<File>,
    seen: u64,
    end: Vec<u8>,
    error: Option<io::Error>,
}

impl Log {
    pub fn new(path: PathBuf) -> Log {
        Log {
            path,
            file: None,
            seen: 0,
            end: Vec::new(),
            error: None,
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let room = usize::try_from(KEPT_BYTES.saturating_sub(self.seen)).unwrap_or(usize::MAX);
        let kept = bytes.get(..room).unwrap_or(bytes);
        self.seen = self.seen.saturating_add(bytes.len() as u64);
        self.end.extend_from_slice(bytes);
        let surplus = self.end.len().saturating_sub(END_BYTES + 1);
        self.end.drain(..surplus);
        self.keep(kept);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || self.error.is_some() {
            return;
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => create(&self.path).and_then(|mut file| {
                let written = file.write_all(bytes);
                self.file = Some(file);
                written
            }),
        };
        self.error = written.err();
    }

    /// The command is over. The file, if anything was printed, and what is to be said about it.
    pub fn close(mut self) -> Printed {
        if self.seen == 0 {
            // One from an earlier run would be taken for this one's.
            let _ = fs::remove_file(&self.path);
            return Printed::default();
        }
        let dropped = self.seen.saturating_sub(KEPT_BYTES);
        if dropped > 0 {
            let last = format!("\n[cotec: {dropped} bytes more were printed and not kept]\n");
            self.keep(last.as_bytes());
        }
        let path = self.path.display();
        let note = self
            .error
            .map(|error| format!("{path} does not hold all that was printed: {error}"));
        Printed {
            end: end_of(&self.end),
            file: self.file.is_some().then_some(self.path),
            note,
        }
    }
}

/// What a command has printed.
#[derive(Debug, Default)]
pub(super) struct Printed {
    /// The file that has it.
    pub file: Option<PathBuf>,
    /// The last lines.
    pub end: String,
    /// Why the file has not all of it.
    pub note: Option<String>,
}

fn create(path: &Path) -> io::Result<File> {
    match File::create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            File::create(path)
        }
        other => other,
    }
}

/// The last lines of a text, of which more than [`END_BYTES`] are the end of a longer one.
fn end_of(bytes: &[u8]) -> String {
    let from = bytes.len().saturating_sub(END_BYTES);
    let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default());
    // What was cut off at the start is not shown as if it were a line.
    let text = match text.split_once('\n') {
        Some((_, rest)) if from > 0 => rest,
        _ => text.as_ref(),
    };
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(path: &Path, pieces: &[&[u8]]) -> Printed {
        let mut log = Log::new(path.to_owned());
        pieces.iter().for_each(|piece| log.add(piece));
        log.close()
    }

    #[test]
    fn the_end_of_a_long_output_starts_with_a_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p/log");
        assert_eq!(printed(&path, &[b"sho", b"rt\n"]).end, "short");
        assert_eq!(fs::read_to_string(&path).unwrap(), "short\n");
        let long: String = (0..1000).map(|i| format!("line {i}\n")).collect();
        let end = printed(&path, &[long.as_bytes()]).end;
        assert!(
            end.starts_with("line ") && end.ends_with("line 999"),
            "{end}"
        );
        assert!(printed(&path, &["é".repeat(5000).as_bytes()]).end.len() <= 2010);
        assert_eq!(printed(&path, &[]).file, None);
        assert!(!path.exists(), "an earlier one would be misleading");
    }

    #[test]
    fn a_log_is_bounded_and_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let piece = vec![b'x'; PIECE];
        let mut log = Log::new(path.clone());
        for _ in 0..KEPT_BYTES / PIECE as u64 + 2 {
            log.add(&piece);
        }
        log.add(b"\nlast\n");
        let printed = log.close();
        assert!(printed.end.ends_with("last") && printed.note.is_none());
        let size = fs::metadata(&path).unwrap().len();
        assert!(size > KEPT_BYTES && size < KEPT_BYTES + 200, "{size}");
        let said = format!("{} bytes more", 2 * PIECE + 6);
        assert!(fs::read_to_string(&path).unwrap().contains(&said));
    }
}
