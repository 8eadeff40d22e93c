//! The path of a key in a URL, and the path that is signed.
//!
//! A URL type resolves `.` and `..` between slashes like a path of a file system, even when their
//! dots are percent-encoded, and would ask for another key. So the slashes of keys with such
//! segments are sent as `%2F`, which leaves no segment to resolve. A store decodes the path before
//! it looks for the key, and computes a version 4 signature over the path decoded and encoded
//! again, with plain slashes; so that is what is signed.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// RFC 3986's unreserved characters stay as they are.
pub(super) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const ENCODED_BUT_SLASH: &AsciiSet = &ENCODED.remove(b'/');

/// Whether a URL would resolve a part of this key away.
pub(super) fn has_dot_segment(key: &str) -> bool {
    key.split('/')
        .any(|segment| segment == "." || segment == "..")
}

/// The key as it stands in the path that is signed.
pub(super) fn encoded(key: &str) -> String {
    utf8_percent_encode(key, ENCODED_BUT_SLASH).to_string()
}

/// The path to send for a key with dot segments, below the bucket's path.
///
/// The keys `.` and `..` themselves can only be asked for in path style, where the slash after the
/// bucket can be encoded as well.
pub(super) fn sent_path(bucket_path: &str, key: &str) -> String {
    let base = bucket_path.trim_end_matches('/');
    let slash = if matches!(key, "." | "..") && !base.is_empty() {
        "%2F"
    } else {
        "/"
    };
    format!("{base}{slash}{}", utf8_percent_encode(key, ENCODED))
}
