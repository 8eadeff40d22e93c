//! The synthetic sample, made at first use and kept beside the staging directory.

use std::fs;
use std::path::{Path, PathBuf};

use crate::raster::{SampleSpec, write_sample};
use crate::sys::fork;
use crate::sys::pidfd::Ended;
use crate::sys::signals::Signals;

use super::children::wait_for;
use super::config::RunError;
use super::plain::say;

/// The bucket that the sample stands in.
const BUCKET: &str = "cotec-sample";

/// Makes the sample unless it is there: the directory to serve, and the bucket in it. `None` if
/// a signal came meanwhile.
pub(super) fn make(
    staging: &Path,
    products: u32,
    signals: &Signals,
) -> Result<Option<(PathBuf, String)>, RunError> {
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
        return Ok(Some((root, BUCKET.to_owned())));
    }
    let not = |source| RunError::Output {
        path: root.clone(),
        source,
    };
    let part = root.join(format!(".part-{}", std::process::id()));
    fs::create_dir_all(&part).map_err(not)?;
    say(&format!(
        "making the synthetic sample in {} (once)",
        root.display()
    ));
    // The generator uses threads, so it gets a process of its own.
    let child = fork::fork(|| match write_sample(&part, &spec) {
        Ok(_) => 0,
        Err(error) => {
            say(&format!("error: {error}"));
            1
        }
    })
    .map_err(RunError::system("fork"))?;
    let Some(ended) = wait_for(&child, signals)? else {
        let _ = fs::remove_dir_all(&part);
        return Ok(None);
    };
    if ended != Ended::Exited(0) {
        let _ = fs::remove_dir_all(&part);
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
    Ok(Some((root, BUCKET.to_owned())))
}
