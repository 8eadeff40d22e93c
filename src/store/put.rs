//! Uploads: one PUT for a small file, a multipart upload for a large one.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use reqwest::{Body, Method, header};
use tokio::fs::File;
use tokio::io::AsyncSeekExt;

use super::error::local;
use super::headers::text;
use super::xml::{quoted, walk};
use super::{S3Store, StoreError, answer, explain, reader};

/// Files up to this size go in one PUT, larger ones in parts of at least this size.
const PART: u64 = 64 << 20;
/// S3 takes no more parts for one object.
const MAX_PARTS: u64 = 10_000;
/// How many parts of a file are on their way at once.
const PARALLEL: usize = 4;
const MAX_ANSWER: u64 = 1 << 20;

/// Some bytes of a file.
#[derive(Clone)]
struct Piece {
    file: PathBuf,
    start: u64,
    length: u64,
}

impl S3Store {
    /// Uploads `file` as `key`, streaming. A file of more than 64 MiB goes up in parts, which are
    /// removed again when one of them fails.
    ///
    /// # Errors
    /// `Local` where the file cannot be read or gets shorter meanwhile, else as the store answers.
    pub async fn put(&self, key: &str, file: &Path) -> Result<(), StoreError> {
        let size = tokio::fs::metadata(file)
            .await
            .map_err(local(file, "open"))?
            .len();
        let place = self.key_place(key)?;
        if size > PART {
            return self
                .put_parts(key, file, size, part_size(size, PART), &place)
                .await;
        }
        let piece = Piece {
            file: file.to_owned(),
            start: 0,
            length: size,
        };
        self.retried(|| async {
            self.put_piece(self.signer().put(key), &piece, &place)
                .await
                .map(drop)
        })
        .await
    }

    async fn put_parts(
        &self,
        key: &str,
        file: &Path,
        size: u64,
        part: u64,
        place: &str,
    ) -> Result<(), StoreError> {
        let upload = &self.create_upload(key, place).await?;
        let sent = stream::iter(0..size.div_ceil(part))
            .map(|index| {
                let start = index * part;
                let piece = Piece {
                    file: file.to_owned(),
                    start,
                    length: part.min(size - start),
                };
                async move {
                    self.retried(|| async {
                        let url = self.signer().upload_part(key, upload, index + 1);
                        let etag = self.put_piece(url, &piece, place).await?;
                        etag.ok_or_else(|| {
                            StoreError::protocol(place, "a part was stored without an ETag")
                        })
                    })
                    .await
                }
            })
            .buffered(PARALLEL)
            .try_collect::<Vec<String>>();
        let done = match sent.await {
            Ok(etags) => self.complete_upload(key, upload, &etags, place).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            let url = self.signer().abort_multipart(key, upload);
            let aborted = match self.send(self.request(Method::DELETE, url), place).await {
                Ok(response) => self.success(response, place).await.map(drop),
                Err(error) => Err(error),
            };
            if let Err(left) = aborted {
                tracing::warn!(
                    "{place}: the parts of the failed upload could not be removed: {left}"
                );
            }
            return Err(error);
        }
        Ok(())
    }

    async fn create_upload(&self, key: &str, place: &str) -> Result<String, StoreError> {
        self.retried(|| async {
            let url = self.signer().create_multipart(key);
            let request = self.request(Method::POST, url).header(header::CONTENT_LENGTH, 0);
            let response = self.success(self.send(request, place).await?, place).await?;
            let body = answer::body(response, MAX_ANSWER, place).await?;
            let mut upload = None;
            let read = walk(&body, |path, text| {
                if matches!(path, [root, id] if root == "InitiateMultipartUploadResult" && id == "UploadId") {
                    upload = Some(text.to_owned());
                }
                Ok(())
            });
            match (read, upload.filter(|id| !id.is_empty())) {
                (Ok(()), Some(upload)) => Ok(upload),
                _ => {
                    let start = quoted(&body);
                    Err(StoreError::protocol(place, format!("the upload got no UploadId; the answer begins {start}")))
                }
            }
        })
        .await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &str,
        etags: &[String],
        place: &str,
    ) -> Result<(), StoreError> {
        let mut document = String::from("<CompleteMultipartUpload>");
        for (index, etag) in etags.iter().enumerate() {
            let etag = quick_xml::escape::escape(etag.as_str());
            document += &format!(
                "<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag></Part>",
                index + 1
            );
        }
        document += "</CompleteMultipartUpload>";
        self.retried(|| async {
            let request = self
                .request(Method::POST, self.signer().complete_multipart(key, upload))
                .header(header::CONTENT_TYPE, "application/xml")
                .body(document.clone());
            let response = self
                .success(self.send(request, place).await?, place)
                .await?;
            // A store may answer 200 first and only then find that it failed.
            let body = answer::body(response, MAX_ANSWER, place).await?;
            explain::late_error(&body, place).map_or(Ok(()), Err)
        })
        .await
    }

    /// Sends one piece and gives the ETag that the store says, quotes included.
    async fn put_piece(
        &self,
        url: reqwest::Url,
        piece: &Piece,
        place: &str,
    ) -> Result<Option<String>, StoreError> {
        let (failed, failure) = tokio::sync::oneshot::channel();
        let bytes = piece.read().await?.scan(Some(failed), |failed, chunk| {
            // The HTTP client wraps the error beyond recognition, so it goes beside it.
            let sent = chunk.map_err(|error| {
                let kind = error.kind();
                if let Some(failed) = failed.take() {
                    let _ = failed.send(error);
                }
                std::io::Error::from(kind)
            });
            std::future::ready(Some(sent))
        });
        let request = self
            .request(Method::PUT, url)
            .header(header::CONTENT_LENGTH, piece.length)
            .body(Body::wrap_stream(bytes));
        let response = match self.send(request, place).await {
            Ok(response) => response,
            Err(error) => {
                let mut failure = failure;
                return Err(failure.try_recv().map_or(error, local(&piece.file, "read")));
            }
        };
        let response = self.success(response, place).await?;
        let etag = text(response.headers(), header::ETAG);
        // Reading to the end lets the connection be used again.
        answer::body(response, MAX_ANSWER, place).await?;
        Ok(etag)
    }
}

impl Piece {
    async fn read(
        &self,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + 'static, StoreError> {
        let mut file = File::open(&self.file)
            .await
            .map_err(local(&self.file, "open"))?;
        file.seek(SeekFrom::Start(self.start))
            .await
            .map_err(local(&self.file, "read"))?;
        Ok(reader::stream(file, self.length))
    }
}

/// Parts of `least` bytes, or of as many whole MiB as it takes for 10,000 of them to do.
fn part_size(size: u64, least: u64) -> u64 {
    size.div_ceil(MAX_PARTS)
        .next_multiple_of(1 << 20)
        .max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_never_too_many() {
        assert_eq!(part_size(PART + 1, PART), PART);
        for size in [1 << 30, 640_000 << 20, 5 << 40, (5 << 40) - 1] {
            let part = part_size(size, PART);
            assert!(
                size.div_ceil(part) <= MAX_PARTS && (PART..=5 << 30).contains(&part),
                "{size}: {part}"
            );
        }
    }
}
