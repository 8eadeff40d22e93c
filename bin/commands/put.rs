//! `cotec put FILE-or-DIR s3://bucket/prefix`

use std::fs;
use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cotec::coord::ExitCode;
use cotec::store::{Address, ErrorKind, StoreError, Uploaded, Uploads};
use cotec::sys::signals::Signals;
use cotec::values::human;
use futures_util::StreamExt;
use futures_util::stream;
use indicatif::{ProgressBar, ProgressStyle};
use nix::sys::signal::Signal;
use serde_json::json;

use super::{complain, say};
use crate::Cli;

/// How often it looks for signals and draws the progress.
const LOOK: Duration = Duration::from_millis(100);

/// What is to be uploaded, and whereto.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file, or a directory of which everything is uploaded
    source: PathBuf,
    /// Whereto: a file becomes this key, or goes below it where it ends with a slash; what is in a
    /// directory goes below it, without the directory's own name
    address: Address,
    /// How many files and parts of files are uploaded at once
    #[arg(long, value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    parallel: u16,
}

struct Upload {
    file: PathBuf,
    key: String,
    size: u64,
}

/// Uploads, reports each file, and gives the exit code: 1 where some failed.
pub fn run(args: &Args, cli: &Cli) -> Result<u8, StoreError> {
    // Before there is another thread, which would take the signals.
    let signals = Signals::open().map_err(|source| StoreError::Local {
        path: "/proc/self".into(),
        action: "wait for signals in",
        source,
    })?;
    let files = uploads(args)?;
    if files.is_empty() {
        return Err(StoreError::Config {
            message: format!(
                "{}: no file in it; name a file, or a directory with files",
                args.source.display()
            ),
        });
    }
    cli.with_store(&args.address, async |store| {
        let parallel = usize::from(args.parallel);
        let uploads = store.uploads(parallel);
        let bar = progress(&files, cli.json || cli.voice().quiet);
        let mut looked = tokio::time::interval(LOOK);
        uploads.clear_left().await;
        let mut done = stream::iter(&files)
            .map(async |upload| (upload, uploads.put(&upload.key, &upload.file).await))
            .buffer_unordered(parallel);
        let (mut failed, mut ended) = (0, None);
        loop {
            let next = tokio::select! {
                next = done.next() => next,
                _ = looked.tick() => {
                    bar.set_position(uploads.sent());
                    if interrupted(&signals, &uploads, cli) {
                        return Ok(ExitCode::Interrupted as u8);
                    }
                    continue;
                }
            };
            let Some((upload, result)) = next else {
                break;
            };
            match result {
                Ok(done) => bar.suspend(|| report(upload, &done, store.bucket(), cli)),
                Err(_) if uploads.stopped() => failed += 1,
                // The others would fare no better; they end, and remove their parts.
                Err(error) if files.len() == 1 || is_of_all(&error) => {
                    uploads.stop();
                    failed += 1;
                    ended = Some(error);
                }
                Err(error) => {
                    failed += 1;
                    bar.suspend(|| complain(cli, format!("{}: {error}", upload.file.display())));
                }
            }
        }
        bar.finish_and_clear();
        if let Some(error) = ended {
            return Err(error);
        }
        if failed > 0 {
            let all = human::count(files.len() as u64, "file");
            say(
                cli,
                &format!("failed: {failed} of {all}; run again to upload them"),
            );
        }
        Ok(match (uploads.stopped(), failed) {
            (true, 1..) => ExitCode::Interrupted as u8,
            (_, 0) => ExitCode::Done as u8,
            _ => ExitCode::SomeFailed as u8,
        })
    })
}

/// Whether what happened to one file happens to all.
fn is_of_all(error: &StoreError) -> bool {
    matches!(error.kind(), ErrorKind::Refused | ErrorKind::Unreachable)
}

/// Takes the signals that came. The first one has the uploads end and remove their parts; true
/// for another, which shall end this at once.
fn interrupted(signals: &Signals, uploads: &Uploads, cli: &Cli) -> bool {
    while let Some(signal) = signals.next() {
        if signal == Signal::SIGCHLD {
            continue;
        }
        if uploads.stopped() {
            return true;
        }
        let text = "stopping, and removing what is not complete; once more to end at once";
        say(cli, &format!("note: {text}"));
        uploads.stop();
    }
    false
}

fn progress(files: &[Upload], hidden: bool) -> ProgressBar {
    if hidden || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(files.iter().map(|upload| upload.size).sum());
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec}")
    {
        bar.set_style(style);
    }
    bar
}

fn report(upload: &Upload, done: &Uploaded, bucket: &str, cli: &Cli) {
    let voice = cli.voice();
    if cli.json {
        println!(
            "{}",
            json!({"schema": 1, "event": "put", "file": upload.file, "bucket": bucket, "key": upload.key})
        );
    } else if voice.verbose {
        let (size, parts) = (human::bytes(done.size), done.parts);
        let parts = match parts {
            0 => String::new(),
            n => format!(" in {}", human::count(n, "part")),
        };
        let checksum = done.checksum.name();
        println!(
            "s3://{bucket}/{} ({size}{parts}, compared by {checksum})",
            upload.key
        );
    } else if !voice.quiet {
        println!("s3://{bucket}/{}", upload.key);
    }
}

fn uploads(args: &Args) -> Result<Vec<Upload>, StoreError> {
    let Args {
        source, address, ..
    } = args;
    let local = |action| {
        move |source| StoreError::Local {
            path: args.source.clone(),
            action,
            source,
        }
    };
    let meta = fs::metadata(source).map_err(local("open"))?;
    if !meta.is_dir() {
        let below = address.key.is_empty() || address.key.ends_with('/');
        let name = if below {
            text(source.file_name().map(Path::new).unwrap_or(source))?
        } else {
            String::new()
        };
        return Ok(vec![Upload {
            file: source.clone(),
            key: format!("{}{name}", address.key),
            size: meta.len(),
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
                size: meta.len(),
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
