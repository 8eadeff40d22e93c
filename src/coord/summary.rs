//! What a run did, for people and programs: the end of the output and `OUT/summary.json`.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::sys::whole;
use crate::table::{Figures, JobId, SlotId, Table, TableError};
use crate::task::{JobFile, Uploaded};
use crate::values::{JobState, ObjectState, Verified};
use crate::watch::{Tally, Why, job_result, why_job_failed};
use crate::work::{JobResult, ResultStats};

/// The whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Version of this record.
    pub schema: u32,
    /// `done`, `some-failed`, `usage`, `store`, `local` or `interrupted`.
    pub outcome: String,
    /// Wall time.
    pub seconds: f64,
    /// Number of workers.
    pub workers: usize,
    /// Number of cores that the run could use.
    pub cores: usize,
    /// Whether the products are the synthetic sample.
    pub synthetic: bool,
    /// Products found.
    pub products: u64,
    /// Objects.
    pub objects: ObjectsRecord,
    /// Jobs.
    pub jobs: JobsRecord,
    /// Download and processing beside each other.
    pub overlap: OverlapRecord,
    /// What the run waited for.
    pub held_back: HeldBack,
    /// Every job.
    pub results: Vec<ResultRecord>,
    /// Every object that failed.
    pub failed_objects: Vec<FailedObject>,
}

/// Objects of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ObjectsRecord {
    /// Different keys that jobs needed.
    pub total: u64,
    /// In staging at the end.
    pub ready: u64,
    /// Were in staging, and were removed to keep to its limit.
    #[serde(default)]
    pub evicted: u64,
    /// Given up.
    pub failed: u64,
    /// Bytes of all.
    pub bytes: u64,
    /// Bytes of those in staging at the end.
    pub bytes_ready: u64,
    /// Bytes that came from the store in this run.
    pub bytes_fetched: u64,
    /// Requests to the store for them.
    pub requests: u64,
    /// How many of those that landed were verified how: `manifest`, `crc64nvme`, `crc32c`, `crc32`,
    /// `sha256`, `sha1`, `md5`, `parts`, or `length-and-etag` where there was no checksum.
    #[serde(default)]
    pub verified: BTreeMap<String, u64>,
}

/// Jobs of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobsRecord {
    /// All.
    pub total: u64,
    /// With their result in place.
    pub done: u64,
    /// Of those, by an earlier run.
    pub earlier: u64,
    /// Given up.
    pub failed: u64,
    /// Neither, because the run was stopped.
    pub left: u64,
}

/// How much of the download was hidden behind processing. Seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OverlapRecord {
    /// With an object being fetched.
    pub download_seconds: f64,
    /// With a job running.
    pub processing_seconds: f64,
    /// With both.
    pub hidden_seconds: f64,
    /// `hidden_seconds` divided by `download_seconds`.
    pub hidden_share: f64,
}

/// What held a run back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldBack {
    /// `network`, `workers`, `disk` or `nothing`.
    pub by: String,
    /// Share of the run in which a worker waited for data.
    pub waiting_for_data: f64,
    /// Share of the run in which ready jobs waited for a worker.
    pub waiting_for_workers: f64,
    /// Share of the download's time that went into writing to staging.
    pub writing_to_staging: f64,
    /// Share of the cores' time that this run's processes used.
    pub cores_busy: f64,
}

/// A job's record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultRecord {
    /// `task/product`.
    pub job: String,
    /// The task's name.
    pub task: String,
    /// The product's name.
    pub product: String,
    /// `done`, `failed`, or another state if the run was stopped.
    pub state: String,
    /// How often it was claimed.
    pub attempts: u32,
    /// The files, absolute.
    pub outputs: Vec<PathBuf>,
    /// Those that are in a store, as it has confirmed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploaded: Vec<Uploaded>,
    /// Wall time of the processor.
    pub seconds: f64,
    /// Whether an earlier run has done it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
    /// Figures of a native result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stats: Option<ResultStats>,
    /// Sentences for the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why it failed, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The kind of failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// The file with everything that the command printed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
    /// The end of what the command printed, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_end: Option<String>,
}

/// An object that could not be fetched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FailedObject {
    /// Its key.
    pub key: String,
    /// Why, and what to do.
    pub error: String,
    /// The kind of failure.
    pub fault: String,
}

/// What the coordinator knows when a run ends.
pub(super) struct Ending<'a> {
    pub table: &'a Table,
    pub jobfile: &'a JobFile,
    pub tally: &'a Tally,
    pub outcome: &'static str,
    pub seconds: f64,
    pub workers: usize,
    pub synthetic: bool,
    pub figures: Figures,
}

impl Ending<'_> {
    /// Makes the summary from the table, which has the truth, and the tally, which has the times.
    pub fn summary(&self) -> Result<Summary, TableError> {
        let (objects, jobs) = (self.table.count_objects()?, self.table.count_jobs()?);
        let overlap = OverlapRecord {
            download_seconds: self.tally.download_seconds,
            processing_seconds: self.tally.processing_seconds,
            hidden_seconds: self.tally.hidden_seconds,
            hidden_share: share(self.tally.hidden_seconds, self.tally.download_seconds),
        };
        Ok(Summary {
            schema: 1,
            outcome: self.outcome.to_owned(),
            seconds: self.seconds,
            workers: self.workers,
            cores: cores(),
            synthetic: self.synthetic,
            products: self.tally.products,
            objects: ObjectsRecord {
                total: objects.wanted
                    + objects.fetching
                    + objects.ready
                    + objects.failed
                    + objects.evicted,
                ready: objects.ready,
                evicted: objects.evicted,
                failed: objects.failed,
                bytes: objects.bytes,
                bytes_ready: objects.bytes_ready,
                bytes_fetched: self.figures.bytes,
                requests: self.figures.requests,
                verified: self.verified()?,
            },
            jobs: JobsRecord {
                total: jobs.total(),
                done: jobs.done,
                earlier: self.tally.done_before,
                failed: jobs.failed,
                left: jobs.waiting + jobs.ready + jobs.running + jobs.uploading,
            },
            held_back: self.held_back(&overlap),
            overlap,
            results: self.results()?,
            failed_objects: self.failed_objects()?,
        })
    }

    fn held_back(&self, overlap: &OverlapRecord) -> HeldBack {
        let waiting_for_data = share(self.tally.waiting_for_data_seconds, self.seconds);
        let waiting_for_workers = share(self.tally.waiting_for_workers_seconds, self.seconds);
        let writing = share(
            self.figures.writing_ns as f64 / 1e9,
            overlap.download_seconds,
        );
        let by = if waiting_for_data >= waiting_for_workers && waiting_for_data > 0.1 {
            if writing > 0.5 { "disk" } else { "network" }
        } else if waiting_for_workers > 0.1 {
            "workers"
        } else {
            "nothing"
        };
        HeldBack {
            by: by.to_owned(),
            waiting_for_data,
            waiting_for_workers,
            writing_to_staging: writing,
            cores_busy: share(cpu_seconds(), self.seconds * cores() as f64),
        }
    }

    fn verified(&self) -> Result<BTreeMap<String, u64>, TableError> {
        let counts = self.table.count_verified()?;
        let named = |(verified, n): (Verified, u64)| (verified.name().to_owned(), n);
        Ok(counts.into_iter().map(named).collect())
    }

    fn results(&self) -> Result<Vec<ResultRecord>, TableError> {
        let mut results = Vec::new();
        for number in 0..self.table.jobs_len()? {
            let Some(view) = self.table.job(JobId(number))? else {
                continue;
            };
            let result = job_result(self.table, view.job)?.unwrap_or_default();
            let (_, product) = view.name.split_once('/').unwrap_or(("", &view.name));
            let task = self.jobfile.tasks.get(view.task as usize);
            let failed = view.state == JobState::Failed;
            results.push(ResultRecord {
                product: product.to_owned(),
                task: task.map_or_else(String::new, |t| t.name.clone()),
                state: view.state.name().to_owned(),
                attempts: view.attempt,
                seconds: result.seconds,
                earlier: result.earlier,
                error: if failed {
                    Some(self.why(&view, &result)?)
                } else {
                    None
                },
                fault: view
                    .fault
                    .filter(|_| failed)
                    .map(|f| f.code.name().to_owned()),
                outputs: if failed { Vec::new() } else { result.outputs },
                uploaded: result.uploaded,
                stats: result.stats,
                notes: result.notes,
                log: result.log,
                log_end: result.log_end,
                job: view.name,
            });
        }
        Ok(results)
    }

    fn why(&self, view: &crate::table::JobView, result: &JobResult) -> Result<String, TableError> {
        let said = result.error.as_deref();
        Ok(match view.fault {
            Some(fault) => why_job_failed(self.table, fault, said)?.to_string(),
            None => said.unwrap_or("for an unknown reason").to_owned(),
        })
    }

    fn failed_objects(&self) -> Result<Vec<FailedObject>, TableError> {
        let mut failed = Vec::new();
        for number in 0..self.table.objects_len()? {
            if self.table.object_state(SlotId(number))? != Some(ObjectState::Failed) {
                continue;
            }
            if let Some(view) = self.table.object(SlotId(number))?
                && let Some(fault) = view.fault
            {
                failed.push(FailedObject {
                    key: view.key,
                    error: Why::from(fault).to_string(),
                    fault: fault.code.name().into(),
                });
            }
        }
        Ok(failed)
    }
}

/// Cores that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// CPU seconds of all processes of the run that have ended.
fn cpu_seconds() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0.0, |usage| {
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
    })
}

fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        (part / whole).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

impl Summary {
    /// Whether the run was given up before there was anything to do, for example because the
    /// store could not be listed: then the error says everything.
    pub fn never_began(&self) -> bool {
        self.jobs.total == 0 && !matches!(self.outcome.as_str(), "done" | "interrupted")
    }

    /// Writes `summary.json` into a directory; the file is there whole or not at all.
    pub fn write(&self, out: &Path) -> io::Result<PathBuf> {
        let path = out.join("summary.json");
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        whole::write(&path, &text)?;
        Ok(path)
    }
}
