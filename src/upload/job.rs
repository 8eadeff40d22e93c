//! The upload of one job's result.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::config::{Bucket, UploadConfig, UploadError};
use crate::store::StoreError;
use crate::sys::death;
use crate::table::{JobClaim, Table};
use crate::task::{JobPayload, Uploaded};
use crate::values::{Fault, FaultCode};

/// Directories in a result are not followed deeper.
const DEPTH: usize = 100;

/// Why a result is not in the store.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the result could not be uploaded: {0}")]
    Store(#[from] StoreError),
    #[error("the result {} could not be read: {source}", path.display())]
    Local { path: PathBuf, source: io::Error },
    #[error("{url} has {found} bytes in the store, and {size} were uploaded")]
    Size { url: String, found: u64, size: u64 },
    #[error("{0}")]
    Job(String),
}

/// Uploads the result of a job and ends it. A job whose upload is stopped with the run is left as
/// it is.
pub(super) async fn upload(
    table: &Table,
    config: &UploadConfig<'_>,
    buckets: &BTreeMap<String, Bucket>,
    claim: JobClaim,
) -> Result<(), UploadError> {
    let place = (config.place)(claim.job.0, claim.attempt);
    let payload = table.job_payload(claim.job)?;
    let number = table.job_task(claim.job)?;
    let task = config.jobfile.tasks.get(number as usize);
    let destination = task.and_then(|task| task.destination.as_ref());
    let bucket = destination.and_then(|destination| buckets.get(&destination.bucket));
    let uploaded = match (bucket, JobPayload::from_bytes(&payload)) {
        (Some(bucket), Ok(payload)) => all(bucket, &payload, &place).await,
        (None, _) => Err(Failure::Job(format!("there is no destination {number}"))),
        (_, Err(error)) => Err(Failure::Job(error.to_string())),
    };
    if let Err(Failure::Store(StoreError::Stopped { .. })) = uploaded {
        return Ok(());
    }
    death::point("upload-confirmed");
    // What the worker said stays; this adds to it.
    let said = table.job_result(claim.job)?.unwrap_or_default();
    let mut result: Map<String, Value> = serde_json::from_slice(&said).unwrap_or_default();
    let outcome = match uploaded {
        Ok(uploaded) => {
            result.insert("uploaded".to_owned(), json!(uploaded));
            Ok(())
        }
        Err(failure) => {
            result.insert("error".to_owned(), json!(failure.to_string()));
            Err(Fault::new(FaultCode::Upload, 0))
        }
    };
    table.set_job_result(claim, Value::Object(result).to_string().as_bytes())?;
    if table.finish_job(claim, outcome)? {
        let _ = fs::remove_dir_all(&place);
    }
    Ok(())
}

/// Uploads the files in their order, and has the store confirm each.
async fn all(
    bucket: &Bucket,
    payload: &JobPayload,
    place: &Path,
) -> Result<Vec<Uploaded>, Failure> {
    let mut uploaded = Vec::new();
    for upload in &payload.uploads {
        let path = place.join(&upload.file);
        if !path.is_dir() {
            uploaded.push(one(bucket, &upload.key, &path).await?);
            continue;
        }
        let mut files = Vec::new();
        below(&path, &upload.key, 0, &mut files).map_err(|source| Failure::Local {
            path: path.clone(),
            source,
        })?;
        for (key, file) in files {
            uploaded.push(one(bucket, &key, &file).await?);
        }
    }
    // As the job names them: the main file first.
    uploaded.reverse();
    Ok(uploaded)
}

async fn one(bucket: &Bucket, key: &str, file: &Path) -> Result<Uploaded, Failure> {
    let sent = bucket.uploads.put(key, file).await?;
    death::point("upload-sent");
    let found = bucket.store.head(key).await?;
    let url = format!("s3://{}/{key}", bucket.store.bucket());
    if found.size != sent.size {
        let (found, size) = (found.size, sent.size);
        return Err(Failure::Size { url, found, size });
    }
    Ok(Uploaded {
        url,
        size: found.size,
        etag: found.etag,
    })
}

/// The files below a directory with their keys, in the order of their names.
fn below(
    directory: &Path,
    key: &str,
    depth: usize,
    files: &mut Vec<(String, PathBuf)>,
) -> io::Result<()> {
    if depth > DEPTH {
        return Err(io::Error::other(
            "directories too deep; does a link point back?",
        ));
    }
    let mut entries = fs::read_dir(directory)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name
            .to_str()
            .ok_or_else(|| io::Error::other("a name in it is not UTF-8, and no key can be"))?;
        let (path, key) = (entry.path(), format!("{key}/{name}"));
        if path.is_dir() {
            below(&path, &key, depth + 1, files)?;
        } else {
            files.push((key, path));
        }
    }
    Ok(())
}
