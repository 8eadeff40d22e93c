//! Signature version 2 in the query of a URL, for stores that know nothing else.
//!
//! It is an HMAC-SHA1 over method, Content-MD5, Content-Type, the time at which the URL ends, the
//! `x-amz-` headers, and the resource: bucket, escaped key, and those parameters of the query that
//! name a sub-resource or change the answer's headers. Prefixes and continuation tokens are not
//! signed. Whatever header of these is sent must have been signed, and the others may not be sent.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::keys::Keys;
use super::sign_v4::{Ask, escape, write_query};

/// Parameters that belong to the resource.
const OF_RESOURCE: &[&str] = &[
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "defaultObjectAcl",
    "delete",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "partNumber",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "retention",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "website",
];

/// The query of the signed URL. `resource` is `/bucket/key`, the key escaped with plain slashes;
/// `now` is in seconds since 1970.
pub(super) fn query(keys: &Keys, ask: &Ask<'_>, resource: &str, now: u64) -> String {
    let expires = now.saturating_add(ask.expires.max(1)).to_string();
    let token = keys.token.as_ref().map(|token| token.expose());
    let token = token.filter(|token| !token.is_empty());
    let mut amz: Vec<(&str, &str)> = Vec::new();
    amz.extend(token.map(|token| ("x-amz-security-token", token)));
    let named_amz = |pair: &&(&str, &str)| pair.0.starts_with("x-amz-");
    amz.extend(ask.headers.iter().filter(named_amz));
    // Such parameters stand for headers of the same name, and are signed as those.
    amz.extend(ask.query.iter().filter(named_amz));
    amz.sort_unstable();
    let header = |name: &str| {
        let found = ask.headers.iter().find(|(known, _)| *known == name);
        found.map_or("", |(_, value)| value.trim())
    };
    let mut to_sign = format!(
        "{}\n{}\n{}\n{expires}\n",
        ask.method,
        header("content-md5"),
        header("content-type")
    );
    for (name, value) in &amz {
        to_sign.push_str(&format!("{name}:{}\n", value.trim()));
    }
    to_sign.push_str(resource);
    let of_resource = |pair: &&(&str, &str)| OF_RESOURCE.contains(&pair.0);
    let mut parts: Vec<_> = ask.query.iter().filter(of_resource).collect();
    parts.sort_unstable();
    for (at, (name, value)) in parts.iter().enumerate() {
        to_sign.push(if at == 0 { '?' } else { '&' });
        to_sign.push_str(name);
        if !value.is_empty() {
            to_sign.push('=');
            to_sign.push_str(value);
        }
    }
    let signature = base64(&mac(keys.secret.expose().as_bytes(), &to_sign));
    let mut query: Vec<(&str, &str)> = ask.query.to_vec();
    query.push(("AWSAccessKeyId", &keys.access));
    query.push(("Expires", &expires));
    query.push(("Signature", &signature));
    query.extend(token.map(|token| ("x-amz-security-token", token)));
    query.sort_unstable();
    let escaped: Vec<_> = query.iter().map(|(n, v)| (*n, escape(v))).collect();
    let mut text = String::with_capacity(200);
    write_query(&mut text, escaped.iter().map(|(n, v)| (*n, v.as_ref())));
    text
}

fn mac(key: &[u8], text: &str) -> [u8; 20] {
    // HMAC takes keys of any length, so this is always Ok.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else {
        return [0; 20];
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = three.iter().enumerate().fold(0u32, |number, (at, byte)| {
            number | u32::from(*byte) << (16 - 8 * at)
        });
        for digit in 0..4 {
            let bits = (number >> (18 - 6 * digit)) & 63;
            text.push(if digit > three.len() {
                '='
            } else {
                char::from(DIGITS[bits as usize])
            });
        }
    }
    text
}
