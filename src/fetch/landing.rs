//! Landing files: where an object's bytes stand until all of them are there.
//!
//! An object of more than one grain lands in a file named after its key, `%~landing/k<hash>`, with
//! a record beside it, `k<hash>.parts`: a line of JSON that says which object it is, and a line
//! `START END` for each range that has landed. The next run finds both and fetches what is
//! missing. What is smaller, or has no ETag by which it could be known again, lands in
//! `%~landing/<slot>.<attempt>`, and nothing of it outlives the run.
//!
//! A line is written after its bytes, so a death loses at most what was on its way. After a loss
//! of power the bytes of a line that is there may be missing: so a record counts only until the
//! machine is started again.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::FallocateFlags;
use serde::{Deserialize, Serialize};

use crate::sys::proc;
use crate::table::ObjectClaim;
use crate::values::{ByteRange, Limits, staged};

/// A record's first line is not longer: key, bucket and ETag with every byte escaped.
const HEAD_BYTES: u64 = 64 << 10;
/// Lines that are read of a record: one for each grain of the largest object of S3, twice.
const MAX_LINES: usize = 10 << 20;

/// The first line of a record: which object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    schema: u32,
    /// Which start of the machine.
    boot: String,
    bucket: String,
    key: String,
    size: u64,
    etag: String,
}

/// A file that an object's bytes land in.
#[derive(Debug)]
pub(super) struct Landing {
    pub path: PathBuf,
    pub file: Rc<File>,
    /// Whether it holds what an earlier attempt or run left.
    pub adopted: bool,
    /// What an earlier attempt or run noted as landed, in the order in which it came.
    pub ranges: Vec<ByteRange>,
    record: Option<Record>,
}

#[derive(Debug)]
struct Record {
    path: PathBuf,
    file: File,
    head_len: u64,
    end: std::cell::Cell<u64>,
    /// It could not be written: what landed since is not known to the next run.
    broken: std::cell::Cell<bool>,
}

/// The landing files of a bucket's objects.
#[derive(Debug)]
pub(super) struct Landings {
    root: PathBuf,
    bucket: String,
    boot: Option<String>,
    /// Landing files of earlier runs, or of a downloader that died, that nobody asked for yet.
    left: HashSet<PathBuf>,
}

impl Landings {
    /// Looks which landing files there are.
    pub fn open(root: &Path, bucket: &str) -> Landings {
        let found = fs::read_dir(root.join(staged::LANDING))
            .into_iter()
            .flatten()
            .flatten();
        let files = found.map(|entry| entry.path());
        Landings {
            root: root.to_owned(),
            bucket: bucket.to_owned(),
            boot: proc::boot(),
            left: files
                .filter(|path| !is_record(path) && record_of(path).exists())
                .collect(),
        }
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Opens the landing file of a claimed object: what an earlier attempt or run left of it (its
    /// process is dead, or the claim and the staging directory would not have been given), else a
    /// new one. Where the disk has no room for it, what earlier runs left is removed.
    pub fn take(
        &mut self,
        claim: ObjectClaim,
        key: &str,
        size: u64,
        etag: Option<&str>,
    ) -> io::Result<Landing> {
        let mut opened = self.open_one(claim, key, size, etag);
        if opened
            .as_ref()
            .is_err_and(|e| e.kind() == io::ErrorKind::StorageFull)
        {
            for path in self.left.drain() {
                remove(&path);
            }
            opened = self.open_one(claim, key, size, etag);
        }
        opened
    }

    fn open_one(
        &mut self,
        claim: ObjectClaim,
        key: &str,
        size: u64,
        etag: Option<&str>,
    ) -> io::Result<Landing> {
        let head = etag.zip(self.boot.as_ref()).map(|(etag, boot)| Head {
            schema: 1,
            boot: boot.clone(),
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            size,
            etag: etag.to_owned(),
        });
        match head.filter(|_| size > 1 << Limits::GRAIN_SHIFT) {
            Some(head) => {
                let path = staged::landing_path_of_key(&self.root, &self.bucket, key);
                self.left.remove(&path);
                Landing::of_key(&self.root, path, &head)
            }
            None => Landing::of_slot(&self.root, claim, size),
        }
    }
}

impl Landing {
    fn of_slot(root: &Path, claim: ObjectClaim, size: u64) -> io::Result<Landing> {
        let path = staged::landing_path(root, claim.slot.0, claim.attempt);
        let before = staged::landing_path(root, claim.slot.0, claim.attempt.saturating_sub(1));
        let adopted = match claim.attempt {
            0 | 1 => false,
            _ => match fs::rename(&before, &path) {
                Ok(()) => true,
                Err(e) if e.kind() == io::ErrorKind::NotFound => false,
                Err(e) => return Err(e),
            },
        };
        let file = open_in(root, &path)?;
        if !adopted {
            reserve(&file, size).inspect_err(|_| remove(&path))?;
        }
        Ok(Landing {
            path,
            file: Rc::new(file),
            adopted,
            ranges: Vec::new(),
            record: None,
        })
    }

    fn of_key(root: &Path, path: PathBuf, head: &Head) -> io::Result<Landing> {
        let record = record_of(&path);
        if let Some((record, ranges)) = Record::adopt(&record, head)
            && let Ok(file) = File::options().read(true).write(true).open(&path)
            && file.metadata()?.len() == head.size
        {
            return Ok(Landing {
                path,
                file: Rc::new(file),
                adopted: true,
                ranges,
                record: Some(record),
            });
        }
        // The record first: it must never stand beside bytes that it does not speak of.
        remove(&path);
        let file = open_in(root, &path)?;
        reserve(&file, head.size).inspect_err(|_| remove(&path))?;
        Ok(Landing {
            record: Record::create(&record, head).ok(),
            path,
            file: Rc::new(file),
            adopted: false,
            ranges: Vec::new(),
        })
    }

    /// Notes that a range of whole grains has landed, all of whose bytes are written.
    pub fn landed(&self, range: ByteRange) {
        if let Some(record) = &self.record {
            record.add(range);
        }
    }

    /// Forgets what has landed: the bytes are not to be trusted.
    pub fn forget(&self) {
        if let Some(record) = &self.record {
            record.clear();
        }
    }

    /// Takes the record away, after the file has got its final place.
    pub fn placed(&self) {
        if let Some(record) = &self.record {
            let _ = fs::remove_file(&record.path);
        }
    }

    /// Takes file and record away, unless the next run may `keep` them.
    pub fn leave(&self, keep: bool) {
        if !(keep && self.record.as_ref().is_some_and(Record::says_something)) {
            remove(&self.path);
        }
    }
}

impl Record {
    fn create(path: &Path, head: &Head) -> io::Result<Record> {
        let mut line = serde_json::to_vec(head)?;
        line.push(b'\n');
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(path)?;
        file.write_all(&line)?;
        let head_len = line.len() as u64;
        Ok(Record {
            path: path.to_owned(),
            file,
            head_len,
            end: head_len.into(),
            broken: false.into(),
        })
    }

    /// Opens the record of this very object; `None` where there is none.
    fn adopt(path: &Path, head: &Head) -> Option<(Record, Vec<ByteRange>)> {
        let file = File::options().read(true).write(true).open(path).ok()?;
        let mut reader = BufReader::new(&file);
        let (found, head_len) = read_head(&mut reader)?;
        if found != *head {
            return None;
        }
        let (mut ranges, mut end) = (Vec::new(), head_len);
        let mut line = String::new();
        while ranges.len() < MAX_LINES {
            line.clear();
            match reader.by_ref().take(64).read_line(&mut line) {
                // Cut in the middle: what follows overwrites it.
                Ok(_) if !line.ends_with('\n') => break,
                Ok(len) => end += len as u64,
                Err(_) => break,
            }
            ranges.extend(range_in(&line, head.size));
        }
        file.set_len(end).ok()?;
        let record = Record {
            path: path.to_owned(),
            file,
            head_len,
            end: end.into(),
            broken: false.into(),
        };
        Some((record, ranges))
    }

    fn says_something(&self) -> bool {
        self.end.get() > self.head_len
    }

    fn add(&self, range: ByteRange) {
        let line = format!("{} {}\n", range.start, range.end);
        let end = self.end.get();
        if self.broken.get() || self.file.write_all_at(line.as_bytes(), end).is_err() {
            // Half a line must stay the last one.
            self.broken.set(true);
            return;
        }
        self.end.set(end + line.len() as u64);
    }

    fn clear(&self) {
        self.broken.set(self.file.set_len(self.head_len).is_err());
        self.end.set(self.head_len);
        if self.broken.get() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> Option<(Head, u64)> {
    let mut line = Vec::new();
    reader.take(HEAD_BYTES).read_until(b'\n', &mut line).ok()?;
    let text = line.strip_suffix(b"\n")?;
    let head: Head = serde_json::from_slice(text).ok()?;
    (head.schema == 1).then_some((head, line.len() as u64))
}

/// A range of whole grains of an object.
fn range_in(line: &str, size: u64) -> Option<ByteRange> {
    let (start, end) = line.strip_suffix('\n')?.split_once(' ')?;
    let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
    let grain = 1 << Limits::GRAIN_SHIFT;
    let whole = start.is_multiple_of(grain) && (end.is_multiple_of(grain) || end == size);
    (whole && start < end && end <= size).then(|| ByteRange::new(start, end))
}

/// Removes what no run can use of the landing files that earlier runs left.
pub(super) fn keep_usable(root: &Path) -> io::Result<()> {
    let dir = root.join(staged::LANDING);
    fs::create_dir_all(&dir)?;
    let boot = proc::boot();
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        let (data, record) = match is_record(&path) {
            true => (path.with_extension(""), path.clone()),
            false => (path.clone(), record_of(&path)),
        };
        let head = File::open(&record).ok().and_then(|file| {
            let (head, _) = read_head(&mut BufReader::new(file))?;
            Some(head)
        });
        let usable = head.is_some_and(|head| {
            Some(&head.boot) == boot.as_ref()
                && fs::metadata(&data).is_ok_and(|m| m.is_file() && m.len() == head.size)
        });
        if usable {
            continue;
        }
        let gone = match fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        match gone {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// Removes all landing files: there is nothing that another run could go on with.
pub(super) fn remove_all(root: &Path) {
    let found = fs::read_dir(root.join(staged::LANDING))
        .into_iter()
        .flatten()
        .flatten();
    for entry in found {
        let _ = fs::remove_file(entry.path());
    }
}

/// Whether a landing file is named after a slot: nothing else can go on with it.
pub(super) fn is_of_slot(path: &Path) -> bool {
    let in_landing = path
        .parent()
        .is_some_and(|dir| dir.ends_with(staged::LANDING));
    let name = path.file_name().and_then(|name| name.to_str());
    in_landing && name.is_some_and(|name| !name.starts_with('k'))
}

const RECORD: &str = "parts";

fn is_record(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == RECORD)
}

fn record_of(path: &Path) -> PathBuf {
    path.with_extension(RECORD)
}

/// A landing file and its record, the record first.
pub(super) fn remove(path: &Path) {
    let _ = fs::remove_file(record_of(path));
    let _ = fs::remove_file(path);
}

fn open_in(root: &Path, path: &Path) -> io::Result<File> {
    let open = || {
        File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
    };
    match open() {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(root.join(staged::LANDING))?;
            open()
        }
        other => other,
    }
}

/// Takes the disk space at once where the file system can, so that a full disk is known before
/// the download and not after it.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    // What is small is written at once, or fails at once.
    if size <= 1 << Limits::GRAIN_SHIFT {
        return Ok(());
    }
    // An object larger than what is free would fill the disk for everybody before it fails.
    if let Ok(disk) = rustix::fs::fstatvfs(file)
        && disk.f_blocks > 0
        && disk.f_bfree.saturating_mul(disk.f_frsize) < size
    {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => file.set_len(size),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::SlotId;

    const M: u64 = 1 << Limits::GRAIN_SHIFT;

    fn claim(slot: u32, attempt: u32) -> ObjectClaim {
        ObjectClaim {
            slot: SlotId(slot),
            attempt,
        }
    }

    #[test]
    fn the_next_attempt_adopts_the_file_of_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let mut landings = Landings::open(dir.path(), "b");
        let mut take = |attempt, size| landings.take(claim(3, attempt), "k", size, Some("e"));
        for size in [10, 3 * M] {
            let first = take(1, size).unwrap();
            assert!(!first.adopted);
            let second = take(2, size).unwrap();
            assert!(second.adopted);
            let len = second.file.metadata().unwrap().len();
            assert_eq!(len, if size > M { size } else { 0 });
        }
    }

    #[test]
    fn the_next_run_goes_on_with_the_same_object_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let (size, one) = (4 * M + 7, ByteRange::new(M, 2 * M));
        let end = ByteRange::new(3 * M, size);
        let take = |slot, key: &str, size, etag: Option<&str>| {
            keep_usable(dir.path()).unwrap();
            let mut landings = Landings::open(dir.path(), "b");
            landings.take(claim(slot, 1), key, size, etag).unwrap()
        };
        let first = take(1, "k", size, Some("e"));
        first.file.write_all_at(b"x", M).unwrap();
        first.landed(one);
        first.landed(end);
        let again = take(9, "k", size, Some("e"));
        assert!(again.adopted);
        assert_eq!(again.ranges, [one, end]);
        // Cut in the middle of a line, which then goes on as if it were not there.
        let record = record_of(&again.path);
        let whole = fs::read(&record).unwrap();
        fs::write(&record, &whole[..whole.len() - 3]).unwrap();
        let again = take(9, "k", size, Some("e"));
        assert_eq!(again.ranges, [one]);
        again.landed(end);
        assert_eq!(take(9, "k", size, Some("e")).ranges, [one, end]);
        assert!(!take(2, "l", size, Some("e")).adopted);
        assert!(!take(2, "k", size, None).adopted);
        // Another object under the same key.
        let other = take(2, "k", size, Some("f"));
        assert!(!other.adopted && other.ranges.is_empty());
        assert!(!take(2, "k", size, Some("e")).adopted);
        assert!(!take(2, "k", size + 1, Some("e")).adopted);
    }

    #[test]
    fn after_a_new_start_of_the_machine_nothing_is_believed() {
        let dir = tempfile::tempdir().unwrap();
        keep_usable(dir.path()).unwrap();
        let mut landings = Landings::open(dir.path(), "b");
        let landing = landings.take(claim(1, 1), "k", 3 * M, Some("e")).unwrap();
        landing.landed(ByteRange::new(0, M));
        let record = record_of(&landing.path);
        let text = fs::read_to_string(&record).unwrap();
        let boot = proc::boot().unwrap();
        fs::write(&record, text.replace(&boot, "another")).unwrap();
        keep_usable(dir.path()).unwrap();
        assert!(!landing.path.exists() && !record.exists());
    }

    #[test]
    fn senseless_lines_are_passed_over() {
        let size = 3 * M + 5;
        let ok = |line: &str| range_in(line, size).is_some();
        assert!(ok(&format!("0 {M}\n")) && ok(&format!("{M} {size}\n")));
        for line in [
            "",
            "\n",
            "0 0\n",
            "1 2\n",
            "0\n",
            "0 1048576",
            "x y\n",
            "0 -1\n",
        ] {
            assert!(!ok(line), "{line:?}");
        }
        assert!(!ok(&format!("0 {}\n", 4 * M)) && !ok(&format!("{} {M}\n", 2 * M)));
    }

    #[test]
    fn what_was_wrong_is_forgotten_and_what_is_placed_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut landings = Landings::open(dir.path(), "b");
        let mut take = || landings.take(claim(1, 1), "k", 3 * M, Some("e")).unwrap();
        let landing = take();
        landing.landed(ByteRange::new(0, M));
        landing.forget();
        landing.landed(ByteRange::new(M, 2 * M));
        assert_eq!(take().ranges, [ByteRange::new(M, 2 * M)]);
        fs::rename(&landing.path, dir.path().join("target")).unwrap();
        landing.placed();
        assert_eq!(
            fs::read_dir(dir.path().join(staged::LANDING))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn leftovers_make_room_and_what_cannot_be_had_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let landing = |landings: &mut Landings| landings.take(claim(1, 1), "k", 3 * M, Some("e"));
        landing(&mut Landings::open(dir.path(), "b")).unwrap();
        let mut landings = Landings::open(dir.path(), "b");
        let error = landings
            .take(claim(2, 1), "l", 1 << 60, Some("e"))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        let left = fs::read_dir(dir.path().join(staged::LANDING))
            .unwrap()
            .count();
        assert_eq!(left, 0, "removed to make room");
    }
}
