//! The journal of the results in a directory: `OUT/journal.jsonl`.
//!
//! One line of JSON for each job that ended, appended and brought to the disk before anything
//! later is. The last line of a job counts. A line that was cut by a crash is passed over: its
//! job is run again.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::task::Uploaded;
use crate::values::{Fault, JobState};
use crate::work::{JobResult, Written};

/// The journal's name in the directory of the results.
const JOURNAL: &str = "journal.jsonl";
/// The only state that lets a later run pass a job over.
const DONE: &str = "done";

/// A job that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record<'a> {
    /// Version of this record.
    schema: u32,
    /// When it was written, UTC.
    at: String,
    /// `task/product`.
    job: String,
    /// What decided the result; see the planner.
    recipe: String,
    /// `done` or `failed`.
    state: String,
    /// The kind of failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// The files of the result as they were.
    files: Vec<FileRecord>,
    /// What the worker said.
    result: Cow<'a, JobResult>,
}

/// A file, or a directory, of a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FileRecord {
    path: PathBuf,
    #[serde(flatten)]
    written: Written,
}

/// What earlier runs have done.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    done: HashMap<String, Record<'static>>,
}

impl Earlier {
    /// The addresses of all results that are in a store.
    pub fn uploaded(&self) -> HashSet<&str> {
        let results = self
            .done
            .values()
            .flat_map(|record| &record.result.uploaded);
        results.map(|object| object.url.as_str()).collect()
    }

    /// The result of a job if it was done by the same recipe and its files still stand as they
    /// were written; those in a store if `there` says so.
    pub fn result_of(
        &self,
        job: &str,
        recipe: &str,
        there: impl Fn(&Uploaded) -> bool,
    ) -> Option<JobResult> {
        let record = self
            .done
            .get(job)
            .filter(|record| record.recipe == recipe)?;
        let stands =
            |file: &FileRecord| Written::of(&file.path).is_ok_and(|now| now == file.written);
        let all = record.files.iter().all(stands) && record.result.uploaded.iter().all(there);
        all.then(|| JobResult {
            earlier: true,
            ..record.result.clone().into_owned()
        })
    }
}

/// The journal, open for more.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Lines that have not been written yet.
    pending: Vec<u8>,
    /// Their time.
    at: Option<String>,
}

impl Journal {
    /// Opens the journal of a directory and reads what earlier runs have done; with `fresh` they
    /// have done nothing.
    pub fn open(out: &Path, fresh: bool) -> io::Result<(Journal, Earlier)> {
        let path = out.join(JOURNAL);
        let mut options = File::options();
        let file = options.create(true).append(true).read(true).open(&path)?;
        if fresh {
            file.set_len(0)?;
        }
        let mut earlier = Earlier::default();
        let mut ends_whole = true;
        for line in BufReader::new(File::open(&path)?).split(b'\n') {
            let line = line?;
            ends_whole = line.last().is_none_or(|byte| *byte == b'}');
            if let Ok(record) = serde_json::from_slice::<Record<'static>>(&line)
                && record.schema == 1
            {
                match record.state == DONE {
                    true => earlier.done.insert(record.job.clone(), record),
                    false => earlier.done.remove(&record.job),
                };
            }
        }
        let pending = if ends_whole { Vec::new() } else { vec![b'\n'] };
        let journal = Journal {
            path,
            file,
            pending,
            at: None,
        };
        Ok((journal, earlier))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Notes that a job has ended; [`Journal::sync`] makes it last.
    pub fn add(
        &mut self,
        job: &str,
        recipe: &str,
        state: JobState,
        fault: Option<Fault>,
        result: &JobResult,
    ) -> io::Result<()> {
        // As the worker has seen them: until now somebody else may have written there.
        let files = result.outputs.iter().zip(&result.written);
        let files = files.map(|(path, written)| FileRecord {
            path: path.clone(),
            written: *written,
        });
        let at = self.at.get_or_insert_with(|| Timestamp::now().to_string());
        let at = at.clone();
        let record = Record {
            schema: 1,
            at,
            job: job.to_owned(),
            recipe: recipe.to_owned(),
            state: state.name().to_owned(),
            fault: fault.map(|fault| fault.code.name().to_owned()),
            files: files.collect(),
            result: Cow::Borrowed(result),
        };
        serde_json::to_writer(&mut self.pending, &record)?;
        self.pending.push(b'\n');
        Ok(())
    }

    /// Writes what was added, in one piece, and waits until it is on the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file.write_all(&self.pending)?;
        self.pending.clear();
        self.at = None;
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn done(dir: &Path, journal: &mut Journal, job: &str, recipe: &str) -> PathBuf {
        let path = dir.join(job.replace('/', "_"));
        fs::write(&path, job).unwrap();
        let result = JobResult {
            outputs: vec![path.clone()],
            written: vec![Written::of(&path).unwrap()],
            ..JobResult::default()
        };
        let state = JobState::Done;
        journal.add(job, recipe, state, None, &result).unwrap();
        journal.sync().unwrap();
        path
    }

    #[test]
    fn a_job_is_passed_over_only_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, earlier) = Journal::open(dir.path(), false).unwrap();
        assert_eq!(earlier.result_of("t/a", "1", |_| false), None);
        let path = done(dir.path(), &mut journal, "t/a", "1");
        // Killed while it wrote.
        journal
            .file
            .write_all(b"{\"schema\":1,\"job\":\"t/b\"")
            .unwrap();
        let (mut journal, earlier) = Journal::open(dir.path(), false).unwrap();
        let result = earlier.result_of("t/a", "1", |_| false).unwrap();
        assert!(result.earlier && result.outputs == [path.clone()]);
        assert_eq!(
            earlier.result_of("t/a", "2", |_| false),
            None,
            "another recipe"
        );
        assert_eq!(earlier.result_of("t/b", "", |_| false), None);
        done(dir.path(), &mut journal, "t/c", "1");
        let (_, earlier) = Journal::open(dir.path(), false).unwrap();
        assert!(
            earlier.result_of("t/c", "1", |_| false).is_some(),
            "after a cut line"
        );
        fs::write(&path, "changed").unwrap();
        assert_eq!(
            earlier.result_of("t/a", "1", |_| false),
            None,
            "another file"
        );
        fs::remove_file(&path).unwrap();
        assert_eq!(earlier.result_of("t/a", "1", |_| false), None, "no file");
        let (_, earlier) = Journal::open(dir.path(), true).unwrap();
        assert_eq!(
            earlier.result_of("t/c", "1", |_| false),
            None,
            "a fresh start"
        );
    }

    #[test]
    fn a_later_failure_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(dir.path(), false).unwrap();
        done(dir.path(), &mut journal, "t/a", "1");
        let failed = JobResult::default();
        journal
            .add("t/a", "1", JobState::Failed, None, &failed)
            .unwrap();
        journal.sync().unwrap();
        let (_, earlier) = Journal::open(dir.path(), false).unwrap();
        assert_eq!(earlier.result_of("t/a", "1", |_| false), None);
    }
}
