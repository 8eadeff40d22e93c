//! The synthetic sample, made at first use and kept beside the staging directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::raster::{SampleSpec, write_sample};
use crate::sys::fork;
use crate::sys::pidfd::Ended;

use super::config::RunError;

/// The bucket that the sample stands in.
const BUCKET: &str = "cotec-sample";

/// Makes the sample unless it is there: the directory to serve, and the bucket in it.
pub(super) fn make(staging: &Path, products: u32) -> Result<(PathBuf, String), RunError> {
    let spec = SampleSpec {
        products,
        ..SampleSpec::default()
    };
    // Another version of the generator must not find an old sample.
    let name = format!(
        "{}-{}x{}",
        env!("CARGO_PKG_VERSION"),
        spec.products,
        spec.size
    );
    let root = staging
        .parent()
        .unwrap_or(Path::new("."))
        .join("sample")
        .join(name);
    if root.join(BUCKET).is_dir() {
        return Ok((root, BUCKET.to_owned()));
    }
    let not = |source| RunError::Output {
        path: root.clone(),
        source,
    };
    let part = root.join(format!(".part-{}", std::process::id()));
    fs::create_dir_all(&part).map_err(not)?;
    eprintln!("making the synthetic sample in {} (once)", root.display());
    // The generator uses threads, so it gets a process of its own.
    let child = fork::fork(|| match write_sample(&part, &spec) {
        Ok(_) => 0,
        Err(error) => {
            eprintln!("error: {error}");
            1
        }
    })
    .map_err(RunError::system("fork"))?;
    let ended = loop {
        if let Some(ended) = child.ended().map_err(RunError::system("waitid"))? {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if ended != Ended::Exited(0) {
        return Err(not(std::io::Error::other(format!(
            "the generator ended with {ended}"
        ))));
    }
    match fs::rename(&part, root.join(BUCKET)) {
        // Another run was faster.
        Err(_) if root.join(BUCKET).is_dir() => {
            let _ = fs::remove_dir_all(&part);
        }
        other => other.map_err(not)?,
    }
    Ok((root, BUCKET.to_owned()))
}
