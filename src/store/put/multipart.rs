//! The requests of an upload: a piece, and what begins and ends an upload in parts.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::{Body, Client, RequestBuilder, header};

use super::attempts::{Stoppable, not_implemented};
use super::checksum;
use super::left::{self, Note};
use super::piece::Piece;
use super::{Inner, Stamp, Uploaded};
use crate::store::connections::Kind;
use crate::store::headers::text;
use crate::store::xml::{quoted, walk};
use crate::store::{Algorithm, ErrorKind, StoreError, Sum, answer, explain};

const MAX_ANSWER: u64 = 1 << 20;
/// How long a store may take to join the parts of an upload.
const JOINING: Duration = Duration::from_secs(600);

/// A part that the store has.
struct Part {
    etag: String,
    sum: Sum,
}

impl Inner {
    /// Uploads in parts; the parts are removed when that fails.
    pub(super) async fn put_parts(
        &self,
        key: &str,
        file: &Path,
        stamp: Stamp,
        part: u64,
        place: &str,
    ) -> Result<Uploaded, StoreError> {
        let upload = &self.create(key, place).await?;
        let bucket = self.store.signer().base_url().to_string();
        let note = Note::new(&bucket, key, upload).write(self.notes.as_deref());
        let parts = stamp.size.div_ceil(part);
        let sent = stream::iter(0..parts)
            .map(|index| {
                let start = index * part;
                let piece = Piece {
                    file: file.to_owned(),
                    start,
                    length: part.min(stamp.size - start),
                };
                self.put_part(key, upload, index + 1, piece, place)
            })
            .buffered(self.parallel)
            .try_collect::<Vec<Part>>();
        let sent = match sent.await {
            Ok(parts) => stamp.check(file).await.map(|()| parts),
            Err(error) => Err(error),
        };
        let done = match sent {
            Ok(parts) => self.complete(key, upload, &parts, stamp.size, place).await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            match self.abort(key, upload, place).await {
                Ok(()) => note.into_iter().for_each(left::Noted::remove),
                Err(left) => tracing::warn!(
                    "{place}: the parts of the failed upload could not be removed: {left}"
                ),
            }
            return Err(error);
        }
        note.into_iter().for_each(left::Noted::remove);
        Ok(Uploaded {
            size: stamp.size,
            parts,
            checksum: self.algorithm(),
        })
    }

    async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: u64,
        piece: Piece,
        place: &str,
    ) -> Result<Part, StoreError> {
        let number = number.to_string();
        let query = [("partNumber", number.as_str()), ("uploadId", upload)];
        let (etag, sum) = self.put_piece(key, &query, &piece, place).await?;
        let etag =
            etag.ok_or_else(|| StoreError::protocol(place, "a part was stored without an ETag"))?;
        Ok(Part { etag, sum })
    }

    /// Sends one piece with its checksum and gives the ETag that the store says, quotes included.
    pub(super) async fn put_piece(
        &self,
        key: &str,
        query: &[(&str, &str)],
        piece: &Piece,
        place: &str,
    ) -> Result<(Option<String>, Sum), StoreError> {
        loop {
            let algorithm = self.algorithm();
            let sum = piece.checksum(algorithm).await?;
            let value = sum.to_base64();
            let headers = [(checksum::header(algorithm), value.as_str())];
            let put = |client: Client| {
                let url = self.store.signer().put(key, query, &headers);
                let [(name, value)] = headers;
                let request = client.put(url).header(name, value);
                async move {
                    let own = Arc::new(AtomicU64::new(0));
                    let sent = self.send_piece(request, piece, &own, place).await;
                    if sent.is_err() {
                        // They will be sent again.
                        let again = own.load(Ordering::Relaxed);
                        self.sent.fetch_sub(again, Ordering::Relaxed);
                    }
                    sent
                }
            };
            let sent = self.tried(place, Stoppable::Yes, Kind::Sending, put).await;
            match sent {
                Ok(etag) => return Ok((etag, sum)),
                Err(error) if algorithm == checksum::FIRST && refused(&error) => {
                    tracing::debug!(%error, "the store takes no CRC32C, so it gets an MD5");
                    self.second.store(true, Ordering::Relaxed);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn send_piece(
        &self,
        request: RequestBuilder,
        piece: &Piece,
        own: &Arc<AtomicU64>,
        place: &str,
    ) -> Result<Option<String>, StoreError> {
        let (bytes, mut failure) = piece.read([own, &self.sent]).await?;
        let request = request
            .header(header::CONTENT_LENGTH, piece.length)
            .body(Body::wrap_stream(bytes));
        let asked = async {
            let response = self.store.send(request, place).await?;
            let response = self.store.success(response, place).await?;
            let etag = text(response.headers(), header::ETAG);
            // Reading to the end lets the connection be used again.
            answer::body(response, MAX_ANSWER, place).await?;
            Ok(etag)
        };
        self.watched(place, own, asked).await.map_err(|error| {
            let of_file = failure.try_recv();
            of_file.map_or(error, crate::store::error::local(&piece.file, "read"))
        })
    }

    /// Begins an upload: its id.
    async fn create(&self, key: &str, place: &str) -> Result<String, StoreError> {
        loop {
            let algorithm = self.algorithm();
            let crc = [("x-amz-checksum-algorithm", "CRC32C")];
            let headers = match algorithm {
                checksum::FIRST => &crc[..],
                _ => &[],
            };
            // If this were called off, an upload might begin whose id nobody knows.
            let made = self
                .tried(place, Stoppable::No, Kind::Asking, |client| {
                    self.send_create(client, key, headers, place)
                })
                .await;
            match made {
                Err(error) if algorithm == checksum::FIRST && refused(&error) => {
                    self.second.store(true, Ordering::Relaxed);
                }
                other => return other,
            }
        }
    }

    async fn send_create(
        &self,
        client: Client,
        key: &str,
        headers: &[(&str, &str)],
        place: &str,
    ) -> Result<String, StoreError> {
        let url = self.store.signer().create_multipart(key, headers);
        let mut request = client.post(url).header(header::CONTENT_LENGTH, 0);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.store.send(request, place).await?;
        let response = self.store.success(response, place).await?;
        let body = answer::body(response, MAX_ANSWER, place).await?;
        let mut upload = None;
        let read = walk(&body, |path, text| {
            if matches!(path, [root, id] if root == "InitiateMultipartUploadResult" && id == "UploadId")
            {
                upload = Some(text.to_owned());
            }
            Ok(())
        });
        match (read, upload.filter(|id| !id.is_empty())) {
            (Ok(()), Some(upload)) => Ok(upload),
            _ => {
                let start = quoted(&body);
                Err(StoreError::protocol(
                    place,
                    format!("the upload got no UploadId: the answer begins {start}"),
                ))
            }
        }
    }

    /// Has the store join the parts.
    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: &[Part],
        size: u64,
        place: &str,
    ) -> Result<(), StoreError> {
        let document = &document(parts);
        let mut asked = 0;
        // Stopped now, it would not be known whether the object is there.
        let done = self.tried(place, Stoppable::No, Kind::Sending, |client| {
            asked += 1;
            self.send_complete(client, key, upload, document, place)
        });
        match done.await {
            // An earlier request may have been heard, and only its answer was lost.
            Err(error) if asked > 1 && error.kind() == ErrorKind::NotFound => {
                match self.store.head(key).await {
                    Ok(info) if info.size == size => Ok(()),
                    _ => Err(error),
                }
            }
            other => other,
        }
    }

    async fn send_complete(
        &self,
        client: Client,
        key: &str,
        upload: &str,
        document: &str,
        place: &str,
    ) -> Result<(), StoreError> {
        let url = self.store.signer().complete_multipart(key, upload);
        let request = client
            .post(url)
            .timeout(JOINING)
            .header(header::CONTENT_TYPE, "application/xml")
            .body(document.to_owned());
        let response = self.store.send(request, place).await?;
        let response = self.store.success(response, place).await?;
        // A store may answer 200 first and only then find that it failed.
        let body = answer::body(response, MAX_ANSWER, place).await?;
        explain::late_error(&body, place).map_or(Ok(()), Err)
    }

    /// Removes the parts of an upload. That there is no such upload is as good.
    async fn abort(&self, key: &str, upload: &str, place: &str) -> Result<(), StoreError> {
        let done = self.tried(place, Stoppable::No, Kind::Asking, |client| async move {
            let url = self.store.signer().abort_multipart(key, upload);
            let response = self.store.send(client.delete(url), place).await?;
            let response = self.store.success(response, place).await?;
            answer::body(response, MAX_ANSWER, place).await.map(drop)
        });
        match done.await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes the parts that killed processes left in this bucket; of how many uploads.
    pub(super) async fn clear(&self) -> usize {
        let bucket = self.store.signer().base_url().to_string();
        let mut cleared = 0;
        for (note, noted) in left::of_the_dead(self.notes.as_deref(), &bucket) {
            let place = self.store.place(&note.key);
            match self.abort(&note.key, &note.upload, &place).await {
                Ok(()) => {
                    noted.remove();
                    cleared += 1;
                }
                Err(error) => tracing::warn!(
                    "{place}: the parts that a killed upload left could not be removed: {error}"
                ),
            }
        }
        cleared
    }
}

fn document(parts: &[Part]) -> String {
    let mut document = String::from("<CompleteMultipartUpload>");
    for (index, part) in parts.iter().enumerate() {
        let etag = quick_xml::escape::escape(part.etag.as_str());
        document += &format!(
            "<Part><PartNumber>{}</PartNumber><ETag>{etag}</ETag>",
            index + 1
        );
        if part.sum.algorithm() == Algorithm::Crc32c {
            document += &format!("<ChecksumCRC32C>{}</ChecksumCRC32C>", part.sum.to_base64());
        }
        document += "</Part>";
    }
    document + "</CompleteMultipartUpload>"
}

/// Whether a store may have refused a request for its checksum.
fn refused(error: &StoreError) -> bool {
    error.kind() == ErrorKind::Protocol || not_implemented(error)
}
