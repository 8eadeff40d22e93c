//! What is complete in staging, remembered across runs.
//!
//! A line of JSON for each object that was completed: `STAGING/%~landed.jsonl`. An object that
//! is wanted again is taken from staging if its ETag and size are those of the listing and its
//! file was not touched since. A broken line is passed over: it costs one download.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::values::staged;

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
}

/// The record, open for more.
#[derive(Debug)]
pub struct Landed {
    known: HashMap<String, LandedRecord>,
    file: File,
    bucket: String,
}

fn mtime_ns(meta: &fs::Metadata) -> i128 {
    i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec())
}

impl Landed {
    /// Reads what earlier runs completed of a bucket.
    pub fn open(root: &Path, bucket: &str) -> io::Result<Landed> {
        let path = root.join(staged::LANDED);
        let file = File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(&path)?;
        let mut known = HashMap::new();
        let mut ends_whole = true;
        for line in BufReader::new(File::open(&path)?).split(b'\n') {
            let line = line?;
            ends_whole = line.last().is_none_or(|b| *b == b'}');
            if let Ok(record) = serde_json::from_slice::<LandedRecord>(&line)
                && record.schema == 1
                && record.bucket == bucket
            {
                known.insert(record.key.clone(), record);
            }
        }
        let mut landed = Landed {
            known,
            file,
            bucket: bucket.to_owned(),
        };
        if !ends_whole {
            landed.file.write_all(b"\n")?;
        }
        Ok(landed)
    }

    /// Whether the staged file of a key is the object that the listing describes.
    pub fn holds(&self, key: &str, size: u64, etag: Option<&str>, path: &Path) -> bool {
        let Some(record) = self.known.get(key) else {
            return false;
        };
        let same = record.size == size && etag == Some(record.etag.as_str());
        same && fs::metadata(path)
            .is_ok_and(|m| m.is_file() && m.len() == size && mtime_ns(&m) == record.mtime_ns)
    }

    /// Remembers a completed object. Objects without an ETag cannot be recognised again.
    pub fn add(&mut self, key: &str, size: u64, etag: Option<&str>, path: &Path) -> io::Result<()> {
        let Some(etag) = etag else {
            return Ok(());
        };
        let record = LandedRecord {
            schema: 1,
            bucket: self.bucket.clone(),
            key: key.to_owned(),
            size,
            etag: etag.to_owned(),
            mtime_ns: mtime_ns(&fs::metadata(path)?),
        };
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        // One write, so that lines never mix.
        self.file.write_all(&line)?;
        self.known.insert(record.key.clone(), record);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_known_again_only_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, b"12345").unwrap();
        let mut landed = Landed::open(dir.path(), "b").unwrap();
        landed.add("k\n\"ü", 5, Some("e"), &path).unwrap();
        landed.file.write_all(b"{\"schema\":1,\"bu").unwrap();
        let mut again = Landed::open(dir.path(), "b").unwrap();
        again.add("l", 5, Some("f"), &path).unwrap();
        let again = Landed::open(dir.path(), "b").unwrap();
        assert!(
            again.holds("l", 5, Some("f"), &path),
            "the line after a broken one is whole"
        );
        assert!(again.holds("k\n\"ü", 5, Some("e"), &path));
        assert!(!again.holds("k\n\"ü", 5, Some("other"), &path));
        assert!(!again.holds("k\n\"ü", 5, None, &path));
        assert!(!again.holds("k\n\"ü", 6, Some("e"), &path));
        assert!(!again.holds("k", 5, Some("e"), &path));
        assert!(
            !Landed::open(dir.path(), "c")
                .unwrap()
                .holds("l", 5, Some("f"), &path)
        );
        fs::write(&path, b"54321").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH)
            .unwrap();
        assert!(!again.holds("l", 5, Some("f"), &path));
    }
}
