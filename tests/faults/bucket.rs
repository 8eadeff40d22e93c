//! The bucket that every row is about, and the right answers of a store that has it.

use std::sync::LazyLock;

use md5::{Digest, Md5};

use crate::answer::Answer;

pub const BUCKET: &str = "bucket";
/// What each row fetches: everything below it.
pub const PREFIX: &str = "in/";
/// An object of several parts.
pub const BIG: &str = "in/big";
/// An object of one part.
pub const SMALL: &str = "in/a";
const SIZE: usize = (20 << 20) + 3;

/// One object as it really is.
pub struct Stored {
    pub key: &'static str,
    pub bytes: Vec<u8>,
    pub etag: String,
}

/// The objects, in the order of their keys.
pub static OBJECTS: LazyLock<Vec<Stored>> = LazyLock::new(|| {
    [(SMALL, 10_000), (BIG, SIZE), ("in/z", 5)]
        .map(|(key, size)| stored(key, pattern(size)))
        .into()
});

/// What stands at [`BIG`] after somebody has replaced it: as long, and different everywhere.
pub static REPLACED: LazyLock<Stored> = LazyLock::new(|| {
    let bytes = pattern(SIZE).iter().map(|byte| !byte).collect();
    stored(BIG, bytes)
});

fn stored(key: &'static str, bytes: Vec<u8>) -> Stored {
    let etag = Md5::digest(&bytes)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    Stored { key, bytes, etag }
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size as u64)
        .map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8)
        .collect()
}

pub fn object(key: &str) -> Option<&'static Stored> {
    OBJECTS.iter().find(|object| object.key == key)
}

/// A request, as far as the rows look at it.
pub struct Ask {
    /// How many came before it: for this key, or for a listing.
    pub number: usize,
    pub head: String,
}

impl Ask {
    /// What is asked for: the path below the bucket, empty for a listing.
    pub fn key(&self) -> &str {
        let path = self.head.split(' ').nth(1).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default();
        let path = path.trim_start_matches('/');
        path.split_once('/').map_or("", |(_, key)| key)
    }

    /// A field of the query, still encoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        let url = self.head.split(' ').nth(1)?;
        let fields = url.split_once('?')?.1.split('&');
        let mut found = fields.filter_map(|field| field.split_once('='));
        found.find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(n, _)| n.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    /// The first byte asked for and the one after the last.
    pub fn range(&self) -> Option<(usize, usize)> {
        let range = self.header("range")?.strip_prefix("bytes=")?;
        let (first, last) = range.split_once('-')?;
        Some((first.parse().ok()?, last.parse::<usize>().ok()? + 1))
    }
}

/// What a store that behaves answers.
pub fn right(ask: &Ask) -> Answer {
    if ask.query("list-type") == Some("2") {
        return listing(OBJECTS.iter(), None);
    }
    match object(ask.key()) {
        Some(object) => part(ask, object, true),
        None => Answer::error("404 Not Found", "NoSuchKey", "There is no such key."),
    }
}

/// A part of an object, by a store that knows If-Match or does not.
pub fn part(ask: &Ask, object: &Stored, if_match: bool) -> Answer {
    let etag = format!("\"{}\"", object.etag);
    if if_match && ask.header("if-match").is_some_and(|wanted| wanted != etag) {
        let code = "PreconditionFailed";
        return Answer::error("412 Precondition Failed", code, "It is another one.");
    }
    let size = object.bytes.len();
    let Some((start, end)) = ask.range() else {
        return Answer::new("200 OK", object.bytes.clone()).with("ETag", etag);
    };
    if start >= size || end > size {
        return Answer::error(
            "416 Range Not Satisfiable",
            "InvalidRange",
            "It is shorter.",
        );
    }
    Answer::new("206 Partial Content", &object.bytes[start..end])
        .with("ETag", etag)
        .with("Content-Range", format!("bytes {start}-{}/{size}", end - 1))
        .with("Accept-Ranges", "bytes")
}

/// A page with these objects, and the token of the next one.
pub fn listing<'a>(objects: impl Iterator<Item = &'a Stored>, next: Option<&str>) -> Answer {
    let mut body = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><Name>{BUCKET}</Name><Prefix>{PREFIX}</Prefix>"
    );
    body += &match next {
        Some(token) => format!(
            "<IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>"
        ),
        None => "<IsTruncated>false</IsTruncated>".to_owned(),
    };
    for object in objects {
        body += &entry(object.key, object.bytes.len(), &object.etag);
    }
    Answer::new("200 OK", body + "</ListBucketResult>").with("Content-Type", "application/xml")
}

pub fn entry(key: &str, size: usize, etag: &str) -> String {
    format!(
        "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>&quot;{etag}&quot;</ETag></Contents>"
    )
}
