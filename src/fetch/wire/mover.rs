//! From a socket to a file: through a pipe, without copying, or through a buffer.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::Instant;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

/// Bytes of the buffer, and of the pipe where the system allows it.
const ROOM: usize = 256 << 10;
const PIPE: usize = 1 << 20;

/// What a downloader moves bytes with; all its connections share it, one after the other.
#[derive(Debug)]
pub(super) struct Mover {
    pipe: RefCell<Option<(OwnedFd, OwnedFd)>>,
    buffer: RefCell<Vec<u8>>,
    /// The system or the file system does not splice.
    refused: Cell<bool>,
    /// Nanoseconds spent on writing to files.
    writing_ns: Cell<u64>,
}

/// What came of moving bytes.
#[derive(Debug)]
pub(super) enum Moved {
    /// So many bytes stand in the file; 0 at the end of the stream.
    Bytes(u64),
    /// The file cannot be written.
    File(io::Error),
}

impl Mover {
    pub fn new() -> Mover {
        Mover {
            pipe: RefCell::new(None),
            buffer: RefCell::new(Vec::new()),
            refused: Cell::new(false),
            writing_ns: Cell::new(0),
        }
    }

    /// Nanoseconds spent on writing to files since this was asked last.
    pub fn writing_ns(&self) -> u64 {
        self.writing_ns.take()
    }

    fn wrote_since(&self, begun: Instant) {
        let ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.writing_ns
            .set(self.writing_ns.get().saturating_add(ns));
    }

    /// Moves up to `most` bytes that have come from a socket to `at` in a file. `WouldBlock` when
    /// none have come.
    pub fn splice(&self, socket: impl AsFd, file: &File, at: u64, most: u64) -> io::Result<Moved> {
        if self.refused.get() {
            return self.copy(file, at, most, |buffer| {
                Ok(rustix::io::read(socket.as_fd(), buffer)?)
            });
        }
        let mut pipe = self.pipe.borrow_mut();
        let (out, into) = match &mut *pipe {
            Some(pipe) => pipe,
            none => none.insert(open_pipe()?),
        };
        let most = usize::try_from(most).unwrap_or(PIPE).min(PIPE);
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let came = match rustix::pipe::splice(socket.as_fd(), None, &*into, None, most, flags) {
            Ok(came) => came,
            Err(Errno::INVAL | Errno::NOSYS) => {
                drop(pipe);
                self.refused.set(true);
                return self.splice(socket, file, at, most as u64);
            }
            Err(error) => return Err(error.into()),
        };
        let begun = Instant::now();
        let mut to = at;
        let end = at + came as u64;
        while to < end {
            let left = (end - to) as usize;
            match rustix::pipe::splice(&*out, None, file, Some(&mut to), left, SpliceFlags::MOVE) {
                Ok(0) => return Ok(self.broken(&mut pipe, io::ErrorKind::WriteZero.into())),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    // What is in the pipe already is read from it.
                    self.refused.set(true);
                    let read = |buffer: &mut [u8]| Ok(rustix::io::read(&*out, buffer)?);
                    match self.copy(file, to, left as u64, read)? {
                        Moved::Bytes(n) => to += n,
                        Moved::File(error) => return Ok(self.broken(&mut pipe, error)),
                    }
                }
                Err(error) => return Ok(self.broken(&mut pipe, error.into())),
            }
        }
        self.wrote_since(begun);
        Ok(Moved::Bytes(came as u64))
    }

    /// A pipe that could not be emptied is not used again.
    fn broken(&self, pipe: &mut Option<(OwnedFd, OwnedFd)>, error: io::Error) -> Moved {
        *pipe = None;
        Moved::File(error)
    }

    /// The same through the buffer. `read` is asked until it has nothing more or the buffer is
    /// full.
    pub fn copy(
        &self,
        file: &File,
        at: u64,
        most: u64,
        read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Moved> {
        self.fill(most, read, |bytes| {
            let begun = Instant::now();
            let written = file.write_all_at(bytes, at);
            self.wrote_since(begun);
            written
        })
    }

    /// Reads up to `most` bytes into the buffer and hands them on.
    pub fn fill(
        &self,
        most: u64,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
        write: impl FnOnce(&[u8]) -> io::Result<()>,
    ) -> io::Result<Moved> {
        let mut buffer = self.buffer.borrow_mut();
        buffer.resize(ROOM, 0);
        let room = usize::try_from(most).unwrap_or(ROOM).min(ROOM);
        let mut came = 0;
        while came < room {
            match read(&mut buffer[came..room]) {
                Ok(0) => break,
                Ok(n) => came += n,
                // What broke off is told by the next call.
                Err(_) if came > 0 => break,
                Err(error) => return Err(error),
            }
        }
        if came > 0
            && let Err(error) = write(&buffer[..came])
        {
            return Ok(Moved::File(error));
        }
        Ok(Moved::Bytes(came as u64))
    }
}

fn open_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let pipe = rustix::pipe::pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    // A user who has many pipes gets smaller ones, which do as well.
    let _ = rustix::pipe::fcntl_setpipe_size(&pipe.1, PIPE);
    Ok(pipe)
}
