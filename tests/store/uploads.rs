//! Uploads: parts side by side, checksums, what is tried again, and that nothing is left behind.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cotec::store::{Algorithm, ErrorKind, StoreError, Summer, embedded};
use futures_util::StreamExt;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use tempfile::TempDir;

use crate::client::{block_on, store};
use crate::store_common::{ACCESS, SECRET, Served};

const MIB: usize = 1 << 20;
/// Nothing takes so long, even on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(60);

/// What a request for an upload said.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Put {
        crc32c: bool,
        md5: bool,
    },
    Create {
        crc32c: bool,
    },
    Part {
        number: i32,
        crc32c: bool,
        md5: bool,
    },
    Complete {
        parts: usize,
        sums: usize,
    },
    Abort,
}

/// What becomes of a request; the default is that it is served.
type Verdict = Arc<dyn Fn(&Seen) -> S3Result<()> + Send + Sync>;

/// A store in memory with a will of its own.
#[derive(Clone)]
struct Service {
    verdict: Verdict,
    log: Arc<Mutex<Vec<Seen>>>,
    parts: Arc<Mutex<BTreeMap<i32, Vec<u8>>>>,
    object: Arc<Mutex<Option<Vec<u8>>>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
}

impl Service {
    fn new(verdict: impl Fn(&Seen) -> S3Result<()> + Send + Sync + 'static) -> Service {
        Service {
            verdict: Arc::new(verdict),
            log: Arc::default(),
            parts: Arc::default(),
            object: Arc::default(),
            at_once: Arc::default(),
            most_at_once: Arc::default(),
        }
    }

    fn serve(&self) -> Served {
        let service = self.clone();
        Served::start(move |listener, stop| {
            embedded::serve_service(service, listener, ACCESS, SECRET, Some(stop)).unwrap();
        })
    }

    fn says(&self, seen: Seen) -> S3Result<()> {
        self.log.lock().unwrap().push(seen.clone());
        (self.verdict)(&seen)
    }

    fn log(&self) -> Vec<Seen> {
        self.log.lock().unwrap().clone()
    }

    fn count(&self, which: impl Fn(&Seen) -> bool) -> usize {
        self.log().iter().filter(|seen| which(seen)).count()
    }
}

/// Reads a body and compares it with what was said of it.
async fn body(
    body: Option<StreamingBlob>,
    crc32c: Option<String>,
    md5: Option<String>,
) -> S3Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut body = body.unwrap();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk.map_err(|_| s3_error!(IncompleteBody))?);
    }
    for (algorithm, said) in [(Algorithm::Crc32c, crc32c), (Algorithm::Md5, md5)] {
        if said.is_some_and(|said| Summer::of(algorithm, &bytes).to_base64() != said) {
            return Err(s3_error!(BadDigest));
        }
    }
    Ok(bytes)
}

fn etag() -> Option<ETag> {
    Some(ETag::Strong("e-1".to_owned()))
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = req.input;
        let (crc32c, md5) = (input.checksum_crc32c, input.content_md5);
        let seen = Seen::Put {
            crc32c: crc32c.is_some(),
            md5: md5.is_some(),
        };
        let bytes = body(input.body, crc32c, md5).await?;
        self.says(seen)?;
        *self.object.lock().unwrap() = Some(bytes);
        Ok(S3Response::new(PutObjectOutput::default()))
    }

    async fn head_object(
        &self,
        _: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.object.lock().unwrap();
        let length = object.as_ref().ok_or_else(|| s3_error!(NoSuchKey))?.len();
        Ok(S3Response::new(HeadObjectOutput {
            content_length: i64::try_from(length).ok(),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let algorithm = req.input.checksum_algorithm;
        self.says(Seen::Create {
            crc32c: algorithm.is_some_and(|a| a.as_str() == "CRC32C"),
        })?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            upload_id: Some("id".to_owned()),
            ..Default::default()
        }))
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = req.input;
        let number = input.part_number;
        let (crc32c, md5) = (input.checksum_crc32c, input.content_md5);
        let seen = Seen::Part {
            number,
            crc32c: crc32c.is_some(),
            md5: md5.is_some(),
        };
        let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_at_once.fetch_max(now, Ordering::SeqCst);
        let bytes = body(input.body, crc32c, md5).await;
        self.at_once.fetch_sub(1, Ordering::SeqCst);
        let bytes = bytes?;
        self.says(seen)?;
        self.parts.lock().unwrap().insert(number, bytes);
        Ok(S3Response::new(UploadPartOutput {
            e_tag: etag(),
            ..Default::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let parts = req
            .input
            .multipart_upload
            .and_then(|u| u.parts)
            .unwrap_or_default();
        let sums = parts.iter().filter(|p| p.checksum_crc32c.is_some()).count();
        let seen = Seen::Complete {
            parts: parts.len(),
            sums,
        };
        let there = std::mem::take(&mut *self.parts.lock().unwrap());
        if there.is_empty() {
            return Err(s3_error!(NoSuchUpload));
        }
        let whole = there.into_values().flatten().collect();
        *self.object.lock().unwrap() = Some(whole);
        self.says(seen)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput::default()))
    }

    async fn abort_multipart_upload(
        &self,
        _: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.parts.lock().unwrap().clear();
        self.says(Seen::Abort)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

/// A file of so many MiB in which no two words are alike.
fn file(dir: &TempDir, mib: usize) -> (PathBuf, Vec<u8>) {
    let path = dir.path().join("file");
    let words = (0..mib * MIB / 4).map(|n| (n as u32).wrapping_mul(2_654_435_761));
    let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    fs::write(&path, &bytes).unwrap();
    (path, bytes)
}

fn put(service: &Service, path: &Path) -> Result<cotec::store::Uploaded, StoreError> {
    let server = service.serve();
    block_on(async { store(&server.url, "bucket").put("key", path).await })
}

#[test]
fn parts_go_up_with_checksums_that_the_store_compares() {
    let dir = TempDir::new().unwrap();
    let (path, bytes) = file(&dir, 40);
    let service = Service::new(|_| Ok(()));
    let uploaded = put(&service, &path).unwrap();
    assert_eq!((uploaded.size, uploaded.parts), (40 * MIB as u64, 3));
    assert_eq!(uploaded.checksum, Algorithm::Crc32c);
    assert!(service.object.lock().unwrap().as_deref() == Some(&bytes));
    let mut log = service.log();
    log.sort_by_key(|seen| format!("{seen:?}"));
    let part = |number| Seen::Part {
        number,
        crc32c: true,
        md5: false,
    };
    let complete = Seen::Complete { parts: 3, sums: 3 };
    let create = Seen::Create { crc32c: true };
    assert_eq!(log, [complete, create, part(1), part(2), part(3)]);
    // A small file goes in one request.
    fs::write(&path, b"small").unwrap();
    let uploaded = put(&service, &path).unwrap();
    assert_eq!((uploaded.size, uploaded.parts), (5, 0));
    let last = service.log().pop().unwrap();
    assert_eq!(
        last,
        Seen::Put {
            crc32c: true,
            md5: false
        }
    );
}

#[test]
fn a_store_that_refuses_the_checksum_gets_an_md5() {
    let dir = TempDir::new().unwrap();
    let (path, bytes) = file(&dir, 20);
    for refused in ["all of it", "the parts"] {
        let service = Service::new(move |seen| match seen {
            Seen::Create { crc32c: true } if refused == "all of it" => {
                Err(s3_error!(NotImplemented))
            }
            Seen::Part { crc32c: true, .. } => Err(s3_error!(InvalidRequest, "no such header")),
            _ => Ok(()),
        });
        let uploaded = put(&service, &path).unwrap();
        assert_eq!(uploaded.checksum, Algorithm::Md5, "{refused}");
        assert!(service.object.lock().unwrap().as_deref() == Some(&bytes));
        let with_md5 = |seen: &Seen| matches!(seen, Seen::Part { md5: true, .. });
        assert_eq!(service.count(with_md5), 2, "{refused}");
    }
}

#[test]
fn what_may_pass_is_tried_again() {
    let dir = TempDir::new().unwrap();
    let (path, bytes) = file(&dir, 40);
    let times = AtomicUsize::new(0);
    let service = Service::new(move |seen| match seen {
        Seen::Part { .. } | Seen::Create { .. } => match times.fetch_add(1, Ordering::SeqCst) {
            0 | 3 => Err(s3_error!(SlowDown)),
            1 => Err(s3_error!(InternalError)),
            2 => Err(s3_error!(BadDigest)),
            _ => Ok(()),
        },
        _ => Ok(()),
    });
    put(&service, &path).unwrap();
    assert!(service.object.lock().unwrap().as_deref() == Some(&bytes));
    assert_eq!(service.count(|seen| *seen == Seen::Abort), 0);
}

#[test]
fn a_lost_answer_to_the_last_request_is_no_failure() {
    let dir = TempDir::new().unwrap();
    let (path, bytes) = file(&dir, 20);
    let service = Service::new(|seen| match seen {
        // It has joined the parts, and the next time it knows of no such upload.
        Seen::Complete { .. } => Err(s3_error!(InternalError)),
        _ => Ok(()),
    });
    put(&service, &path).unwrap();
    assert!(service.object.lock().unwrap().as_deref() == Some(&bytes));
}

#[test]
fn an_upload_that_fails_removes_its_parts() {
    let dir = TempDir::new().unwrap();
    let (path, _) = file(&dir, 40);
    let service = Service::new(|seen| match seen {
        Seen::Part { number: 2, .. } => Err(s3_error!(AccessDenied)),
        _ => Ok(()),
    });
    let error = put(&service, &path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!(service.log().last(), Some(&Seen::Abort));
    assert!(service.parts.lock().unwrap().is_empty());
    assert!(service.object.lock().unwrap().is_none());
}

/// Uploads a file of two parts that is written anew, shorter or not, before the store answers the
/// request of which `when` is true.
fn put_while_written(
    shorter: usize,
    when: impl Fn(&Service, &Seen) -> S3Result<bool> + Send + Sync + 'static,
) {
    let dir = TempDir::new().unwrap();
    let (path, bytes) = file(&dir, 20);
    let changed = path.clone();
    let own: Arc<Mutex<Option<Service>>> = Arc::default();
    let its_own = own.clone();
    let service = Service::new(move |seen| {
        let service = its_own.lock().unwrap().clone().unwrap();
        let outcome = when(&service, seen);
        if !matches!(outcome, Ok(false)) {
            fs::write(&changed, &bytes[..bytes.len() - shorter]).unwrap();
        }
        outcome.map(drop)
    });
    *own.lock().unwrap() = Some(service.clone());
    let error = put(&service, &path).unwrap_err();
    own.lock().unwrap().take();
    assert!(matches!(error, StoreError::Altered { .. }), "{error}");
    assert_eq!(error.kind(), ErrorKind::Local);
    assert!(error.to_string().contains("changed meanwhile"), "{error}");
    assert_eq!(service.log().last(), Some(&Seen::Abort));
    assert!(service.object.lock().unwrap().is_none());
}

#[test]
fn a_file_that_changes_meanwhile_is_not_uploaded() {
    // Before any of it is read: it ends early.
    put_while_written(5 * MIB, |_, seen| Ok(matches!(seen, Seen::Create { .. })));
    // After all of it has been read.
    put_while_written(1, |service, seen| {
        let parts = service.count(|seen| matches!(seen, Seen::Part { .. }));
        Ok(matches!(seen, Seen::Part { .. }) && parts == 2)
    });
    // After it was summed up, which the store can only take for a fault of the network.
    put_while_written(0, |_, seen| match seen {
        Seen::Part { .. } => Err(s3_error!(BadDigest)),
        _ => Ok(false),
    });
}

#[test]
fn a_switch_stops_uploads_and_they_remove_their_parts() {
    let dir = TempDir::new().unwrap();
    let (path, _) = file(&dir, 60);
    let service = Service::new(|_| Ok(()));
    let server = service.serve();
    block_on(async {
        let store = store(&server.url, "bucket");
        let uploads = store.uploads(1);
        let putting = uploads.put("key", &path);
        let stopping = async {
            while service.count(|seen| matches!(seen, Seen::Part { .. })) == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(uploads.sent() > 0);
            uploads.stop();
        };
        let (put, ()) = tokio::join!(putting, stopping);
        let error = put.unwrap_err();
        assert!(matches!(error, StoreError::Stopped { .. }), "{error}");
        // Nothing more begins.
        let error = uploads.put("other", &path).await.unwrap_err();
        assert!(matches!(error, StoreError::Stopped { .. }), "{error}");
    });
    assert!(service.parts.lock().unwrap().is_empty());
    assert!(service.object.lock().unwrap().is_none());
    let begun = service.count(|seen| matches!(seen, Seen::Create { .. }));
    assert_eq!(service.count(|seen| *seen == Seen::Abort), begun);
}

#[test]
fn no_more_requests_at_a_time_than_were_asked_for() {
    let dir = TempDir::new().unwrap();
    let (path, _) = file(&dir, 80);
    let service = Service::new(|_| Ok(()));
    let server = service.serve();
    block_on(async {
        let uploads = store(&server.url, "bucket").uploads(3);
        uploads.put("key", &path).await.unwrap();
    });
    let most = service.most_at_once.load(Ordering::SeqCst);
    assert!((2..=3).contains(&most), "{most}");
}

/// Starts `cotec put` of a large file, one part at a time, and waits for the first part.
#[cfg(feature = "cli")]
fn begun(dir: &TempDir, url: &str, root: &Path) -> std::process::Child {
    let path = dir.path().join("large");
    fs::File::create(&path).unwrap().set_len(2 << 30).unwrap();
    let mut child = command(dir, url, &["put", "--parallel", "1"])
        .arg(&path)
        .arg("s3://bucket/large")
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while left(root)
        .iter()
        .all(|dir| fs::read_dir(dir).unwrap().count() == 0)
    {
        assert!(begun.elapsed() < LIMIT, "no part comes");
        assert_eq!(child.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(1));
    }
    child
}

#[cfg(feature = "cli")]
fn command(dir: &TempDir, url: &str, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cotec"));
    command
        .args(args)
        .env("HOME", dir.path())
        .env("XDG_STATE_HOME", dir.path().join("state"))
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", ACCESS)
        .env("AWS_SECRET_ACCESS_KEY", SECRET);
    command
}

/// What uploads in parts have left at the embedded server.
#[cfg(feature = "cli")]
fn left(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "parts"))
        .collect()
}

#[cfg(feature = "cli")]
#[test]
fn ctrl_c_and_sigterm_leave_no_parts() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let (dir, root) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        fs::create_dir(root.path().join("bucket")).unwrap();
        let server = Served::directory(root.path());
        let mut child = begun(&dir, &server.url, root.path());
        let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
        kill(pid, signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(130), "{signal}");
        drop(server);
        let names = |path: &Path| fs::read_dir(path).unwrap().count();
        assert_eq!(
            (names(root.path()), names(&root.path().join("bucket"))),
            (1, 0)
        );
        assert_eq!(names(&dir.path().join("state/cotec/uploads")), 0);
    }
}

#[cfg(feature = "cli")]
#[test]
fn what_a_killed_upload_left_is_removed_by_the_next() {
    let (dir, root) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::create_dir(root.path().join("bucket")).unwrap();
    let server = Served::directory(root.path());
    let mut child = begun(&dir, &server.url, root.path());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(left(root.path()).len(), 1);
    let small = dir.path().join("small");
    fs::write(&small, b"small").unwrap();
    let done = command(&dir, &server.url, &["put"])
        .arg(&small)
        .arg("s3://bucket/other")
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(0));
    assert_eq!(left(root.path()), Vec::<PathBuf>::new());
    assert_eq!(
        fs::read(root.path().join("bucket/other")).unwrap(),
        b"small"
    );
}

#[test]
fn uploads_can_be_shared_among_tasks() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let server = Service::new(|_| Ok(())).serve();
    shared(&store(&server.url, "bucket").uploads(4));
}
