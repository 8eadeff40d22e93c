//! Writing objects as files: a hidden file beside the buckets first, renamed when it is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use s3s::dto::StreamingBlob;
use tokio::io::AsyncWriteExt;

use crate::store::{Algorithm, Summer};

/// What begins the names of files and directories that are not finished.
const UNFINISHED: &str = ".cotec-upload-";

/// A name that nobody else uses, for an upload.
pub(super) fn new_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_nanos());
    let (pid, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    format!("{time:x}-{pid:x}-{count:x}")
}

/// A file that is removed again unless it is put in its place.
pub(super) struct Unfinished {
    path: PathBuf,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl Unfinished {
    fn new(root: &Path) -> Unfinished {
        Unfinished {
            path: root.join(format!("{UNFINISHED}{}", new_id())),
        }
    }

    /// Renames it to `target`, making the directories above.
    pub(super) fn place(self, target: &Path) -> io::Result<()> {
        if let Some(above) = target.parent() {
            fs::create_dir_all(above)?;
        }
        fs::rename(&self.path, target)
    }
}

/// What a client says of a body.
#[derive(Default)]
pub(super) struct Said {
    /// How long it is.
    pub length: Option<i64>,
    /// Its CRC32C in base64.
    pub crc32c: Option<String>,
    /// Its MD5 in base64.
    pub md5: Option<String>,
}

/// Why a body was not kept.
pub(super) enum Refused {
    /// It is not what the client says.
    Digest,
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Refused {
        Refused::Io(error)
    }
}

/// Writes a body, which must be as the client says.
pub(super) async fn body(
    root: &Path,
    body: Option<StreamingBlob>,
    said: Said,
) -> Result<Unfinished, Refused> {
    let mut sums: Vec<(Summer, String)> =
        [(Algorithm::Crc32c, said.crc32c), (Algorithm::Md5, said.md5)]
            .into_iter()
            .filter_map(|(algorithm, said)| Some((Summer::new(algorithm), said?)))
            .collect();
    let unfinished = Unfinished::new(root);
    let mut file = tokio::fs::File::create_new(&unfinished.path).await?;
    let mut written = 0;
    if let Some(mut body) = body {
        while let Some(chunk) = body.next().await {
            let chunk = chunk.map_err(io::Error::other)?;
            written += chunk.len() as u64;
            sums.iter_mut().for_each(|(summer, _)| summer.add(&chunk));
            file.write_all(&chunk).await?;
        }
    }
    file.flush().await?;
    let length = said.length;
    if length.is_some_and(|length| u64::try_from(length) != Ok(written)) {
        let what = "the body is not as long as was said";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what).into());
    }
    if sums
        .iter_mut()
        .any(|(summer, said)| summer.take().to_base64() != *said)
    {
        return Err(Refused::Digest);
    }
    Ok(unfinished)
}

/// The directory of a multipart upload; `None` for an id that was never given out.
pub(super) fn upload_dir(root: &Path, id: &str) -> Option<PathBuf> {
    let plain = !id.is_empty() && id.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    plain.then(|| root.join(format!("{UNFINISHED}{id}.parts")))
}

/// Where a part is kept.
pub(super) fn part(dir: &Path, number: i32) -> PathBuf {
    dir.join(number.to_string())
}

/// Joins parts into one file.
pub(super) fn join(root: &Path, parts: &[PathBuf]) -> io::Result<Unfinished> {
    let unfinished = Unfinished::new(root);
    let mut whole = fs::File::create_new(&unfinished.path)?;
    for part in parts {
        io::copy(&mut fs::File::open(part)?, &mut whole)?;
    }
    Ok(unfinished)
}
