//! What is complete in staging, remembered across runs.
//!
//! A line of JSON for each object that was completed: `STAGING/%~landed.jsonl`. An object that
//! is wanted again is taken from staging if its ETag and size are those of the listing and its
//! file was not touched since. A broken line is passed over: it costs one download. When the file
//! has twice as many lines as it had when it was last written anew, it is written anew without
//! those that no file stands for.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::values::Verified;
use crate::values::staged::{self, Tree};

/// Fewer lines are not worth writing anew.
const FEW_LINES: u64 = 1000;

/// One completed object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandedRecord {
    /// Version of this record.
    pub schema: u32,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// The ETag that the object had.
    pub etag: String,
    /// Modification time of the staged file in nanoseconds since the epoch.
    pub mtime_ns: i128,
    /// How its bytes were verified; see [`Verified::name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
}

/// The first line of a file that was written anew.
#[derive(Serialize, Deserialize)]
struct Anew {
    schema: u32,
    /// Lines that follow it.
    lines: u64,
}

/// What is kept of a record: a fixed number of bytes, for millions of objects.
#[derive(Clone, Copy, Debug)]
struct Known {
    size: u64,
    etag: u128,
    mtime_ns: i128,
    verified: Verified,
}

/// The record, open for more.
#[derive(Debug)]
pub struct Landed {
    known: HashMap<u128, Known>,
    file: File,
    bucket: String,
    /// Lines of the file that speak of an object, and of how many of them the object is gone.
    lines: u64,
    gone: u64,
}

fn mtime_ns(meta: &fs::Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

fn open(path: &Path) -> io::Result<File> {
    File::options()
        .create(true)
        .append(true)
        .read(true)
        .open(path)
}

impl Landed {
    /// Reads what earlier runs completed of a bucket. `tree` says where its objects stand.
    pub fn open(root: &Path, bucket: &str, tree: &Tree) -> io::Result<Landed> {
        let path = root.join(staged::LANDED);
        let mut file = open(&path)?;
        let mut known = HashMap::new();
        let (mut ends_whole, mut lines, mut before) = (true, 0, 0);
        for line in BufReader::new(File::open(&path)?).split(b'\n') {
            let line = line?;
            ends_whole = line.last().is_none_or(|b| *b == b'}');
            lines += 1;
            if let Ok(record) = serde_json::from_slice::<LandedRecord>(&line)
                && record.schema == 1
            {
                if record.bucket == bucket {
                    known.insert(xxh3_128(record.key.as_bytes()), Known::of(&record));
                }
            } else if let Ok(anew) = serde_json::from_slice::<Anew>(&line) {
                before = anew.lines;
            }
        }
        if lines > FEW_LINES.max(before.saturating_mul(2)) {
            // Left as it is where it cannot be written anew.
            if write_anew(&path, root, tree).is_ok() {
                file = open(&path)?;
                ends_whole = true;
                lines /= 2;
            }
        }
        if !ends_whole {
            file.write_all(b"\n")?;
        }
        Ok(Landed {
            known,
            file,
            bucket: bucket.to_owned(),
            lines,
            gone: 0,
        })
    }

    /// The staged file of one of the objects was removed. The record is written anew when most of
    /// it speaks of such.
    ///
    /// # Errors
    /// It cannot be written anew, and stays as it is.
    pub fn gone(&mut self, root: &Path, tree: &Tree) -> io::Result<()> {
        self.gone += 1;
        if self.gone >= FEW_LINES.max(self.lines / 2) {
            let path = root.join(staged::LANDED);
            self.lines = self.lines.saturating_sub(self.gone);
            self.gone = 0;
            write_anew(&path, root, tree)?;
            self.file = open(&path)?;
        }
        Ok(())
    }

    /// How the staged file of a key was verified, if it is the object that the listing describes.
    pub fn holds(&self, key: &str, size: u64, etag: Option<&str>, path: &Path) -> Option<Verified> {
        let known = self.known.get(&xxh3_128(key.as_bytes()))?;
        let same = known.size == size && etag.map(|e| xxh3_128(e.as_bytes())) == Some(known.etag);
        let untouched = same
            && fs::metadata(path)
                .is_ok_and(|m| m.is_file() && m.len() == size && mtime_ns(&m) == known.mtime_ns);
        untouched.then_some(known.verified)
    }

    /// Remembers a completed object, whose bytes stand in `file`. Objects without an ETag cannot
    /// be recognised again.
    pub fn add(
        &mut self,
        key: &str,
        size: u64,
        etag: Option<&str>,
        file: &File,
        verified: Verified,
    ) -> io::Result<()> {
        let Some(etag) = etag else {
            return Ok(());
        };
        let record = LandedRecord {
            schema: 1,
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            size,
            etag: etag.to_owned(),
            mtime_ns: mtime_ns(&file.metadata()?),
            verified: (verified != Verified::Length).then(|| verified.name().to_owned()),
        };
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        // One write, so that lines never mix. It is not looked at again in this run, so nothing
        // here grows with what has been done.
        self.lines += 1;
        self.file.write_all(&line)
    }
}

impl Known {
    fn of(record: &LandedRecord) -> Known {
        let verified = record.verified.as_deref().and_then(Verified::from_name);
        Known {
            size: record.size,
            etag: xxh3_128(record.etag.as_bytes()),
            mtime_ns: record.mtime_ns,
            verified: verified.unwrap_or(Verified::Length),
        }
    }
}

/// Where the object of a record stands; `None` if that cannot be known here.
fn place_of(record: &LandedRecord, root: &Path, tree: &Tree) -> Option<PathBuf> {
    match tree {
        Tree::Bucket(_) => {
            let path = staged::staged_path(root, &record.bucket, &record.key);
            Some(staged::find(root, path))
        }
        Tree::Below(_) => None,
    }
}

/// The files in a staging directory that stand as their records say, of all buckets.
pub(super) fn standing(root: &Path) -> io::Result<HashSet<PathBuf>> {
    let mut last = HashMap::new();
    let file = match File::open(root.join(staged::LANDED)) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        other => other?,
    };
    for line in BufReader::new(file).split(b'\n') {
        if let Ok(record) = serde_json::from_slice::<LandedRecord>(&line?) {
            let path = staged::staged_path(root, &record.bucket, &record.key);
            last.insert(staged::find(root, path), (record.size, record.mtime_ns));
        }
    }
    let same = |path: &Path, size, time| {
        fs::symlink_metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.len() == size && mtime_ns(&meta) == time)
    };
    last.retain(|path, (size, time)| same(path, *size, *time));
    Ok(last.into_keys().collect())
}

/// Keeps the last line of each object whose file is as the line says. The file is the old or the
/// new one at any time.
fn write_anew(path: &Path, root: &Path, tree: &Tree) -> io::Result<()> {
    let read = || -> io::Result<_> {
        let lines = BufReader::new(File::open(path)?).split(b'\n');
        Ok(lines
            .map_while(Result::ok)
            .enumerate()
            .filter_map(|(at, line)| {
                let record = serde_json::from_slice::<LandedRecord>(&line).ok()?;
                Some((at, line, record))
            }))
    };
    let name =
        |record: &LandedRecord| xxh3_128(format!("{}\0{}", record.bucket, record.key).as_bytes());
    let mut last = HashMap::new();
    for (at, _, record) in read()? {
        last.insert(name(&record), at);
    }
    let mut kept = Vec::new();
    for (at, _, record) in read()? {
        let there = place_of(&record, root, tree).is_none_or(|place| {
            fs::metadata(place).is_ok_and(|meta| mtime_ns(&meta) == record.mtime_ns)
        });
        if there && last.get(&name(&record)) == Some(&at) {
            kept.push(at);
        }
    }
    let new = path.with_extension("new");
    let mut out = BufWriter::new(File::create(&new)?);
    let anew = Anew {
        schema: 1,
        lines: kept.len() as u64,
    };
    serde_json::to_writer(&mut out, &anew)?;
    out.write_all(b"\n")?;
    let mut kept = kept.into_iter().peekable();
    for (at, line, _) in read()? {
        if kept.next_if_eq(&at).is_some() {
            out.write_all(&line)?;
            out.write_all(b"\n")?;
        }
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_bucket(dir: &Path, bucket: &str) -> Landed {
        Landed::open(dir, bucket, &Tree::Bucket(bucket.to_owned())).unwrap()
    }

    #[test]
    fn an_object_is_known_again_only_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, b"12345").unwrap();
        let file = File::open(&path).unwrap();
        let mut landed = open_bucket(dir.path(), "b");
        landed
            .add("k\n\"ü", 5, Some("e"), &file, Verified::Md5)
            .unwrap();
        landed.file.write_all(b"{\"schema\":1,\"bu").unwrap();
        let mut again = open_bucket(dir.path(), "b");
        again
            .add("l", 5, Some("f"), &file, Verified::Length)
            .unwrap();
        let again = open_bucket(dir.path(), "b");
        let holds = |key, size, etag| again.holds(key, size, etag, &path);
        assert_eq!(
            holds("l", 5, Some("f")),
            Some(Verified::Length),
            "the line after a broken one is whole"
        );
        assert_eq!(holds("k\n\"ü", 5, Some("e")), Some(Verified::Md5));
        assert_eq!(holds("k\n\"ü", 5, Some("other")), None);
        assert_eq!(holds("k\n\"ü", 5, None), None);
        assert_eq!(holds("k\n\"ü", 6, Some("e")), None);
        assert_eq!(holds("k", 5, Some("e")), None);
        let other = open_bucket(dir.path(), "c");
        assert_eq!(other.holds("l", 5, Some("f"), &path), None);
        fs::write(&path, b"54321").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        assert_eq!(holds("l", 5, Some("f")), None);
    }

    #[test]
    fn a_record_that_grew_is_written_anew_with_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let place = |bucket: &str, key: &str| {
            let path = staged::staged_path(dir.path(), bucket, key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, b"1").unwrap();
            File::open(path).unwrap()
        };
        let (a, b, gone) = (place("b", "a"), place("c", "b"), place("b", "gone"));
        let lines = || {
            let text = fs::read_to_string(dir.path().join(staged::LANDED)).unwrap();
            text.lines().count() as u64
        };
        let mut other = open_bucket(dir.path(), "c");
        other.add("b", 1, Some("e"), &b, Verified::Md5).unwrap();
        let mut landed = open_bucket(dir.path(), "b");
        landed
            .add("gone", 1, Some("e"), &gone, Verified::Md5)
            .unwrap();
        for _ in 0..FEW_LINES {
            landed.add("a", 1, Some("e"), &a, Verified::Md5).unwrap();
        }
        fs::remove_file(staged::staged_path(dir.path(), "b", "gone")).unwrap();
        assert_eq!(lines(), FEW_LINES + 2);
        let mut landed = open_bucket(dir.path(), "b");
        assert_eq!(lines(), 3, "how many, and the two that are there");
        landed.add("x", 1, Some("e"), &a, Verified::Md5).unwrap();
        for (bucket, key) in [("b", "a"), ("c", "b")] {
            let path = staged::staged_path(dir.path(), bucket, key);
            let landed = open_bucket(dir.path(), bucket);
            assert!(landed.holds(key, 1, Some("e"), &path).is_some());
        }
        assert_eq!(lines(), 4);
    }
}
