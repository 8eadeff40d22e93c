//! Synthetic objects: an S3 bucket of any name, whose objects are made while they are sent.

use std::fmt::Write;

use super::answer::{Answer, Body};
use super::dice::mix;
use super::head::Head;
use super::options::Set;

/// Objects of a page of the listing.
const PAGE: u64 = 1000;

/// The answer to a request.
pub fn answer(head: &Head, sets: &[Set]) -> Answer {
    let (path, query) = head.target.split_once('?').unwrap_or((&head.target, ""));
    let key = path
        .trim_start_matches('/')
        .split_once('/')
        .map_or("", |(_, key)| key);
    match head.method.as_str() {
        "GET" | "HEAD" if key.is_empty() => listing(query, sets, head.close),
        "GET" | "HEAD" => object(head, key),
        _ => Answer::status(405, "MethodNotAllowed", "", true),
    }
}

/// The number by which an object's bytes are made.
pub fn number(key: &str) -> u64 {
    key.bytes()
        .fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
        >> 20
}

fn object(head: &Head, key: &str) -> Answer {
    let mut segments = key.rsplit('/').skip(1);
    let Some(size) = segments.next().and_then(|size| size.parse::<u64>().ok()) else {
        return Answer::status(404, "NoSuchKey", "", head.close);
    };
    let number = number(key);
    let etag = format!("\"{number:012x}-1\"");
    if head
        .if_match
        .as_ref()
        .is_some_and(|wanted| *wanted != etag && wanted != "*")
    {
        return Answer::status(412, "PreconditionFailed", "", head.close);
    }
    let (from, to) = match head.range {
        Some((from, to)) if from < size => (from, to.unwrap_or(size).min(size - 1) + 1),
        Some(_) => return Answer::status(416, "InvalidRange", "", head.close),
        None => (0, size),
    };
    let mut text = String::from(match head.range {
        Some(_) => "HTTP/1.1 206 Partial Content\r\n",
        None => "HTTP/1.1 200 OK\r\n",
    });
    if head.range.is_some() {
        let _ = write!(text, "Content-Range: bytes {from}-{}/{size}\r\n", to - 1);
    }
    let length = to.saturating_sub(from);
    let _ = write!(
        text,
        "Content-Type: application/octet-stream\r\nAccept-Ranges: bytes\r\nETag: {etag}\r\n\
         Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Length: {length}\r\n\r\n"
    );
    let length = if head.method == "HEAD" { 0 } else { length };
    Answer::new(
        text.into_bytes(),
        Body::Synthetic {
            number,
            from,
            length,
        },
        head.close,
    )
}

/// One page: the token is the place in the order of all sets.
fn listing(query: &str, sets: &[Set], close: bool) -> Answer {
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(n, _)| *n == name)
            .map(|(_, value)| value)
            .next()
    };
    let prefix = parameter("prefix")
        .unwrap_or("")
        .replace("%2F", "/")
        .replace("%2f", "/");
    let from: u64 = parameter("continuation-token")
        .and_then(|t| t.parse().ok())
        .unwrap_or(0);
    let page = parameter("max-keys")
        .and_then(|n| n.parse().ok())
        .unwrap_or(PAGE)
        .clamp(1, PAGE);
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult \
         xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
    );
    let (mut before, mut listed, mut next) = (0, 0, None);
    for set in sets.iter().filter(|set| could_have(set, &prefix)) {
        let mut index = from.saturating_sub(before);
        while index < set.count {
            if listed == page {
                next.get_or_insert(before + index);
                break;
            }
            let key = key_of(set, index);
            if key.starts_with(&prefix) {
                listed += 1;
                let size = key.rsplit('/').nth(1).unwrap_or("0").to_owned();
                let _ = write!(
                    text,
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z\
                     </LastModified><ETag>&quot;{:012x}-1&quot;</ETag><Size>{size}</Size>\
                     <StorageClass>STANDARD</StorageClass></Contents>",
                    number(&key)
                );
            }
            index += 1;
        }
        before += set.count;
    }
    let _ = write!(
        text,
        "<KeyCount>{listed}</KeyCount><IsTruncated>{}</IsTruncated>",
        next.is_some()
    );
    if let Some(next) = next {
        let _ = write!(
            text,
            "<NextContinuationToken>{next}</NextContinuationToken>"
        );
    }
    text.push_str("</ListBucketResult>");
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n",
        text.len()
    );
    Answer::new(head.into_bytes(), Body::Text(text.into_bytes()), close)
}

fn could_have(set: &Set, prefix: &str) -> bool {
    let name = format!("{}/", set.name);
    name.starts_with(prefix) || prefix.starts_with(&name)
}

fn key_of(set: &Set, index: u64) -> String {
    let bytes = match set.spread {
        true => set.bytes / 2 + mix(index + 1) % set.bytes.max(1),
        false => set.bytes,
    };
    format!("{}/{bytes}/{index:07}", set.name)
}
