//! A TOML or JSON document as one tree in which every key and value knows its place.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

use super::source::{JobFileError, Place, Source};

/// Levels of nesting that a document may have; a job file needs four.
const MAX_DEPTH: usize = 32;

/// A value and the bytes that it was written as.
#[derive(Debug)]
pub(super) struct Node {
    pub span: Range<usize>,
    pub value: Tree,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Range<usize>,
    pub node: Node,
}

impl Node {
    /// The value of a key, if this is a table that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    /// A key with its value, if this is a table that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Tree::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The values of a list; nothing for other values.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Tree::List(nodes) => nodes,
            _ => &[],
        }
    }
}

/// Reads JSON where the name ends in `.json` or the text starts with a brace, and else TOML.
pub(super) fn parse(source: &Arc<Source>) -> Result<Node, JobFileError> {
    let lower = source.name().to_ascii_lowercase();
    let json = if lower.ends_with(".json") {
        true
    } else {
        !lower.ends_with(".toml") && source.text().trim_start().starts_with('{')
    };
    if json {
        parse_json(source)
    } else {
        parse_toml(source)
    }
}

fn parse_toml(source: &Arc<Source>) -> Result<Node, JobFileError> {
    let document = DeTable::parse(source.text()).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        Place::new(source, span).error(format!("this is not TOML: {}", error.message()))
    })?;
    let span = document.span();
    let table = from_toml_table(source, document.get_ref(), MAX_DEPTH)?;
    Ok(Node { span, value: table })
}

fn from_toml_table(
    source: &Arc<Source>,
    table: &DeTable<'_>,
    depth: usize,
) -> Result<Tree, JobFileError> {
    let mut entries = Vec::with_capacity(table.len());
    for (key, value) in table.iter() {
        entries.push(Entry {
            key: key.get_ref().to_string(),
            key_span: key.span(),
            node: from_toml(source, value.get_ref(), value.span(), depth)?,
        });
    }
    // The parser sorts by name; errors are reported in the order of the file.
    entries.sort_by_key(|entry| entry.key_span.start);
    Ok(Tree::Table(entries))
}

fn from_toml(
    source: &Arc<Source>,
    value: &DeValue<'_>,
    span: Range<usize>,
    depth: usize,
) -> Result<Node, JobFileError> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(too_deep(source, span));
    };
    let bad = |what: &str| Place::new(source, span.clone()).error(what);
    let value = match value {
        DeValue::String(text) => Tree::Text(text.to_string()),
        DeValue::Boolean(yes) => Tree::Bool(*yes),
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix())
            .map(Tree::Int)
            .map_err(|_| bad("this number is too large"))?,
        DeValue::Float(digits) => digits
            .as_str()
            .parse()
            .map(Tree::Float)
            .map_err(|_| bad("this is no number"))?,
        DeValue::Datetime(date) => Tree::Text(date.to_string()),
        DeValue::Array(values) => {
            let mut nodes = Vec::with_capacity(values.len());
            for value in values.iter() {
                nodes.push(from_toml(source, value.get_ref(), value.span(), depth)?);
            }
            Tree::List(nodes)
        }
        DeValue::Table(table) => from_toml_table(source, table, depth)?,
    };
    Ok(Node { span, value })
}

fn parse_json(source: &Arc<Source>) -> Result<Node, JobFileError> {
    let text = source.text();
    let raw: &RawValue =
        serde_json::from_str(text).map_err(|error| json_error(source, text, 0, &error))?;
    from_json(source, raw.get(), MAX_DEPTH)
}

fn from_json(source: &Arc<Source>, raw: &str, depth: usize) -> Result<Node, JobFileError> {
    let start = offset_in(source.text(), raw);
    let span = start..start + raw.len();
    let Some(depth) = depth.checked_sub(1) else {
        return Err(too_deep(source, span));
    };
    let fail = |error: serde_json::Error| json_error(source, raw, start, &error);
    let value = match raw.bytes().next() {
        Some(b'{') => {
            let members: Members<'_> = serde_json::from_str(raw).map_err(fail)?;
            let mut entries: Vec<Entry> = Vec::with_capacity(members.0.len());
            for (key, raw_value) in members.0 {
                let node = from_json(source, raw_value.get(), depth)?;
                let key_span = key_before(source.text(), node.span.start, &key);
                if entries.iter().any(|entry| entry.key == key) {
                    return Err(Place::new(source, key_span)
                        .error(format!("the field {key:?} is given twice")));
                }
                let key = key.into_owned();
                entries.push(Entry {
                    key,
                    key_span,
                    node,
                });
            }
            Tree::Table(entries)
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(raw).map_err(fail)?;
            let nodes = values
                .into_iter()
                .map(|value| from_json(source, value.get(), depth));
            Tree::List(nodes.collect::<Result<_, _>>()?)
        }
        Some(b'"') => Tree::Text(serde_json::from_str(raw).map_err(fail)?),
        Some(b't' | b'f') => Tree::Bool(serde_json::from_str(raw).map_err(fail)?),
        Some(b'n') => Tree::Null,
        _ => match raw.parse::<i64>() {
            Ok(whole) => Tree::Int(whole),
            Err(_) => Tree::Float(serde_json::from_str(raw).map_err(fail)?),
        },
    };
    Ok(Node { span, value })
}

/// The members of a JSON object in their order, doubles included.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    members.push((Cow::Owned(key), map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Where a part of a text stands in it.
fn offset_in(text: &str, part: &str) -> usize {
    (part.as_ptr() as usize)
        .saturating_sub(text.as_ptr() as usize)
        .min(text.len())
}

/// The bytes of the key, without quotes, that stands before the value at `start`.
fn key_before(text: &str, start: usize, key: &str) -> Range<usize> {
    let head = text.get(..start).unwrap_or("");
    let head = head.trim_end().trim_end_matches(':').trim_end();
    let end = head.len().saturating_sub(1);
    let begin = end.saturating_sub(key.len());
    if head.get(begin..end) == Some(key) {
        begin..end
    } else {
        // Written with escapes: show from the quote that opens it, as far as it can be told.
        let begin = head
            .get(..end)
            .and_then(|h| h.rfind('"'))
            .map_or(end, |q| q + 1);
        begin..end
    }
}

fn json_error(
    source: &Arc<Source>,
    part: &str,
    base: usize,
    error: &serde_json::Error,
) -> JobFileError {
    let line_start: usize = part
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    let at = base + line_start + error.column().saturating_sub(1);
    // serde_json repeats the place in its text; ours is shown above the line.
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    Place::new(source, at..at + 1).error(format!("this is not JSON: {message}"))
}

fn too_deep(source: &Arc<Source>, span: Range<usize>) -> JobFileError {
    Place::new(source, span).error(format!("nested more than {MAX_DEPTH} levels deep"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of<'a>(source: &'a Arc<Source>, span: &Range<usize>) -> &'a str {
        &source.text()[span.clone()]
    }

    #[test]
    fn toml_and_json_give_the_same_places() {
        let toml = Source::new("a.toml", "[[task]]\nindex = \"ndvi\"\nbbox = [1, 2.5]\n");
        let json = Source::new(
            "a.json",
            "{ \"task\" : [ {\"index\" : \"ndvi\", \"bbox\":[1,2.5]} ] }",
        );
        for source in [&toml, &json] {
            let root = parse(source).unwrap();
            let task = &root.get("task").unwrap().items()[0];
            let index = task.entry("index").unwrap();
            assert_eq!(text_of(source, &index.key_span), "index");
            assert_eq!(text_of(source, &index.node.span), "\"ndvi\"");
            let bbox = task.get("bbox").unwrap().items();
            assert_eq!(text_of(source, &bbox[1].span), "2.5");
            assert!(matches!(bbox[0].value, Tree::Int(1)));
        }
    }

    #[test]
    fn syntax_errors_have_a_place() {
        for (name, text, position) in [
            ("a.toml", "out = \"x\"\nout = \"y\"\n", (2, 1)),
            ("a.toml", "out = \n", (1, 7)),
            ("a.json", "{\n \"out\": 1,\n \"out\": 2}", (3, 3)),
            ("a.json", "{\n \"out\" 1}", (2, 8)),
            ("a.json", "{\"out\": \"\\x\"}", (1, 11)),
            ("a.json", "", (1, 1)),
        ] {
            let source = Source::new(name, text);
            let error = parse(&source).unwrap_err();
            assert_eq!(error.position(), Some(position), "{error}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_not_followed() {
        let json = Source::new("a.json", "[".repeat(100_000) + &"]".repeat(100_000));
        assert!(parse(&json).unwrap_err().message().contains("levels deep"));
        let toml = Source::new(
            "a.toml",
            format!("a = {}{}", "[".repeat(50), "]".repeat(50)),
        );
        assert!(parse(&toml).unwrap_err().message().contains("levels deep"));
    }
}
