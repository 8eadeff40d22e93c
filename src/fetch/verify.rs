//! Holding an answer to what was asked for.

use std::ops::Range;

use reqwest::header::{CONTENT_RANGE, ETAG, HeaderName};

use crate::store::S3Store;

use super::error::FetchError;
use super::object::Object;
use super::wire::Head;

/// Checks that a good answer holds the range that was asked for and nothing else, of the object
/// that was planned. Stores that do not know If-Match answer with whatever stands there now, but
/// say in the fields what it is.
pub(super) fn answer(
    head: &Head,
    object: &Object,
    range: &Range<u64>,
    store: &S3Store,
) -> Result<(), FetchError> {
    match check(head, object.size, object.etag.as_deref(), range) {
        Ok(()) => Ok(()),
        Err(Wrong::Changed(detail)) => Err(store.changed(&object.key, &detail).into()),
        Err(Wrong::Strange(detail)) => Err(store.strange(&object.key, &detail).into()),
    }
}

#[derive(Debug)]
enum Wrong {
    /// Another object.
    Changed(String),
    /// Another answer.
    Strange(String),
}

fn check(head: &Head, size: u64, etag: Option<&str>, range: &Range<u64>) -> Result<(), Wrong> {
    let text = |name: HeaderName| head.headers.get(name)?.to_str().ok().map(str::trim);
    let asked = || format!("bytes {}-{} were asked for", range.start, range.end - 1);
    let strange = |what: String| Err(Wrong::Strange(format!("{}, {what}", asked())));
    let resized = |now: u64| Wrong::Changed(format!("it had {size} bytes and has {now}"));
    let length = head.content_length();
    match (head.status, text(CONTENT_RANGE)) {
        (206, None) => return strange("and the answer (HTTP 206) has no Content-Range".into()),
        (206, Some(shown)) => {
            let Some((first, last, whole)) = content_range(shown) else {
                let shown: String = shown.chars().take(80).collect();
                let shown = shown.escape_debug();
                return strange(format!("and the Content-Range `{shown}` is none"));
            };
            if let Some(now) = whole.filter(|now| *now != size) {
                return Err(resized(now));
            }
            if (first, last) != (range.start, range.end - 1) {
                return strange(format!("but bytes {first}-{last} came"));
            }
        }
        // Some servers answer so when the range is the whole object.
        (200, _) if range.start == 0 && range.end == size => {
            if let Some(now) = length.filter(|now| *now != size) {
                return Err(resized(now));
            }
        }
        _ => {
            return strange(
                "but the whole object came (HTTP 200); the endpoint or a proxy does not know ranges"
                    .into(),
            );
        }
    }
    if let Some(came) = length.filter(|came| *came != range.end - range.start) {
        let wanted = range.end - range.start;
        return strange(format!("but the answer has {came} bytes, not {wanted}"));
    }
    if let (Some(planned), Some(now)) = (etag, text(ETAG))
        && bare(planned) != bare(now)
    {
        return Err(Wrong::Changed("it has another ETag".to_owned()));
    }
    Ok(())
}

fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let whole = match whole.trim() {
        "*" => None,
        whole => Some(whole.parse().ok()?),
    };
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, whole))
}

/// An ETag as a header says it.
pub(super) fn quoted(etag: &str) -> String {
    match etag.starts_with("W/") {
        true => etag.to_owned(),
        false => format!("\"{etag}\""),
    }
}

/// An ETag without its quotes and its mark of weakness, which some proxies add.
fn bare(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::wire::head_of;

    fn look(range: Range<u64>, head: &str) -> Result<(), Wrong> {
        let head = head_of(&format!("HTTP/1.1 {head}\r\n\r\n"));
        check(&head, 100, Some("abc"), &range)
    }

    #[test]
    fn the_range_of_the_planned_object_and_nothing_else() {
        let good = |range, head: &str| assert!(look(range, head).is_ok(), "{head}");
        let ten = "206 x\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/100";
        good(0..10, ten);
        good(0..10, &format!("{ten}\r\nETag: \"abc\""));
        good(0..10, &format!("{ten}\r\nETag: W/\"abc\""));
        good(
            5..9,
            "206 x\r\nTransfer-Encoding: chunked\r\nContent-Range: bytes 5-8/*",
        );
        good(0..100, "200 x\r\nContent-Length: 100\r\nETag: abc");
        for (range, head) in [
            (
                0..10,
                "206 x\r\nContent-Length: 10\r\nContent-Range: bytes 0-9/101",
            ),
            (0..100, "200 x\r\nContent-Length: 99"),
            (0..10, &format!("{ten}\r\nETag: \"abd\"")),
        ] {
            assert!(
                matches!(look(range, head), Err(Wrong::Changed(_))),
                "{head}"
            );
        }
        for (range, head) in [
            (1..11, ten),
            (0..9, ten),
            (0..10, "206 x\r\nContent-Length: 10"),
            (
                0..10,
                "206 x\r\nContent-Length: 10\r\nContent-Range: 0-9/100",
            ),
            (
                0..10,
                "206 x\r\nContent-Length: 9\r\nContent-Range: bytes 0-9/100",
            ),
            (0..10, "200 x\r\nContent-Length: 100"),
            (0..10, "200 x\r\nContent-Length: 10"),
        ] {
            assert!(
                matches!(look(range, head), Err(Wrong::Strange(_))),
                "{head}"
            );
        }
    }
}
