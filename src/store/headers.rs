//! What headers hold: text, and ETags with or without their quotes.

use reqwest::header::{AsHeaderName, HeaderMap};

/// A header's text where it is readable.
pub(super) fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<String> {
    headers
        .get(name)?
        .to_str()
        .ok()
        .map(|value| value.trim().to_owned())
}

/// An ETag as a header says it.
pub(super) fn quoted(etag: &str) -> String {
    if etag.starts_with("W/") {
        etag.to_owned()
    } else {
        format!("\"{etag}\"")
    }
}

/// An ETag without its quotes. A weak one stays as it is.
pub(super) fn unquoted(etag: &str) -> &str {
    etag.strip_prefix('"')
        .and_then(|e| e.strip_suffix('"'))
        .unwrap_or(etag)
}
