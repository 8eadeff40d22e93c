//! How a slot holds an ETag: an MD5 in two words, anything else as a text.

use crate::values::Limits;

use super::error::{Result, TableError};

/// An ETag as its slot holds it.
#[derive(Clone, Copy)]
pub(crate) enum Etag<'a> {
    /// Kind and two words.
    Packed(u64, u64, u64),
    /// Stands among the texts.
    Text(&'a str),
}

impl Etag<'_> {
    /// No ETag.
    pub const NONE: Etag<'static> = Etag::Packed(0, 0, 0);

    pub fn of(etag: Option<&str>) -> Result<Etag<'_>> {
        let etag = etag.unwrap_or_default();
        if etag.is_empty() {
            return Ok(Etag::NONE);
        }
        if let Some((kind, first, second)) = pack_md5_etag(etag) {
            return Ok(Etag::Packed(kind, first, second));
        }
        if etag.len() > Limits::KEY_BYTES {
            return Err(TableError::TooLong {
                what: "ETag",
                len: etag.len(),
                max: Limits::KEY_BYTES,
            });
        }
        Ok(Etag::Text(etag))
    }

    /// What of it stands among the texts.
    pub fn text(&self) -> &str {
        match self {
            Etag::Packed(..) => "",
            Etag::Text(text) => text,
        }
    }
}

/// Packs an ETag that is an MD5, or an MD5 of parts followed by their number.
fn pack_md5_etag(etag: &str) -> Option<(u64, u64, u64)> {
    let (digest, parts) = match etag.split_once('-') {
        Some((digest, n)) => (
            digest,
            Some(
                n.parse::<u32>()
                    .ok()
                    .filter(|p| p.to_string() == n && *p < 1 << 24)?,
            ),
        ),
        None => (etag, None),
    };
    let plain = digest.len() == 32
        && digest
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !plain {
        return None;
    }
    let first = u64::from_str_radix(&digest[..16], 16).ok()?;
    let second = u64::from_str_radix(&digest[16..], 16).ok()?;
    Some(match parts {
        None => (1, first, second),
        Some(n) => (2 | u64::from(n) << 8, first, second),
    })
}
