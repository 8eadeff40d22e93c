//! Prefixes of keys, and globs on keys, as users write them.

use globset::{GlobBuilder, GlobMatcher};

use super::source::{JobFileError, Place};

/// Refuses what can be no key and no prefix of one.
pub(super) fn check_key(key: &str, place: &Place) -> Result<(), JobFileError> {
    if key.starts_with("s3://") {
        return Err(place
            .error("a key prefix is needed here, not an s3:// address")
            .help("leave out s3://bucket/; the bucket stands in [store] or in --bucket"));
    }
    if key.contains('\0') || key.len() > 1024 {
        return Err(place.error("keys have at most 1024 bytes and no NUL character"));
    }
    Ok(())
}

/// A glob in which `*` stops at slashes and `**` does not.
pub(super) fn glob(pattern: &str, place: &Place) -> Result<GlobMatcher, JobFileError> {
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| place.error(format!("{pattern:?} is no glob: {}", error.kind())))
}
