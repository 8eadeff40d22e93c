//! `cotec put FILE-or-DIR s3://bucket/prefix`

use std::fs;
use std::path::{Path, PathBuf};

use cotec::store::{Address, ErrorKind, StoreError};
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;

use crate::Cli;

/// How many files are uploaded at once.
const PARALLEL: usize = 8;

/// What is to be uploaded, and whereto.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file, or a directory of which everything is uploaded
    source: PathBuf,
    /// Whereto: a file becomes this key, or goes below it where it ends with a slash; what is in a
    /// directory goes below it, without the directory's own name
    address: Address,
}

struct Upload {
    file: PathBuf,
    key: String,
}

/// Uploads, reports each file, and gives the exit code: 1 where some failed.
pub fn run(args: &Args, cli: &Cli) -> Result<u8, StoreError> {
    let uploads = uploads(args)?;
    if uploads.is_empty() {
        return Err(StoreError::Config {
            message: format!("{}: no file in it", args.source.display()),
        });
    }
    let failed = cli.with_store(&args.address, async |store| {
        let mut failed = 0;
        let mut done = stream::iter(&uploads)
            .map(async |upload| (upload, store.put(&upload.key, &upload.file).await))
            .buffer_unordered(PARALLEL);
        while let Some((upload, result)) = done.next().await {
            match result {
                Ok(()) => report(upload, store.bucket(), cli.json),
                // The others would fare no better.
                Err(error)
                    if matches!(error.kind(), ErrorKind::Refused | ErrorKind::Unreachable) =>
                {
                    return Err(error);
                }
                Err(error) if uploads.len() == 1 => return Err(error),
                Err(error) => {
                    failed += 1;
                    eprintln!("cotec: {}: {error}", upload.file.display());
                }
            }
        }
        Ok(failed)
    })?;
    if failed > 0 {
        eprintln!(
            "cotec: {failed} of {} files were not uploaded",
            uploads.len()
        );
    }
    Ok(u8::from(failed > 0))
}

fn report(upload: &Upload, bucket: &str, as_json: bool) {
    if as_json {
        println!(
            "{}",
            json!({"schema": 1, "event": "put", "file": upload.file, "bucket": bucket, "key": upload.key})
        );
    } else {
        println!("s3://{bucket}/{}", upload.key);
    }
}

fn uploads(args: &Args) -> Result<Vec<Upload>, StoreError> {
    let Args { source, address } = args;
    let local = |action| {
        move |source| StoreError::Local {
            path: args.source.clone(),
            action,
            source,
        }
    };
    if !fs::metadata(source).map_err(local("open"))?.is_dir() {
        let below = address.key.is_empty() || address.key.ends_with('/');
        let name = if below {
            text(source.file_name().map(Path::new).unwrap_or(source))?
        } else {
            String::new()
        };
        return Ok(vec![Upload {
            file: source.clone(),
            key: format!("{}{name}", address.key),
        }]);
    }
    let slash = if address.key.is_empty() || address.key.ends_with('/') {
        ""
    } else {
        "/"
    };
    let mut found = Vec::new();
    collect(source, &format!("{}{slash}", address.key), 0, &mut found)?;
    Ok(found)
}

/// Every file below `dir` in order of its name, with its key.
fn collect(
    dir: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<Upload>,
) -> Result<(), StoreError> {
    let local = |path: &Path, action| {
        let path = path.to_owned();
        move |source| StoreError::Local {
            path,
            action,
            source,
        }
    };
    if depth > 100 {
        return Err(StoreError::Config {
            message: format!(
                "{}: directories more than 100 deep; does a link point back?",
                dir.display()
            ),
        });
    }
    let mut entries = fs::read_dir(dir)
        .and_then(|entries| {
            entries
                .map(|e| Ok(e?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(local(dir, "list"))?;
    entries.sort();
    for path in entries {
        let name = text(path.file_name().map(Path::new).unwrap_or(&path))?;
        let meta = fs::metadata(&path).map_err(local(&path, "open"))?;
        if meta.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), depth + 1, found)?;
        } else if meta.is_file() {
            found.push(Upload {
                key: format!("{prefix}{name}"),
                file: path,
            });
        }
    }
    Ok(())
}

fn text(name: &Path) -> Result<String, StoreError> {
    name.to_str()
        .map(str::to_owned)
        .ok_or_else(|| StoreError::Config {
            message: format!(
                "{}: a key must be UTF-8, and this name is not; rename the file",
                name.display()
            ),
        })
}
