//! Signature version 4 in the query of a URL.
//!
//! What does not change within a day for one pair of keys is worked out once: four of the five
//! HMACs, and the escaped names. The result is that of `rusty-s3`, which the tests compare with.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use percent_encoding::utf8_percent_encode;
use sha2::{Digest, Sha256};

use super::dotkey::ENCODED;
use super::keys::Keys;

/// Version 4 allows no more.
const MAX_EXPIRES: u64 = 7 * 24 * 3600;
const DAY: u64 = 24 * 3600;

/// What is signed besides the path.
pub(super) struct Ask<'a> {
    /// `GET`, `PUT`, ...
    pub method: &'a str,
    /// Names and values, not escaped.
    pub query: &'a [(&'a str, &'a str)],
    /// Headers that must be sent as they stand here; lower-case names. Others may be sent too.
    pub headers: &'a [(&'a str, &'a str)],
    /// Seconds.
    pub expires: u64,
}

/// The keys of one day and region.
pub(super) struct DayKey {
    pub keys: Arc<Keys>,
    /// Days since 1970.
    day: u64,
    /// `20130524`
    date: String,
    /// `20130524/us-east-1/s3/aws4_request`
    scope: String,
    credential: String,
    token: Option<String>,
    mac: Option<Hmac<Sha256>>,
}

impl DayKey {
    /// `now` in seconds since 1970.
    pub fn new(keys: Arc<Keys>, region: &str, now: u64) -> DayKey {
        let seconds = i64::try_from(now).unwrap_or(i64::MAX);
        let date = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
        let date = date.strftime("%Y%m%d").to_string();
        let scope = format!("{date}/{region}/s3/aws4_request");
        let mut key = format!("AWS4{}", keys.secret.expose()).into_bytes();
        for part in [&date, region, "s3", "aws4_request"] {
            key = mac(&key, part);
        }
        let token = keys.token.as_ref().map(|token| token.expose());
        DayKey {
            day: now / DAY,
            credential: escaped(&format!("{}/{scope}", keys.access)),
            token: token.filter(|token| !token.is_empty()).map(escaped),
            // HMAC takes keys of any length, so this is always one.
            mac: Hmac::new_from_slice(&key).ok(),
            date,
            scope,
            keys,
        }
    }

    /// Whether this can still be signed with.
    pub fn serves(&self, keys: &Arc<Keys>, now: u64) -> bool {
        self.day == now / DAY && Arc::ptr_eq(&self.keys, keys)
    }

    /// The query of the signed URL. `path` is escaped with plain slashes, `host` has its port.
    pub fn query(&self, ask: &Ask<'_>, host: &str, path: &str, now: u64) -> String {
        let second = now % DAY;
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let time = format!("{}T{hour:02}{minute:02}{second:02}Z", self.date);
        let expires = ask.expires.clamp(1, MAX_EXPIRES).to_string();
        let (names, headers) = headers(ask.headers, host);
        let mut query: Vec<(&str, Cow<'_, str>)> = Vec::with_capacity(8 + ask.query.len());
        query.push(("X-Amz-Algorithm", "AWS4-HMAC-SHA256".into()));
        query.push(("X-Amz-Credential", self.credential.as_str().into()));
        query.push(("X-Amz-Date", time.as_str().into()));
        query.push(("X-Amz-Expires", expires.into()));
        query.extend(
            self.token
                .as_deref()
                .map(|token| ("X-Amz-Security-Token", token.into())),
        );
        query.push(("X-Amz-SignedHeaders", escape(&names)));
        query.extend(ask.query.iter().map(|(name, value)| (*name, escape(value))));
        query.sort_unstable();
        let mut text = String::with_capacity(400);
        write_query(&mut text, query.iter().map(|(n, v)| (*n, v.as_ref())));
        let canonical = format!(
            "{}\n{path}\n{text}\n{headers}\n{names}\nUNSIGNED-PAYLOAD",
            ask.method
        );
        let mut to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{}\n", self.scope);
        push_hex(&mut to_sign, &Sha256::digest(canonical));
        text.push_str("&X-Amz-Signature=");
        if let Some(mut mac) = self.mac.clone() {
            mac.update(to_sign.as_bytes());
            push_hex(&mut text, &mac.finalize().into_bytes());
        }
        text
    }
}

/// The names of the signed headers, and the headers as they are signed.
fn headers(more: &[(&str, &str)], host: &str) -> (String, String) {
    if more.is_empty() {
        return ("host".to_owned(), format!("host:{host}\n"));
    }
    let mut all = vec![("host", host)];
    all.extend_from_slice(more);
    all.sort_unstable();
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let lines = all.iter().fold(String::new(), |mut lines, (name, value)| {
        // Writing to a String does not fail.
        let _ = writeln!(lines, "{name}:{}", value.trim());
        lines
    });
    (names.join(";"), lines)
}

/// A query as it is signed and sent; the values are escaped already.
pub(super) fn write_query<'a>(text: &mut String, query: impl Iterator<Item = (&'a str, &'a str)>) {
    for (name, value) in query {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(utf8_percent_encode(name, ENCODED));
        text.push('=');
        text.push_str(value);
    }
}

/// A value of a query, with `%20` for a space.
pub(super) fn escape(value: &str) -> Cow<'_, str> {
    utf8_percent_encode(value, ENCODED).into()
}

fn escaped(value: &str) -> String {
    escape(value).into_owned()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length, so this is always Ok.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS[usize::from(digit)]));
        }
    }
}
