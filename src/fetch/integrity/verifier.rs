//! Threads that compare landed files with what they have to be, beside the download.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::store::{Sum, Summer};
use crate::values::Verified;

use super::expect::{Expectation, Verdict};
use super::parts::PartSizes;

/// Bytes read at a time: what fits into a core's own cache.
const PIECE: usize = 256 << 10;

/// The outcome for one file.
#[derive(Debug)]
pub struct Checked {
    /// The number that it was given with.
    pub id: u64,
    /// What comparing gave, or why the file could not be read.
    pub verdict: io::Result<Verdict>,
}

struct Task {
    id: u64,
    file: File,
    size: u64,
    expectation: Expectation,
}

struct Shared {
    tasks: Mutex<mpsc::Receiver<Task>>,
    sizes: Mutex<PartSizes>,
    stop: AtomicBool,
    done: UnboundedSender<Checked>,
}

/// Its threads end with it, in the middle of a file if need be.
pub struct Verifier {
    tasks: Option<mpsc::Sender<Task>>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Verifier {
    /// Starts `threads` threads, at least one; the outcomes come from the receiver.
    pub fn start(threads: usize) -> (Verifier, UnboundedReceiver<Checked>) {
        let (tasks, queue) = mpsc::channel();
        let (done, outcomes) = unbounded_channel();
        let shared = Arc::new(Shared {
            tasks: Mutex::new(queue),
            sizes: Mutex::default(),
            stop: AtomicBool::new(false),
            done,
        });
        let work = || {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.work())
        };
        let threads = (0..threads.max(1)).map(|_| work()).collect();
        let verifier = Verifier {
            tasks: Some(tasks),
            shared,
            threads,
        };
        (verifier, outcomes)
    }

    /// Gives the first `size` bytes of a file to a thread; the outcome comes with the same `id`.
    pub fn give(&self, id: u64, file: File, size: u64, expectation: Expectation) {
        if let Some(tasks) = &self.tasks {
            // Fails only when all threads have ended, which they do after this value.
            let _ = tasks.send(Task {
                id,
                file,
                size,
                expectation,
            });
        }
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.tasks = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn work(&self) {
        let mut buffer = vec![0; PIECE];
        loop {
            let next = self
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .recv();
            let Ok(task) = next else {
                return;
            };
            let verdict = self.check(&task, &mut buffer);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let _ = self.done.send(Checked {
                id: task.id,
                verdict,
            });
        }
    }

    fn check(&self, task: &Task, buffer: &mut [u8]) -> io::Result<Verdict> {
        match task.expectation {
            Expectation::Nothing => Ok(Verdict::Right(Verified::Length)),
            Expectation::Bytes(expected, by) => {
                let mut summer = Summer::new(expected.algorithm());
                self.read(task, buffer, |bytes| summer.add(bytes))?;
                let found = summer.take();
                Ok(match found == expected {
                    true => Verdict::Right(by),
                    false => Verdict::Wrong {
                        expected,
                        found,
                        by,
                    },
                })
            }
            Expectation::Parts(expected, parts) => {
                let sizes = || self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
                let likely = sizes().likely(task.size, parts);
                if likely.is_empty() {
                    return Ok(Verdict::Right(Verified::Length));
                }
                let mut tried: Vec<InParts> = likely
                    .iter()
                    .map(|size| InParts::new(&expected, *size))
                    .collect();
                self.read(task, buffer, |bytes| {
                    tried.iter_mut().for_each(|t| t.add(bytes));
                })?;
                let fitted = tried
                    .into_iter()
                    .find_map(|mut t| (t.take() == expected).then_some(t.size));
                sizes().learn(fitted);
                // No size that was tried need be the right one: this proves nothing.
                Ok(Verdict::Right(match fitted {
                    Some(_) => Verified::Parts,
                    None => Verified::Length,
                }))
            }
        }
    }

    fn read(&self, task: &Task, buffer: &mut [u8], mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut at = 0;
        while at < task.size {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let left = usize::try_from(task.size - at).unwrap_or(usize::MAX);
            let len = left.min(buffer.len());
            match task.file.read_at(&mut buffer[..len], at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    each(&buffer[..n]);
                    at += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// The sum of the sums of parts of one size.
struct InParts {
    size: u64,
    /// Bytes until the present part ends.
    left: u64,
    part: Summer,
    all: Summer,
}

impl InParts {
    fn new(sum: &Sum, size: u64) -> InParts {
        InParts {
            size,
            left: size,
            part: Summer::new(sum.algorithm()),
            all: Summer::new(sum.algorithm()),
        }
    }

    fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let len = bytes
                .len()
                .min(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.part.add(&bytes[..len]);
            bytes = &bytes[len..];
            self.left -= len as u64;
            if self.left == 0 {
                self.end_part();
            }
        }
    }

    fn end_part(&mut self) {
        self.all.add(self.part.take().bytes());
        self.left = self.size;
    }

    fn take(&mut self) -> Sum {
        if self.left != self.size {
            self.end_part();
        }
        self.all.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Algorithm;
    use std::io::Write;

    fn check(bytes: &[u8], expectation: Expectation) -> io::Result<Verdict> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let (verifier, mut outcomes) = Verifier::start(2);
        verifier.give(7, file, bytes.len() as u64, expectation);
        let checked = outcomes.blocking_recv().unwrap();
        assert_eq!(checked.id, 7);
        checked.verdict
    }

    #[test]
    fn a_wrong_byte_is_seen_wherever_it_is() {
        let mut bytes: Vec<u8> = (0..PIECE as u32 * 2 + 5).map(|n| (n % 251) as u8).collect();
        let sum = Summer::of(Algorithm::Md5, &bytes);
        let expectation = Expectation::Bytes(sum, Verified::Md5);
        let verdict = check(&bytes, expectation).unwrap();
        assert_eq!(verdict, Verdict::Right(Verified::Md5));
        for at in [0, PIECE - 1, PIECE, bytes.len() - 1] {
            bytes[at] ^= 1;
            let verdict = check(&bytes, expectation).unwrap();
            assert!(matches!(verdict, Verdict::Wrong { expected, .. } if expected == sum));
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn sums_of_parts_prove_right_bytes_and_nothing_else() {
        let part = 5 << 20;
        let mut bytes = vec![7; part * 2 + 9];
        bytes[part] = 8;
        for algorithm in [Algorithm::Md5, Algorithm::Crc32] {
            let sums: Vec<u8> = bytes
                .chunks(part)
                .flat_map(|c| Summer::of(algorithm, c).bytes().to_vec())
                .collect();
            let sum = Summer::of(algorithm, &sums);
            let right = check(&bytes, Expectation::Parts(sum, 3)).unwrap();
            assert_eq!(right, Verdict::Right(Verified::Parts));
            bytes[3] ^= 1;
            let unknown = check(&bytes, Expectation::Parts(sum, 3)).unwrap();
            assert_eq!(unknown, Verdict::Right(Verified::Length));
            bytes[3] ^= 1;
        }
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error_and_an_empty_one_is_none() {
        let (verifier, mut outcomes) = Verifier::start(1);
        let sum = Summer::of(Algorithm::Md5, b"");
        let expectation = Expectation::Bytes(sum, Verified::Md5);
        verifier.give(1, tempfile::tempfile().unwrap(), 1, expectation);
        verifier.give(2, tempfile::tempfile().unwrap(), 0, expectation);
        let one = outcomes.blocking_recv().unwrap();
        assert_eq!(
            one.verdict.unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        let two = outcomes.blocking_recv().unwrap();
        assert_eq!(two.verdict.unwrap(), Verdict::Right(Verified::Md5));
    }
}
