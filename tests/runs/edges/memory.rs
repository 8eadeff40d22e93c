//! A bucket in memory: any key, and answers that a test can choose.

use std::collections::{BTreeMap, HashMap};
use std::net::TcpListener;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use cotec::store::embedded::serve_service;
use cotec::store::{Algorithm, Summer};
use futures_util::stream;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use crate::common::run::Coord;

const ACCESS: &str = "AKIDTESTACCESS";
const SECRET: &str = "s3cr3t/of+the=test";

/// What to answer to a GET instead of the object.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The object.
    Plain,
    /// 404.
    Gone,
    /// 503.
    Busy,
    /// Half of the bytes, and then the connection breaks.
    Half,
    /// Half of the bytes, and then nothing more for an hour.
    Silent,
    /// The object, in pieces of 16 KiB, twenty a second.
    Slow,
    /// From now on the object holds this, with an ETag of its own.
    Replaced(Vec<u8>),
}

type Choose = Box<dyn Fn(&str, usize) -> Answer + Send + Sync>;

/// The bucket.
pub struct Bucket {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    gets: Mutex<HashMap<String, usize>>,
    choose: Choose,
    /// Whether it knows If-Match.
    pub if_match: bool,
    /// Whether it has ETags at all.
    pub etags: bool,
}

impl Bucket {
    pub fn new<K: Into<String>, B: Into<Vec<u8>>>(
        objects: impl IntoIterator<Item = (K, B)>,
    ) -> Bucket {
        let objects = objects.into_iter().map(|(k, b)| (k.into(), b.into()));
        Bucket {
            objects: Mutex::new(objects.collect()),
            gets: Mutex::default(),
            choose: Box::new(|_, _| Answer::Plain),
            if_match: true,
            etags: true,
        }
    }

    /// Lets `choose` say what the GET of a key with this number, from 0, is answered with.
    pub fn answering(
        self,
        choose: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
    ) -> Bucket {
        let choose: Choose = Box::new(choose);
        Bucket { choose, ..self }
    }

    pub fn serve(self) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (reader, stop) = std::io::pipe().unwrap();
        let bucket = Arc::new(self);
        let service = Service(Arc::clone(&bucket));
        let thread = std::thread::spawn(move || {
            serve_service(service, listener, ACCESS, SECRET, Some(reader.into())).unwrap();
        });
        Served {
            url,
            bucket,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    fn etag(&self, bytes: &[u8]) -> Option<ETag> {
        let sum = Summer::of(Algorithm::Md5, bytes);
        let hex = |sum: &[u8]| sum.iter().map(|b| format!("{b:02x}")).collect();
        self.etags.then(|| ETag::Strong(hex(sum.bytes())))
    }
}

/// A bucket that is served until this is dropped.
pub struct Served {
    pub url: String,
    bucket: Arc<Bucket>,
    stop: Option<std::io::PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// Points a run at the bucket.
    pub fn to(&self, coord: Coord) -> Coord {
        coord
            .args(["--endpoint", &self.url, "--bucket", "memory"])
            .env("AWS_ACCESS_KEY_ID", ACCESS)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
    }

    /// How often a key was asked for.
    pub fn gets(&self, key: &str) -> usize {
        let gets = self.bucket.gets.lock().unwrap();
        gets.get(key).copied().unwrap_or(0)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

struct Service(Arc<Bucket>);

/// Bytes in pieces, with a pause before each but the first.
fn pieces(bytes: Vec<u8>, size: usize, pause: Duration) -> StreamingBlob {
    let rest = (bytes::Bytes::from(bytes), false);
    StreamingBlob::wrap(stream::unfold(rest, move |(mut bytes, begun)| async move {
        if bytes.is_empty() {
            return None;
        }
        if begun {
            tokio::time::sleep(pause).await;
        }
        let piece = bytes.split_to(size.min(bytes.len()));
        Some((Ok::<_, std::io::Error>(piece), (bytes, true)))
    }))
}

fn body(bytes: Vec<u8>, whole: bool) -> StreamingBlob {
    if whole {
        return StreamingBlob::from(s3s::Body::from(bytes));
    }
    let half = bytes::Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
    let broken = std::io::Error::other("broken off");
    StreamingBlob::wrap(stream::iter([Ok(half), Err(broken)]))
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let (bucket, input) = (&self.0, req.input);
        let number = {
            let mut gets = bucket.gets.lock().unwrap();
            let count = gets.entry(input.key.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let (mut whole, mut paced) = (true, None);
        match (bucket.choose)(&input.key, number) {
            Answer::Plain => {}
            Answer::Gone => return Err(s3_error!(NoSuchKey)),
            Answer::Busy => return Err(s3_error!(SlowDown)),
            Answer::Half => whole = false,
            Answer::Silent => paced = Some((None, Duration::from_secs(3600))),
            Answer::Slow => paced = Some((Some(16 << 10), Duration::from_millis(50))),
            Answer::Replaced(bytes) => {
                let mut objects = bucket.objects.lock().unwrap();
                objects.insert(input.key.clone(), bytes);
            }
        }
        let objects = bucket.objects.lock().unwrap();
        let bytes = objects.get(&input.key).ok_or(s3_error!(NoSuchKey))?;
        let etag = bucket.etag(bytes);
        if let (true, Some(ETagCondition::ETag(wanted)), Some(etag)) =
            (bucket.if_match, &input.if_match, &etag)
            && !etag.strong_cmp(wanted)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        let size = bytes.len() as u64;
        let range = input.range.map(|range| range.check(size)).transpose()?;
        let content_range = range
            .as_ref()
            .map(|r| format!("bytes {}-{}/{size}", r.start, r.end - 1));
        let Range { start, end } = range.unwrap_or(0..size);
        let part = bytes[start as usize..end as usize].to_vec();
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(part.len() as i64),
            content_range,
            e_tag: etag,
            body: Some(match paced {
                None => body(part, whole),
                Some((size, pause)) => {
                    let half = (part.len() / 2).max(1);
                    pieces(part, size.unwrap_or(half), pause)
                }
            }),
            ..Default::default()
        }))
    }

    /// One page with everything below the prefix.
    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let prefix = req.input.prefix.unwrap_or_default();
        let objects = self.0.objects.lock().unwrap();
        let contents = objects
            .iter()
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(key, bytes)| Object {
                key: Some(key.clone()),
                size: Some(bytes.len() as i64),
                e_tag: self.0.etag(bytes),
                ..Default::default()
            });
        Ok(S3Response::new(ListObjectsV2Output {
            contents: Some(contents.collect()),
            is_truncated: Some(false),
            ..Default::default()
        }))
    }
}
