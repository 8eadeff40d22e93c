//! Holding an answer to what was asked for.

use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap};

use crate::store::StoreError;
use crate::values::ByteRange;

use super::error::FetchError;

/// Checks that an answer comes from the object that was planned. Stores that do not know If-Match
/// answer with whatever stands there now, but say in the headers what it is.
pub(super) fn same_object(
    headers: &HeaderMap,
    key: &str,
    size: u64,
    etag: Option<&str>,
) -> Result<(), FetchError> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::trim);
    let changed = |detail| {
        let place = key.escape_debug().to_string();
        Err(FetchError::Store(StoreError::Changed { place, detail }))
    };
    let whole = match text(CONTENT_RANGE) {
        Some(range) => range.rsplit_once('/').map(|(_, whole)| whole),
        None => text(CONTENT_LENGTH),
    };
    if let Some(whole) = whole.and_then(|whole| whole.trim().parse::<u64>().ok())
        && whole != size
    {
        return changed(format!("it had {size} bytes and has {whole}"));
    }
    if let (Some(planned), Some(now)) = (etag, text(ETAG))
        && bare(planned) != bare(now)
    {
        return changed("it has another ETag".to_owned());
    }
    Ok(())
}

/// An ETag without its quotes and its mark of weakness, which some proxies add.
fn bare(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

/// Counts the bytes of a part as they come.
#[derive(Debug)]
pub(super) struct Expected {
    range: ByteRange,
    at: u64,
}

impl Expected {
    pub fn new(range: ByteRange) -> Expected {
        Expected {
            range,
            at: range.start,
        }
    }

    /// Where the next `len` bytes belong; an error if they are too many.
    pub fn take(&mut self, len: usize) -> Result<u64, FetchError> {
        let at = self.at;
        let end = at.saturating_add(len as u64);
        if end > self.range.end {
            return Err(FetchError::Long { range: self.range });
        }
        self.at = end;
        Ok(at)
    }

    /// How far the bytes have come.
    pub fn reached(&self) -> u64 {
        self.at
    }

    /// An error unless all bytes came.
    pub fn complete(&self) -> Result<(), FetchError> {
        match self.range.end - self.at {
            0 => Ok(()),
            missing => Err(FetchError::Short {
                range: self.range,
                missing,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_from_another_object_is_seen_in_its_headers() {
        let answer = |pairs: &[(reqwest::header::HeaderName, &str)]| {
            let pairs = pairs.iter().map(|(n, v)| (n.clone(), v.parse().unwrap()));
            same_object(&pairs.collect(), "k", 100, Some("abc")).is_ok()
        };
        assert!(answer(&[]));
        assert!(answer(&[
            (CONTENT_RANGE, "bytes 0-9/100"),
            (ETAG, "\"abc\"")
        ]));
        assert!(answer(&[
            (CONTENT_RANGE, "bytes 0-9/*"),
            (ETAG, "W/\"abc\"")
        ]));
        assert!(answer(&[(CONTENT_LENGTH, "100"), (ETAG, "abc")]));
        assert!(!answer(&[(CONTENT_RANGE, "bytes 0-9/101")]));
        assert!(!answer(&[(CONTENT_LENGTH, "99")]));
        assert!(!answer(&[(ETAG, "\"abd\"")]));
    }

    #[test]
    fn one_byte_too_few_or_too_many_is_an_error() {
        let mut body = Expected::new(ByteRange::new(10, 20));
        assert_eq!(body.take(4).unwrap(), 10);
        assert!(matches!(
            body.complete(),
            Err(FetchError::Short { missing: 6, .. })
        ));
        assert_eq!(body.take(6).unwrap(), 14);
        assert!(body.complete().is_ok());
        assert!(matches!(body.take(1), Err(FetchError::Long { .. })));
    }
}
