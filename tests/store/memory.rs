//! S3 in memory, which can hold any key, for what a directory cannot.

use std::collections::BTreeMap;
use std::sync::Mutex;

use cotec::store::embedded;
use futures_util::StreamExt;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use crate::store_common::{ACCESS, SECRET, Served};

impl Served {
    /// A server that keeps everything in memory, and any key.
    pub fn memory() -> Served {
        Served::start(|listener, stop| {
            embedded::serve_service(Memory::default(), listener, ACCESS, SECRET, Some(stop))
                .unwrap();
        })
    }
}

/// Objects of one bucket, whatever that is called.
#[derive(Default)]
pub struct Memory {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl Memory {
    fn body(&self, key: &str) -> S3Result<Vec<u8>> {
        self.objects
            .lock()
            .unwrap()
            .get(key)
            .cloned()
            .ok_or_else(|| s3_error!(NoSuchKey))
    }
}

#[async_trait::async_trait]
impl S3 for Memory {
    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let mut bytes = Vec::new();
        let mut body = req.input.body.unwrap();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk.unwrap());
        }
        self.objects.lock().unwrap().insert(req.input.key, bytes);
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let content_length = Some(self.body(&req.input.key)?.len() as i64);
        Ok(S3Response::new(HeadObjectOutput {
            content_length,
            ..Default::default()
        }))
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let bytes = self.body(&req.input.key)?;
        let whole = bytes.len() as u64;
        let range = req
            .input
            .range
            .map(|range| range.check(whole))
            .transpose()?;
        let content_range = range
            .as_ref()
            .map(|r| format!("bytes {}-{}/{whole}", r.start, r.end - 1));
        let range = range.unwrap_or(0..whole);
        let bytes = bytes[range.start as usize..range.end as usize].to_vec();
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(bytes.len() as i64),
            content_range,
            body: Some(StreamingBlob::from(s3s::Body::from(bytes))),
            ..Default::default()
        }))
    }

    /// Keys are not encoded, although it may be said that they are: some servers do so.
    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let prefix = req.input.prefix.clone().unwrap_or_default();
        let objects = self.objects.lock().unwrap();
        let contents = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, bytes)| Object {
                key: Some(key.clone()),
                size: Some(bytes.len() as i64),
                ..Default::default()
            });
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(contents.collect()),
            is_truncated: Some(false),
            ..Default::default()
        }))
    }
}
