//! The process: claims what waits, several jobs at a time, until the run is over.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

use super::config::{Bucket, UploadConfig, UploadError};
use super::job;
use crate::store::{S3Store, StoreError};
use crate::table::{JobId, Phase, Table};

/// Jobs whose results are uploaded at the same time.
const JOBS: usize = 8;
/// Requests to one bucket at the same time.
const REQUESTS: usize = 8;
/// The longest sleep before the run is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Uploads until every job has ended or the run is stopped. `table` must have joined.
///
/// # Errors
/// The table's, or settings of the store that make no requests.
pub async fn run(table: &Table, config: &UploadConfig<'_>) -> Result<(), UploadError> {
    let buckets = buckets(config)?;
    for bucket in buckets.values() {
        // Of uploaders that were killed.
        bucket.uploads.clear_left().await;
    }
    let mut under_way = FuturesUnordered::new();
    let mut from = JobId(0);
    let mut bell = None;
    loop {
        if table.phase()? >= Phase::Stopping || !table.coordinator_lives() {
            break;
        }
        while under_way.len() < JOBS
            && let Some(claim) = table.claim_upload(from)?
        {
            from = JobId(claim.job.0.saturating_add(1));
            under_way.push(job::upload(table, config, &buckets, claim));
        }
        if under_way.is_empty() && table.finished()? {
            return Ok(());
        }
        if under_way.len() >= JOBS {
            // What waits cannot be taken: only the phase is of interest.
            tokio::select! {
                ended = under_way.next() => ended.transpose()?.unwrap_or_default(),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            continue;
        }
        let sleeper = table.clone();
        let rung = bell.get_or_insert_with(|| {
            tokio::task::spawn_blocking(move || sleeper.sleep_until_upload(LOOK_AGAIN))
        });
        tokio::select! {
            Some(ended) = under_way.next() => ended?,
            slept = rung => {
                bell = None;
                slept??;
            }
        }
    }
    // They remove the parts of what is not complete.
    for bucket in buckets.values() {
        bucket.uploads.stop();
    }
    while let Some(ended) = under_way.next().await {
        ended?;
    }
    Ok(())
}

fn buckets(config: &UploadConfig<'_>) -> Result<BTreeMap<String, Bucket>, StoreError> {
    let mut buckets = BTreeMap::new();
    for task in &config.jobfile.tasks {
        let Some(destination) = &task.destination else {
            continue;
        };
        if buckets.contains_key(&destination.bucket) {
            continue;
        }
        let store = S3Store::new(config.store.with_bucket(&destination.bucket))?;
        let uploads = store.uploads(REQUESTS);
        buckets.insert(destination.bucket.clone(), Bucket { store, uploads });
    }
    Ok(buckets)
}
