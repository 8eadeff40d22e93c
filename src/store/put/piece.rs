//! Some bytes of a file on their way to the store.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use tokio::fs::File;
use tokio::io::AsyncSeekExt;
use tokio::sync::oneshot;

use super::checksum;
use crate::store::error::local;
use crate::store::{Algorithm, StoreError, Sum, reader};

/// Some bytes of a file.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub file: PathBuf,
    pub start: u64,
    pub length: u64,
}

impl Piece {
    /// Its checksum, computed beside the runtime.
    pub async fn checksum(&self, algorithm: Algorithm) -> Result<Sum, StoreError> {
        let this = self.clone();
        let work = move || checksum::of_file(&this.file, this.start, this.length, algorithm);
        let done = tokio::task::spawn_blocking(work).await;
        done.unwrap_or_else(|ended| Err(std::io::Error::other(ended)))
            .map_err(local(&self.file, "read"))
    }

    /// Its bytes as the body of a request, counted in both counters. What goes wrong with the file comes
    /// through the channel, since the HTTP client wraps it beyond recognition.
    pub async fn read(
        &self,
        counters: [&Arc<AtomicU64>; 2],
    ) -> Result<
        (
            impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
            oneshot::Receiver<std::io::Error>,
        ),
        StoreError,
    > {
        let mut file = File::open(&self.file)
            .await
            .map_err(local(&self.file, "open"))?;
        file.seek(SeekFrom::Start(self.start))
            .await
            .map_err(local(&self.file, "read"))?;
        let (failed, failure) = oneshot::channel();
        let state = (Some(failed), counters.map(Arc::clone));
        let bytes = reader::stream(file, self.length).scan(state, |(failed, counters), chunk| {
            if let Ok(chunk) = &chunk {
                for counter in counters {
                    counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                }
            }
            let chunk = chunk.map_err(|error| {
                let kind = error.kind();
                if let Some(failed) = failed.take() {
                    let _ = failed.send(error);
                }
                std::io::Error::from(kind)
            });
            std::future::ready(Some(chunk))
        });
        Ok((bytes, failure))
    }
}
