//! The head of an answer.

use reqwest::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING,
};

use super::WireError;

/// Fields of a head; more are an error.
const FIELDS: usize = 100;
/// The longest head.
pub(super) const LONGEST: usize = 64 << 10;

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: HeaderMap,
    /// Where the body ends.
    pub(super) body: Length,
    /// Whether the connection may be used again after the body.
    pub(super) keep: bool,
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// After so many bytes.
    Exact(u64),
    /// Where its chunks say.
    Chunked,
    /// With the connection.
    ToClose,
}

impl Head {
    /// How many bytes the body has, where the head says it.
    pub fn content_length(&self) -> Option<u64> {
        match self.body {
            Length::Exact(length) => Some(length),
            Length::Chunked | Length::ToClose => None,
        }
    }
}

/// Parses a head at the beginning of `bytes`: the head and its length, `None` while it is not
/// complete.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<(Head, usize)>, WireError> {
    let wrong = |what: &str| WireError::Answer(what.to_owned());
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response
        .parse(bytes)
        .map_err(|error| WireError::Answer(error.to_string()))?;
    let httparse::Status::Complete(length) = parsed else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let mut headers = HeaderMap::with_capacity(response.headers.len());
    for field in response.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(wrong("a field of its head is none"));
        };
        headers.append(name, value);
    }
    let keep = kept(response.version == Some(1), &headers);
    let body = length_of(status, &headers)?;
    let head = Head {
        status,
        headers,
        body,
        keep,
    };
    Ok(Some((head, length)))
}

fn kept(version_1_1: bool, headers: &HeaderMap) -> bool {
    let has = |option: &str| {
        let options = headers.get_all(CONNECTION).iter();
        options
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|word| word.trim().eq_ignore_ascii_case(option))
    };
    match version_1_1 {
        true => !has("close"),
        false => has("keep-alive"),
    }
}

fn length_of(status: u16, headers: &HeaderMap) -> Result<Length, WireError> {
    let wrong = |what: &str| Err(WireError::Answer(what.to_owned()));
    if matches!(status, 100..=199 | 204 | 304) {
        return Ok(Length::Exact(0));
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if let Some(coding) = headers.get(TRANSFER_ENCODING) {
        return match coding.to_str() {
            Ok(coding) if coding.trim().eq_ignore_ascii_case("chunked") && length.is_none() => {
                Ok(Length::Chunked)
            }
            // Where such a body ends is a matter of opinion.
            _ => wrong("its transfer coding is not known"),
        };
    }
    let Some(length) = length else {
        return Ok(Length::ToClose);
    };
    if lengths.any(|other| other != length) {
        return wrong("it has two lengths");
    }
    let digits = length.to_str().unwrap_or_default().trim();
    match digits
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then(|| digits.parse())
    {
        Some(Ok(length)) => Ok(Length::Exact(length)),
        _ => wrong("its length is none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<(Head, usize)>, WireError> {
        parse(text.as_bytes())
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = "HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n";
        for end in 0..text.len() {
            assert!(read(&text[..end]).unwrap().is_none());
        }
        let (head, length) = read(&format!("{text}hello")).unwrap().unwrap();
        assert_eq!((head.status, length, head.keep), (206, text.len(), true));
        assert_eq!(head.content_length(), Some(5));
        assert_eq!(head.headers["etag"], "\"a\"");
    }

    #[test]
    fn where_a_body_ends() {
        let body = |fields: &str| {
            let head = read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
            head.map(|head| head.unwrap().0.body)
        };
        assert_eq!(body("Content-Length: 7\r\n").unwrap(), Length::Exact(7));
        assert_eq!(body("").unwrap(), Length::ToClose);
        let chunked = "Transfer-Encoding: Chunked\r\n";
        assert_eq!(body(chunked).unwrap(), Length::Chunked);
        for fields in [
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: 99999999999999999999\r\n",
        ] {
            assert!(
                matches!(body(fields), Err(WireError::Answer(_))),
                "{fields}"
            );
        }
        let none = read("HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().0;
        assert_eq!(none.body, Length::Exact(0));
    }

    #[test]
    fn which_connections_are_kept() {
        let keep = |start: &str, field: &str| {
            let text = format!("{start} 200 OK\r\nContent-Length: 0\r\n{field}\r\n");
            read(&text).unwrap().unwrap().0.keep
        };
        assert!(keep("HTTP/1.1", "") && keep("HTTP/1.0", "Connection: Keep-Alive\r\n"));
        assert!(!keep("HTTP/1.0", "") && !keep("HTTP/1.1", "Connection: x, Close\r\n"));
    }

    #[test]
    fn what_is_no_head_is_an_error() {
        for text in ["SSH-2.0-x\r\n\r\n", "HTTP/1.1 200 OK\r\n\0: 1\r\n\r\n"] {
            assert!(matches!(read(text), Err(WireError::Answer(_))));
        }
    }
}
