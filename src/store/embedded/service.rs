//! The S3 operations on a directory.

use std::io::ErrorKind;
use std::ops;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use tokio::fs::File;
use tokio::io::AsyncSeekExt;

use super::files::{self, Entry, Query};
use super::write::{self, Refused, Said};
use crate::store::error::local;
use crate::store::{StoreError, reader};

/// Encodes so that both ways of reading a plus give the same key.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');
const PAGE: usize = 1_000;

/// A directory whose sub-directories are buckets.
pub(super) struct Directory {
    root: PathBuf,
}

type Answer<T> = S3Result<S3Response<T>>;

impl Directory {
    pub(super) fn open(root: &Path) -> Result<Directory, StoreError> {
        let root = root.canonicalize().map_err(local(root, "serve"))?;
        std::fs::read_dir(&root).map_err(local(&root, "serve"))?;
        Ok(Directory { root })
    }

    fn bucket(&self, name: &str) -> S3Result<PathBuf> {
        let path = self.root.join(name);
        if !files::is_bucket_name(name) || !path.is_dir() {
            return Err(s3_error!(NoSuchBucket));
        }
        Ok(path)
    }

    /// Where an object is to be written.
    fn target(&self, bucket: &str, key: &str) -> S3Result<PathBuf> {
        files::path_of(&self.bucket(bucket)?, key).ok_or_else(|| unfit("its name"))
    }

    /// The directory of an upload that is under way.
    fn upload(&self, id: &str) -> S3Result<PathBuf> {
        write::upload_dir(&self.root, id)
            .filter(|dir| dir.is_dir())
            .ok_or_else(|| s3_error!(NoSuchUpload))
    }

    async fn find(
        &self,
        bucket: &str,
        key: &str,
        condition: Option<&ETagCondition>,
    ) -> S3Result<(PathBuf, Found)> {
        let path =
            files::path_of(&self.bucket(bucket)?, key).ok_or_else(|| s3_error!(NoSuchKey))?;
        let meta = match tokio::fs::metadata(&path).await {
            Ok(meta) if meta.is_file() => meta,
            Err(e) if e.kind() == ErrorKind::PermissionDenied => return Err(internal(e)),
            _ => return Err(s3_error!(NoSuchKey)),
        };
        let found = Found::new(&meta)?;
        if let Some(ETagCondition::ETag(wanted)) = condition
            && !found.etag.strong_cmp(wanted)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        Ok((path, found))
    }
}

fn etag_of(path: &Path) -> S3Result<ETag> {
    let meta = std::fs::metadata(path).map_err(internal)?;
    Ok(ETag::Strong(files::etag(&meta)))
}

/// What is said of an object.
struct Found {
    size: u64,
    etag: ETag,
    modified: Timestamp,
}

impl Found {
    fn new(meta: &std::fs::Metadata) -> S3Result<Found> {
        let modified = meta.modified().map_err(internal)?;
        Ok(Found {
            size: meta.len(),
            etag: ETag::Strong(files::etag(meta)),
            modified: modified.into(),
        })
    }
}

fn internal(error: impl std::fmt::Display) -> S3Error {
    s3_error!(InternalError, "{}", error)
}

fn refused(why: Refused) -> S3Error {
    match why {
        Refused::Digest => s3_error!(BadDigest),
        Refused::Io(error) => internal(error),
    }
}

/// For a key that the file system refuses; asking again would not help.
fn unfit(why: impl std::fmt::Display) -> S3Error {
    s3_error!(
        InvalidArgument,
        "this server keeps objects as files, and no file can have this key here: {}",
        why
    )
}

fn signed(size: u64) -> S3Result<i64> {
    i64::try_from(size).map_err(internal)
}

#[async_trait::async_trait]
impl S3 for Directory {
    async fn get_object(&self, req: S3Request<GetObjectInput>) -> Answer<GetObjectOutput> {
        let input = req.input;
        let (path, _) = self.find(&input.bucket, &input.key, None).await?;
        let mut file = File::open(&path).await.map_err(internal)?;
        // Of the open file, so that what is said and what is sent are of the same one.
        let found = Found::new(&file.metadata().await.map_err(internal)?)?;
        if let Some(ETagCondition::ETag(wanted)) = &input.if_match
            && !found.etag.strong_cmp(wanted)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let (range, content_range) = match input.range {
            None => (0..found.size, None),
            Some(range) => {
                let ops::Range { start, end } = range.check(found.size)?;
                (
                    start..end,
                    Some(format!(
                        "bytes {start}-{}/{}",
                        end.saturating_sub(1),
                        found.size
                    )),
                )
            }
        };
        file.seek(std::io::SeekFrom::Start(range.start))
            .await
            .map_err(internal)?;
        let length = range.end - range.start;
        Ok(S3Response::new(GetObjectOutput {
            body: Some(StreamingBlob::wrap(reader::stream(file, length))),
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(length)?),
            content_range,
            e_tag: Some(found.etag),
            last_modified: Some(found.modified),
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> Answer<HeadObjectOutput> {
        let input = req.input;
        let (_, found) = self
            .find(&input.bucket, &input.key, input.if_match.as_ref())
            .await?;
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(signed(found.size)?),
            e_tag: Some(found.etag),
            last_modified: Some(found.modified),
            ..Default::default()
        }))
    }

    async fn head_bucket(&self, req: S3Request<HeadBucketInput>) -> Answer<HeadBucketOutput> {
        self.bucket(&req.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_buckets(&self, _: S3Request<ListBucketsInput>) -> Answer<ListBucketsOutput> {
        let mut names: Vec<String> = std::fs::read_dir(&self.root)
            .map_err(internal)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| self.bucket(name).is_ok())
            .collect();
        names.sort();
        let buckets = names
            .into_iter()
            .map(|name| Bucket {
                name: Some(name),
                ..Default::default()
            })
            .collect();
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(buckets),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> Answer<ListObjectsV2Output> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let url = input
            .encoding_type
            .as_ref()
            .is_some_and(|e| e.as_str() == EncodingType::URL);
        let shown = |text: &str| {
            if url {
                utf8_percent_encode(text, ENCODED).to_string()
            } else {
                text.to_owned()
            }
        };
        let (prefix, delimiter) = (
            input.prefix.clone().unwrap_or_default(),
            input.delimiter.clone(),
        );
        let mut after = input.start_after.clone().unwrap_or_default();
        if let Some(token) = &input.continuation_token {
            let token = percent_decode_str(token).decode_utf8();
            after = token
                .map_err(|_| s3_error!(InvalidArgument, "no such continuation token"))?
                .into_owned();
        }
        let max = input
            .max_keys
            .map_or(PAGE, |n| usize::try_from(n).unwrap_or(0).min(PAGE));
        let listed = tokio::task::spawn_blocking(move || {
            let delimiter = delimiter.as_deref().filter(|d| !d.is_empty());
            files::list(
                &bucket,
                &Query {
                    prefix: &prefix,
                    delimiter,
                    after: &after,
                    max,
                },
            )
        });
        let (entries, more) = listed.await.map_err(internal)?.map_err(internal)?;
        // The token is encoded in any case, since XML cannot hold every key.
        let next = entries
            .last()
            .filter(|_| more)
            .map(|e| utf8_percent_encode(e.name(), ENCODED).to_string());
        let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
        for entry in &entries {
            match entry {
                Entry::Prefix(prefix) => prefixes.push(CommonPrefix {
                    prefix: Some(shown(prefix)),
                }),
                Entry::Object { key, meta } => {
                    let found = Found::new(meta)?;
                    contents.push(Object {
                        key: Some(shown(key)),
                        size: Some(signed(found.size)?),
                        e_tag: Some(found.etag),
                        last_modified: Some(found.modified),
                        ..Default::default()
                    });
                }
            }
        }
        Ok(S3Response::new(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: input.prefix.as_deref().map(shown),
            delimiter: input.delimiter.as_deref().map(shown),
            start_after: input.start_after.as_deref().map(shown),
            encoding_type: input.encoding_type,
            max_keys: i32::try_from(max).ok(),
            key_count: i32::try_from(entries.len()).ok(),
            is_truncated: Some(more),
            continuation_token: input.continuation_token,
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(prefixes),
            ..Default::default()
        }))
    }

    async fn create_bucket(&self, req: S3Request<CreateBucketInput>) -> Answer<CreateBucketOutput> {
        match tokio::fs::create_dir(self.root.join(&req.input.bucket)).await {
            Ok(()) => Ok(S3Response::new(CreateBucketOutput::default())),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                Err(s3_error!(BucketAlreadyOwnedByYou))
            }
            Err(e) => Err(internal(e)),
        }
    }

    async fn put_object(&self, req: S3Request<PutObjectInput>) -> Answer<PutObjectOutput> {
        let input = req.input;
        let target = self.target(&input.bucket, &input.key)?;
        let said = Said {
            length: input.content_length,
            crc32c: input.checksum_crc32c,
            md5: input.content_md5,
        };
        let file = write::body(&self.root, input.body, said)
            .await
            .map_err(refused)?;
        file.place(&target).map_err(unfit)?;
        let e_tag = Some(etag_of(&target)?);
        Ok(S3Response::new(PutObjectOutput {
            e_tag,
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> Answer<DeleteObjectOutput> {
        let target = self.target(&req.input.bucket, &req.input.key)?;
        match tokio::fs::remove_file(target).await {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(internal(e)),
            _ => Ok(S3Response::new(DeleteObjectOutput::default())),
        }
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> Answer<CreateMultipartUploadOutput> {
        let input = req.input;
        self.target(&input.bucket, &input.key)?;
        let id = write::new_id();
        let dir = write::upload_dir(&self.root, &id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        tokio::fs::create_dir(dir).await.map_err(internal)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(id),
            ..Default::default()
        }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> Answer<UploadPartOutput> {
        let input = req.input;
        let dir = self.upload(&input.upload_id)?;
        if !(1..=10_000).contains(&input.part_number) {
            return Err(s3_error!(
                InvalidArgument,
                "parts are numbered from 1 to 10,000"
            ));
        }
        let said = Said {
            length: input.content_length,
            crc32c: input.checksum_crc32c,
            md5: input.content_md5,
        };
        let file = write::body(&self.root, input.body, said)
            .await
            .map_err(refused)?;
        let part = write::part(&dir, input.part_number);
        file.place(&part).map_err(internal)?;
        let e_tag = Some(etag_of(&part)?);
        Ok(S3Response::new(UploadPartOutput {
            e_tag,
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> Answer<CompleteMultipartUploadOutput> {
        let input = req.input;
        let target = self.target(&input.bucket, &input.key)?;
        let dir = self.upload(&input.upload_id)?;
        let (mut parts, mut last) = (Vec::new(), 0);
        for part in input
            .multipart_upload
            .and_then(|upload| upload.parts)
            .into_iter()
            .flatten()
        {
            let number = part
                .part_number
                .filter(|n| *n > last)
                .ok_or_else(|| s3_error!(InvalidPartOrder))?;
            let path = write::part(&dir, number);
            let there = etag_of(&path).map_err(|_| s3_error!(InvalidPart))?;
            if part.e_tag.is_some_and(|said| said.value() != there.value()) {
                return Err(s3_error!(InvalidPart));
            }
            parts.push(path);
            last = number;
        }
        if parts.is_empty() {
            return Err(s3_error!(InvalidPart));
        }
        let root = self.root.clone();
        let joined = tokio::task::spawn_blocking(move || write::join(&root, &parts));
        joined
            .await
            .map_err(internal)?
            .map_err(internal)?
            .place(&target)
            .map_err(unfit)?;
        tokio::fs::remove_dir_all(dir).await.map_err(internal)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(etag_of(&target)?),
            ..Default::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> Answer<AbortMultipartUploadOutput> {
        let dir = self.upload(&req.input.upload_id)?;
        tokio::fs::remove_dir_all(dir).await.map_err(internal)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
