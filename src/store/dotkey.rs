//! Presigned URLs for keys with `.` or `..` between slashes.
//!
//! A URL type resolves such segments like a path of a file system, even when their dots are
//! percent-encoded, and would ask for another key. So the slashes of these keys are sent as `%2F`,
//! which leaves no segment to resolve. A store decodes the path before it looks for the key, and
//! computes the signature over the path decoded and encoded again, with plain slashes; so that is
//! what is signed here. Where both forms are the same, the result is that of `rusty-s3`.

use std::collections::BTreeMap;
use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Url;
use sha2::{Digest, Sha256};

/// RFC 3986's unreserved characters stay as they are.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
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

/// The parts of a request that are signed.
pub(super) struct Request<'a> {
    /// `GET`, `PUT`, ...
    pub method: &'a str,
    /// The bucket's URL, ending with a slash.
    pub bucket: &'a Url,
    pub key: &'a str,
    pub query: &'a BTreeMap<&'a str, &'a str>,
}

/// Who signs, for where.
pub(super) struct Signature<'a> {
    pub access: &'a str,
    pub secret: &'a str,
    pub token: Option<&'a str>,
    pub region: &'a str,
}

/// The URL of the key without a query.
///
/// The keys `.` and `..` themselves can only be asked for in path style, where the slash after the
/// bucket can be encoded as well.
pub(super) fn url(bucket: &Url, key: &str) -> Url {
    let base = bucket.path().trim_end_matches('/');
    let slash = if matches!(key, "." | "..") && !base.is_empty() {
        "%2F"
    } else {
        "/"
    };
    let mut url = bucket.clone();
    url.set_path(&format!(
        "{base}{slash}{}",
        utf8_percent_encode(key, ENCODED)
    ));
    url
}

/// The presigned URL, valid for `expires` seconds from `now`.
pub(super) fn presign(
    request: &Request<'_>,
    who: &Signature<'_>,
    expires: u64,
    now: Timestamp,
) -> Url {
    let date = now.strftime("%Y%m%d").to_string();
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let scope = format!("{date}/{}/s3/aws4_request", who.region);
    let credential = format!("{}/{scope}", who.access);
    let expires = expires.to_string();
    let mut query = request.query.clone();
    query.insert("X-Amz-Algorithm", "AWS4-HMAC-SHA256");
    query.insert("X-Amz-Credential", &credential);
    query.insert("X-Amz-Date", &time);
    query.insert("X-Amz-Expires", &expires);
    query.insert("X-Amz-SignedHeaders", "host");
    if let Some(token) = who.token {
        query.insert("X-Amz-Security-Token", token);
    }
    let query = encode_query(&query);
    let host = request.bucket.host_str().unwrap_or_default();
    let port = request
        .bucket
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let path = format!(
        "{}{}",
        request.bucket.path(),
        utf8_percent_encode(request.key, ENCODED_BUT_SLASH)
    );
    let canonical = format!(
        "{}\n{path}\n{query}\nhost:{host}{port}\n\nhost\nUNSIGNED-PAYLOAD",
        request.method
    );
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let mut key = mac(format!("AWS4{}", who.secret).as_bytes(), &date);
    for part in [who.region, "s3", "aws4_request"] {
        key = mac(&key, part);
    }
    let mut url = url(request.bucket, request.key);
    url.set_query(Some(&format!(
        "{query}&X-Amz-Signature={}",
        hex(&mac(&key, &to_sign))
    )));
    url
}

/// A query as it is signed and sent: sorted, with `%20` for a space.
pub(super) fn encode_query(query: &BTreeMap<&str, &str>) -> String {
    let mut text = String::new();
    for (name, value) in query {
        let and = if text.is_empty() { "" } else { "&" };
        let (name, value) = (
            utf8_percent_encode(name, ENCODED),
            utf8_percent_encode(value, ENCODED),
        );
        // Writing to a String does not fail.
        let _ = write!(text, "{and}{name}={value}");
    }
    text
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length, so this is always Ok.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
