//! Bytes of a month, kept beyond the end of processes and machines.
//!
//! `$XDG_STATE_HOME/cotec/traffic/<endpoint>-<year>-<month>`: one line with a number for each
//! time that somebody saved what had come until then. Lines are only appended, so that processes
//! need no lock; the sum counts. What is not saved yet stands in the shared segment, where a
//! killed process leaves it for the next one. An approximation: bytes within ten seconds of the
//! end of a month may be booked on the next, and a crash of the machine loses up to 64 MiB.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::sys::sync::{AtomicU64, Ordering};

/// So much is saved at a time.
const PORTION: u64 = 64 << 20;
/// After so long less is saved too.
const INTERVAL: u64 = 10_000_000_000;
/// How often it is looked what others have saved.
const READ: u64 = 1_000_000_000;
/// No more can have come between two times of saving, so a greater number is damage.
const MOST: u64 = 1 << 40;
/// A file of a month is not longer; what is longer is not read to its end.
const MOST_FILE: u64 = 64 << 20;

/// The bytes of one endpoint.
#[derive(Debug)]
pub(super) struct Month {
    /// Without a directory nothing is kept.
    dir: Option<PathBuf>,
    endpoint: String,
    limit: u64,
    saved_at: AtomicU64,
    /// When the file was last read; 0 to read it again.
    read_at: AtomicU64,
    read: Mutex<Sum>,
}

/// What the file of a month says, as far as it was read.
#[derive(Debug, Default)]
struct Sum {
    month: String,
    offset: u64,
    bytes: u64,
}

impl Month {
    pub fn new(dir: Option<PathBuf>, endpoint: &str, limit: u64) -> Month {
        let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        Month {
            dir,
            endpoint: endpoint
                .chars()
                .map(|c| if fit(c) { c } else { '_' })
                .take(200)
                .collect(),
            limit,
            saved_at: AtomicU64::new(0),
            read_at: AtomicU64::new(0),
            read: Mutex::default(),
        }
    }

    /// Adds bytes to what is not saved yet, and saves it when it is time.
    pub fn add(&self, pending: &AtomicU64, bytes: u64, now: u64) {
        let before = pending.fetch_add(bytes, Ordering::SeqCst);
        let mut last = self.saved_at.load(Ordering::Relaxed);
        if last == 0 {
            self.saved_at.store(now, Ordering::Relaxed);
            last = now;
        }
        if before.saturating_add(bytes) >= PORTION || now.saturating_sub(last) >= INTERVAL {
            self.saved_at.store(now, Ordering::Relaxed);
            self.save(pending);
        }
    }

    /// Saves what is not saved yet.
    pub fn save(&self, pending: &AtomicU64) {
        let bytes = pending.swap(0, Ordering::SeqCst);
        if bytes == 0 || bytes > MOST {
            return;
        }
        let Some(dir) = &self.dir else {
            self.read
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .bytes += bytes;
            return;
        };
        let written = fs::create_dir_all(dir).and_then(|()| {
            let mut file = OpenOptions::new()
                .append(true)
                .create(true)
                .mode(0o600)
                .open(self.file(dir, &this_month()))?;
            file.write_all(format!("{bytes}\n").as_bytes())
        });
        self.read_at.store(0, Ordering::Relaxed);
        if let Err(error) = written {
            tracing::warn!(
                "the bytes of this month cannot be kept in {}: {error}",
                dir.display()
            );
        }
    }

    /// How many bytes of this month are left.
    pub fn left(&self, pending: &AtomicU64, now: u64) -> u64 {
        let mut sum = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let last = self.read_at.load(Ordering::Relaxed);
        if let Some(dir) = &self.dir
            && (last == 0 || now.saturating_sub(last) >= READ)
        {
            self.read_at.store(now.max(1), Ordering::Relaxed);
            let month = this_month();
            if sum.month != month {
                *sum = Sum {
                    month,
                    ..Sum::default()
                };
            }
            let file = self.file(dir, &sum.month);
            // No file: nothing was saved this month.
            let _ = sum.read_on(&file);
        }
        let open = pending.load(Ordering::SeqCst);
        let open = if open > MOST { 0 } else { open };
        self.limit.saturating_sub(sum.bytes).saturating_sub(open)
    }

    fn file(&self, dir: &Path, month: &str) -> PathBuf {
        dir.join(format!("{}-{month}", self.endpoint))
    }
}

impl Sum {
    /// Adds the lines that were appended since. A line that is no number counts nothing.
    fn read_on(&mut self, path: &Path) -> std::io::Result<()> {
        let mut file = fs::File::open(path)?;
        if file.metadata()?.len() < self.offset {
            (self.offset, self.bytes) = (0, 0);
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = Vec::new();
        file.take(MOST_FILE.saturating_sub(self.offset))
            .read_to_end(&mut text)?;
        // A line that is being written is read the next time.
        let whole = text
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        for line in text[..whole].split(|b| *b == b'\n') {
            let number = std::str::from_utf8(line)
                .ok()
                .and_then(|l| l.parse::<u64>().ok());
            self.bytes = self
                .bytes
                .saturating_add(number.filter(|n| *n <= MOST).unwrap_or(0));
        }
        self.offset += whole as u64;
        Ok(())
    }
}

/// Such as `2026-11`, in UTC.
fn this_month() -> String {
    let now = Timestamp::now().to_zoned(TimeZone::UTC);
    format!("{:04}-{:02}", now.year(), now.month())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_kept_and_seen_by_others() {
        let dir = tempfile::tempdir().unwrap();
        let here = Some(dir.path().join("a/b"));
        let pending = AtomicU64::new(0);
        let one = Month::new(here.clone(), "host:80/../x", 1 << 30);
        let two = Month::new(here.clone(), "host:80/../x", 1 << 30);
        assert_eq!(one.left(&pending, 10000000000), 1 << 30);
        one.add(&pending, PORTION, 1);
        assert_eq!(pending.load(Ordering::SeqCst), 0);
        two.add(&pending, 1, 2);
        assert_eq!(two.left(&pending, 20000000000), (1 << 30) - PORTION - 1);
        two.save(&pending);
        assert_eq!(one.left(&pending, 30000000000), (1 << 30) - PORTION - 1);
        let three = Month::new(here, "host:80/../x", 5);
        assert_eq!(three.left(&AtomicU64::new(0), 40000000000), 0);
        let names: Vec<_> = fs::read_dir(dir.path().join("a/b"))
            .unwrap()
            .flatten()
            .collect();
        assert_eq!(names.len(), 1);
    }

    #[test]
    fn what_cannot_be_counts_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let month = Month::new(Some(dir.path().to_owned()), "h", 1_000);
        let file = month.file(dir.path(), &this_month());
        fs::write(
            &file,
            b"10\n\xff\xfe\n-4\n99999999999999999999999\n18446744073709551615\n\n5",
        )
        .unwrap();
        assert_eq!(month.left(&AtomicU64::new(u64::MAX), 50000000000), 990);
        // The last line ends, and another comes.
        fs::write(
            &file,
            b"10\n\xff\xfe\n-4\n99999999999999999999999\n18446744073709551615\n\n57\n",
        )
        .unwrap();
        assert_eq!(month.left(&AtomicU64::new(3), 60000000000), 930);
        // Somebody has begun it anew.
        fs::write(&file, b"1\n").unwrap();
        assert_eq!(month.left(&AtomicU64::new(0), 70000000000), 999);
        let pending = AtomicU64::new(u64::MAX - 1);
        month.add(&pending, 1, 1);
        assert_eq!(month.left(&pending, 80000000000), 999);
    }

    #[test]
    fn without_a_directory_this_process_still_counts() {
        let month = Month::new(None, "h", 1 << 30);
        let pending = AtomicU64::new(0);
        month.add(&pending, PORTION, 1);
        assert_eq!(month.left(&pending, 90000000000), (1 << 30) - PORTION);
    }
}
