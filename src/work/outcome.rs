//! What a worker says of a job's outcome; it stands in the table as JSON.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::task::Uploaded;
use crate::values::{Fault, FaultCode};

/// The outcome of a job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// The files of the result, in place.
    pub outputs: Vec<PathBuf>,
    /// How each of them was when it was put there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<Written>,
    /// Those that are in a store, as it has confirmed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uploaded: Vec<Uploaded>,
    /// Figures of a native result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stats: Option<ResultStats>,
    /// What was in staging, was computed, and so on: sentences for the user.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why the job failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The file with what the command printed, if it printed anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<PathBuf>,
    /// The end of what the command printed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log_end: Option<String>,
    /// Seconds until the first rows of a native result were computed, where the task starts at
    /// once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_rows_seconds: Option<f64>,
    /// Wall time of the processor in seconds.
    pub seconds: f64,
    /// Bytes of the disk that the scratch directory took at the end, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scratch_bytes: Option<u64>,
    /// Whether an earlier run has done the job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub earlier: bool,
}

/// What tells a file, or a directory, from one that was written later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Its size in bytes.
    pub size: u64,
    /// Its modification time in nanoseconds since the epoch.
    pub mtime_ns: i64,
}

impl Written {
    /// Of what stands there now.
    ///
    /// # Errors
    /// The system's, where nothing does.
    pub fn of(path: &Path) -> io::Result<Written> {
        let meta = fs::metadata(path)?;
        Ok(Written {
            size: meta.len(),
            mtime_ns: meta
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(meta.mtime_nsec()),
        })
    }
}

/// Figures of an image: over the float32 values that stand in the file, without nodata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultStats {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pixels with a value.
    pub valid: u64,
    /// Pixels without one.
    pub nodata: u64,
    /// Smallest value; absent when no pixel has one.
    pub min: Option<f64>,
    /// Largest value.
    pub max: Option<f64>,
    /// Mean value.
    pub mean: Option<f64>,
    /// For example `EPSG:32629`.
    pub crs: Option<String>,
    /// Width of a pixel in units of the CRS.
    pub pixel_size: Option<f64>,
}

/// Why a job could not be done.
#[derive(Debug)]
pub(super) struct Failure {
    pub fault: Fault,
    pub error: String,
}

impl Failure {
    pub fn processor(error: impl ToString) -> Failure {
        let fault = Fault::new(FaultCode::Processor, 0);
        Failure {
            fault,
            error: error.to_string(),
        }
    }

    pub fn staging(path: &Path, source: &io::Error) -> Failure {
        Failure {
            fault: Fault::new(FaultCode::Staging, errno(source)),
            ..Failure::output(path, source)
        }
    }

    pub fn output(path: &Path, source: &io::Error) -> Failure {
        let error = format!("{} cannot be written: {source}", path.display());
        Failure {
            fault: Fault::new(FaultCode::Output, errno(source)),
            error,
        }
    }
}

fn errno(source: &io::Error) -> u32 {
    source.raw_os_error().unwrap_or(0).unsigned_abs()
}
