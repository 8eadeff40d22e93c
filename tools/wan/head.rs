//! The heads of requests.

/// What a request's head says, as far as the line cares.
#[derive(Debug, Default)]
pub struct Head {
    /// Its bytes, with the empty line.
    pub length: usize,
    pub method: String,
    /// Path and query as they were sent.
    pub target: String,
    pub content_length: u64,
    pub chunked: bool,
    pub close: bool,
    /// `bytes=FROM-TO`; the end is the last byte, and missing where it was left open.
    pub range: Option<(u64, Option<u64>)>,
    pub if_match: Option<String>,
}

/// The head at the start of `bytes`, once all of it is there.
pub fn parse(bytes: &[u8]) -> Option<Head> {
    let length = bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..length]);
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let mut head = Head {
        length,
        method: first.next()?.to_owned(),
        target: first.next().unwrap_or("/").to_owned(),
        ..Head::default()
    };
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.content_length = value.parse().unwrap_or(0),
            "transfer-encoding" => head.chunked = value.to_ascii_lowercase().contains("chunked"),
            "connection" => head.close = value.eq_ignore_ascii_case("close"),
            "range" => head.range = range(value),
            "if-match" => head.if_match = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(head)
}

fn range(value: &str) -> Option<(u64, Option<u64>)> {
    let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()))
}
