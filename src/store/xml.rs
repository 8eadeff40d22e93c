//! Reads the small XML documents that S3 answers with, whatever their namespace.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Deeper than any S3 answer.
const MAX_DEPTH: usize = 16;

/// Calls `leaf` at the end of each element with the local names from the root down to it, and the
/// text directly inside it.
///
/// # Errors
/// A sentence on what is wrong with the document: not XML, or not a whole document.
pub(super) fn walk(
    document: &[u8],
    mut leaf: impl FnMut(&[String], &str) -> Result<(), String>,
) -> Result<(), String> {
    let document = std::str::from_utf8(document).map_err(|e| format!("it is not UTF-8 ({e})"))?;
    let mut reader = Reader::from_str(document);
    // `<a/>` then comes as a start and an end.
    reader.config_mut().expand_empty_elements = true;
    let mut path: Vec<String> = Vec::new();
    let mut texts: Vec<String> = Vec::new();
    let mut roots = 0;
    loop {
        let at = reader.buffer_position();
        let event = reader
            .read_event()
            .map_err(|e| format!("it is not XML (byte {at}: {e})"))?;
        match event {
            Event::Start(start) => {
                roots += usize::from(path.is_empty());
                if path.len() == MAX_DEPTH || roots > 1 {
                    return Err(format!("it is not an S3 document (byte {at})"));
                }
                path.push(start.local_name().as_ref().to_owned());
                texts.push(String::new());
            }
            Event::End(_) => {
                let text = texts.pop().unwrap_or_default();
                leaf(&path, &text).map_err(|what| format!("{what} (byte {at})"))?;
                path.pop();
            }
            Event::Text(text) => match texts.last_mut() {
                Some(last) => last.push_str(&text.xml10_content()),
                None if text.trim().is_empty() => {}
                None => {
                    return Err(format!(
                        "it is not XML (byte {at}: text outside the root element)"
                    ));
                }
            },
            Event::CData(text) => texts
                .last_mut()
                .into_iter()
                .for_each(|last| last.push_str(&text)),
            Event::GeneralRef(name) => {
                let c = match name
                    .resolve_char_ref()
                    .map_err(|e| format!("it is not XML (byte {at}: {e})"))?
                {
                    Some(c) => c,
                    None => entity(&name)
                        .ok_or_else(|| format!("it is not XML (byte {at}: unknown entity)"))?,
                };
                texts.last_mut().into_iter().for_each(|last| last.push(c));
            }
            Event::Eof if path.is_empty() && roots == 1 => return Ok(()),
            Event::Eof => return Err(format!("it ends too early (byte {at})")),
            Event::Empty(_)
            | Event::Decl(_)
            | Event::Comment(_)
            | Event::PI(_)
            | Event::DocType(_) => {}
        }
    }
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// The start of an answer for a message: printable, short, and without anything of a signed URL.
pub(super) fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..400).unwrap_or(body));
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = scrubbed(&text);
    let mut short: String = text.chars().take(160).collect();
    if short.len() < text.len() {
        short.push_str("...");
    }
    format!("\"{}\"", short.escape_debug())
}

/// The text up to where a signed URL's parameters begin.
pub(super) fn scrubbed(text: &str) -> &str {
    let lower = text.to_ascii_lowercase();
    let marks = [
        "x-amz-",
        "awsaccesskeyid",
        "signature=",
        "security-token",
        "credential=",
    ];
    let cut = marks.iter().filter_map(|mark| lower.find(mark)).min();
    cut.and_then(|at| text.get(..at)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(document: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        walk(document.as_bytes(), |path, text| {
            found.push(format!("{}={text}", path.join("/")));
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn reads_text_entities_and_namespaces() {
        let found = leaves(
            "<?xml version='1.0'?><s:E xmlns:s='u'><s:K>a &amp; &#x41;&#252;<![CDATA[<b>]]></s:K><L/></s:E>\n",
        );
        assert_eq!(found.unwrap(), ["E/K=a & Aü<b>", "E/L=", "E="]);
    }

    #[test]
    fn refuses_what_is_no_document() {
        for (document, what) in [
            ("", "too early"),
            ("<a><b></b>", "too early"),
            ("<a></b>", "not XML"),
            ("plain", "text outside"),
            ("<a>&nbsp;</a>", "unknown entity"),
            ("<a/><a/>", "not an S3 document"),
        ] {
            let error = leaves(document).unwrap_err();
            assert!(error.contains(what), "{document}: {error}");
        }
        assert!(
            leaves(&"<a>".repeat(1000))
                .unwrap_err()
                .contains("not an S3 document")
        );
    }

    #[test]
    fn quotes_hide_signatures() {
        let page = b"<p>No such page: /b/k?X-Amz-Signature=0123</p>";
        assert_eq!(quoted(page), "\"<p>No such page: /b/k?\"");
    }
}
