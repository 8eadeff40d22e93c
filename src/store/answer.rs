//! What a store's answer means: the right bytes, or which error.

use std::error::Error;
use std::ops::Range;

use reqwest::header;
use reqwest::{Response, StatusCode};

use super::explain::explain;
use super::headers::text;
use super::xml::scrubbed;
use super::{StoreError, tls};

/// No error document is longer than this; what lies beyond is not read.
const MAX_ERROR: usize = 64 << 10;

/// The answer if its status is a success, else the error that it says.
pub(super) async fn success(response: Response, place: &str) -> Result<Response, StoreError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let headers = response.headers().clone();
    let body = start_of_body(response).await;
    Err(explain(status, &headers, &body, place))
}

/// A connection that could not be made, or broke.
pub(super) fn broken(error: reqwest::Error, place: &str) -> StoreError {
    let error = error.without_url();
    let what = if error.is_connect() {
        "no connection"
    } else if error.is_timeout() {
        "no answer in time"
    } else {
        "the connection broke"
    };
    no_connection(what, &error, place)
}

/// A connection that could not be made, or broke, with the reason that its TLS gives.
pub(super) fn no_connection(what: &str, error: &(dyn Error + 'static), place: &str) -> StoreError {
    if let Some(detail) = tls::explained(error) {
        return StoreError::Untrusted {
            place: place.to_owned(),
            detail,
        };
    }
    StoreError::Unreachable {
        place: place.to_owned(),
        detail: format!("{what} ({})", root_cause(error)),
    }
}

/// The cause at the root of an error, which says most, without a URL.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    scrubbed(&cause.to_string()).to_owned()
}

/// The whole body, which must not be longer than `max` bytes.
pub(super) async fn body(
    mut response: Response,
    max: u64,
    place: &str,
) -> Result<Vec<u8>, StoreError> {
    let too_long = || {
        StoreError::protocol(
            place,
            format!("the answer is longer than the {max} bytes expected"),
        )
    };
    if response.content_length().is_some_and(|length| length > max) {
        return Err(too_long());
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| broken(e, place))? {
        if (bytes.len() + chunk.len()) as u64 > max {
            return Err(too_long());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Checks that a successful answer to a range request holds that range and nothing else.
pub(super) fn check_range(
    response: &Response,
    range: &Range<u64>,
    place: &str,
) -> Result<(), StoreError> {
    let length = range.end - range.start;
    let wrong = |what: String| Err(StoreError::protocol(place, what));
    let asked = format!("bytes {}-{} were asked for", range.start, range.end - 1);
    match response.status() {
        StatusCode::PARTIAL_CONTENT => {
            let Some(shown) = text(response.headers(), header::CONTENT_RANGE) else {
                return wrong(format!(
                    "{asked}, and the answer (HTTP 206) has no Content-Range"
                ));
            };
            let Some((first, last, whole)) = content_range(&shown) else {
                return wrong(format!(
                    "{asked}, and the Content-Range `{}` is none",
                    shown.escape_debug()
                ));
            };
            if whole.is_some_and(|whole| range.end > whole) && first == range.start {
                return Err(StoreError::Changed {
                    place: place.to_owned(),
                    detail: format!("{asked}, and it has only {} now", whole.unwrap_or_default()),
                });
            }
            if (first, last) != (range.start, range.end - 1) {
                return wrong(format!("{asked}, but bytes {first}-{last} came"));
            }
        }
        // Some servers answer so when the range is the whole object.
        StatusCode::OK if range.start == 0 && response.content_length() == Some(length) => {}
        StatusCode::OK => {
            return wrong(format!(
                "{asked}, but the whole object came (HTTP 200): the endpoint or a proxy does not know ranges"
            ));
        }
        other => {
            return wrong(format!(
                "{asked}, and the answer is HTTP {}",
                other.as_u16()
            ));
        }
    }
    match response.content_length() {
        Some(came) if came != length => wrong(format!(
            "{asked}, but the answer has {came} bytes, not {length}"
        )),
        _ => Ok(()),
    }
}

fn content_range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (range, whole) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let whole = if whole == "*" {
        None
    } else {
        Some(whole.trim().parse().ok()?)
    };
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, whole))
}

async fn start_of_body(mut response: Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    // A body that breaks off is worth as much as came of it.
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() >= MAX_ERROR {
            bytes.truncate(MAX_ERROR);
            break;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 0-9/100"), Some((0, 9, Some(100))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, 9, None)));
        for text in [
            "bytes */100",
            "0-9/100",
            "bytes 0-9",
            "bytes -1-9/100",
            "bytes 0-x/1",
        ] {
            assert_eq!(content_range(text), None, "{text}");
        }
    }
}
