//! Results of earlier runs that are in a store: whether they still stand there as they were.

use std::collections::{BTreeSet, HashMap};

use crate::store::{ListingGuard, S3Store, StoreConfig, StoreError};
use crate::task::{JobFile, Uploaded};

use super::journal::Earlier;

/// What stands where earlier runs put their results: size and ETag of each, by `s3://bucket/key`.
#[derive(Debug, Default)]
pub(super) struct Standing {
    found: HashMap<String, (u64, Option<String>)>,
}

impl Standing {
    /// Lists what the keys of each task's results begin with, once, if the journal has any.
    pub async fn look(
        jobfile: &JobFile,
        store: &StoreConfig,
        earlier: &Earlier,
    ) -> Result<Standing, StoreError> {
        let mut standing = Standing::default();
        let recorded = earlier.uploaded();
        let destinations = jobfile.tasks.iter().filter_map(|t| t.destination.as_ref());
        let places: BTreeSet<(&str, &str)> = destinations
            .map(|to| (to.bucket.as_str(), to.head()))
            .collect();
        for (bucket, head) in places {
            let whole = format!("s3://{bucket}/{head}");
            if !recorded.iter().any(|url| url.starts_with(&whole)) {
                continue;
            }
            let store = S3Store::new(store.with_bucket(bucket))?;
            let mut guard = ListingGuard::new(head);
            let mut token: Option<String> = None;
            loop {
                let page = store.list(head, None, token.as_deref()).await?;
                guard.check(&page, || format!("listing {whole:?}"))?;
                for object in page.objects {
                    let url = format!("s3://{bucket}/{}", object.key);
                    if recorded.contains(url.as_str()) {
                        standing.found.insert(url, (object.size, object.etag));
                    }
                }
                match page.next {
                    Some(next) => token = Some(next),
                    None => break,
                }
            }
        }
        Ok(standing)
    }

    /// Whether an object stands there as it was when the store confirmed it.
    pub fn has(&self, object: &Uploaded) -> bool {
        let found = self.found.get(&object.url);
        found.is_some_and(|(size, etag)| *size == object.size && *etag == object.etag)
    }
}
