//! Text given by the user, places in it, and the one error that shows such a place.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Characters of a source line shown at most; longer lines (minified JSON) are cut around the place.
const SHOWN: usize = 96;

/// A text that the user gave: a job file, or the value of a flag.
#[derive(Debug)]
pub struct Source {
    name: String,
    text: String,
}

impl Source {
    /// A text under the name that messages use: a file's path, or a flag such as `--index`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Source> {
        Arc::new(Source {
            name: name.into(),
            text: text.into(),
        })
    }

    /// The name that messages use.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte offset, both from 1; the column counts characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.before(offset);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before.get(start..).map_or(0, |part| part.chars().count()) + 1;
        (line, column)
    }

    /// The text before an offset, moved back to a character boundary and into the text.
    fn before(&self, offset: usize) -> &str {
        let mut end = offset.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        self.text.get(..end).unwrap_or("")
    }
}

/// A stretch of a [`Source`], in bytes.
#[derive(Clone, Debug)]
pub struct Place {
    source: Arc<Source>,
    span: Range<usize>,
}

impl Place {
    /// A stretch of bytes of a source.
    pub fn new(source: &Arc<Source>, span: Range<usize>) -> Place {
        Place {
            source: Arc::clone(source),
            span,
        }
    }

    /// The whole of a source.
    pub fn whole(source: &Arc<Source>) -> Place {
        Place::new(source, 0..source.text.len())
    }

    /// The text that it belongs to.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// The bytes that it covers.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    fn raw(&self) -> &str {
        self.source.text.get(self.span.clone()).unwrap_or("")
    }

    /// The first occurrence of `word` as a whole word inside this place, or else this place.
    pub fn word(&self, word: &str) -> Place {
        let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let raw = self.raw();
        let found = raw.match_indices(word).find(|(at, _)| {
            let before = raw.get(..*at).and_then(|s| s.chars().next_back());
            let after = raw.get(at + word.len()..).and_then(|s| s.chars().next());
            !word.is_empty()
                && !before.is_some_and(part_of_word)
                && !after.is_some_and(part_of_word)
        });
        match found {
            Some((at, _)) => {
                let start = self.span.start + at;
                Place::new(&self.source, start..start + word.len())
            }
            None => self.clone(),
        }
    }

    /// The bytes `range` of a string value that stands here, past its quotes. Where the value is
    /// written with escapes, offsets cannot be mapped back, and the whole value is meant.
    pub fn inside(&self, value: &str, range: Range<usize>) -> Place {
        match self.raw().find(value) {
            Some(at) if !value.is_empty() && range.start <= value.len() => {
                let start = self.span.start + at;
                let end = range.end.clamp(range.start, value.len().max(range.start));
                Place::new(&self.source, start + range.start..start + end)
            }
            _ => self.clone(),
        }
    }

    /// An error at this place.
    pub fn error(&self, message: impl Into<String>) -> JobFileError {
        JobFileError {
            message: message.into(),
            place: Some(self.clone()),
            nearest: None,
            help: None,
        }
    }
}

/// What is wrong with a job file or a flag: one message with the place, the line, and what to
/// write instead.
#[derive(Clone, Debug)]
pub struct JobFileError {
    message: String,
    place: Option<Place>,
    nearest: Option<String>,
    help: Option<String>,
}

impl JobFileError {
    /// An error that belongs to no place in a text.
    pub fn new(message: impl Into<String>) -> JobFileError {
        JobFileError {
            message: message.into(),
            place: None,
            nearest: None,
            help: None,
        }
    }

    /// Adds the nearest valid name, if there is one.
    #[must_use]
    pub fn nearest(mut self, name: Option<impl Into<String>>) -> JobFileError {
        self.nearest = name.map(Into::into);
        self
    }

    /// Adds a sentence on what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> JobFileError {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The nearest valid name, where one was looked for.
    pub fn nearest_name(&self) -> Option<&str> {
        self.nearest.as_deref()
    }

    /// Line and column, from 1, where the error has a place.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.place
            .as_ref()
            .map(|place| place.source.position(place.span.start))
    }
}

impl std::error::Error for JobFileError {}

impl fmt::Display for JobFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(place) = &self.place else {
            // Nothing is shown that the rest could stand below.
            write!(f, "{}", self.message)?;
            if let Some(nearest) = &self.nearest {
                write!(f, "; nearest valid name: {nearest:?}")?;
            }
            return match &self.help {
                Some(help) => write!(f, "; {help}"),
                None => Ok(()),
            };
        };
        let (line, column) = place.source.position(place.span.start);
        let margin = line.to_string().len().max(2);
        let name = &place.source.name;
        writeln!(f, "{name}:{line}:{column}: {}", self.message)?;
        snippet(f, place, line, column, margin)?;
        if let Some(nearest) = &self.nearest {
            write!(f, "\n{:margin$} = nearest valid name: {nearest:?}", "")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:margin$} = {help}", "")?;
        }
        Ok(())
    }
}

/// The line of a place with carets below what is meant.
fn snippet(
    f: &mut fmt::Formatter<'_>,
    place: &Place,
    line: usize,
    column: usize,
    margin: usize,
) -> fmt::Result {
    let text: Vec<char> = place
        .source
        .text
        .split('\n')
        .nth(line - 1)
        .unwrap_or("")
        .trim_end_matches('\r')
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let width = place
        .raw()
        .lines()
        .next()
        .map_or(1, |first| first.chars().count())
        .clamp(1, (text.len() + 1).saturating_sub(column - 1).max(1));
    let skip = if text.len() > SHOWN {
        (column - 1).saturating_sub(SHOWN / 3)
    } else {
        0
    };
    let shown: String = text.iter().skip(skip).take(SHOWN).collect();
    let carets = width.min(SHOWN.saturating_sub(column - 1 - skip).max(1));
    writeln!(f, "{:margin$} |", "")?;
    writeln!(f, "{line:margin$} | {}", shown.trim_end())?;
    let indent = column - 1 - skip;
    write!(f, "{:margin$} | {:indent$}{}", "", "", "^".repeat(carets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_shows_place_line_and_caret() {
        let source = Source::new("a.toml", "out = 1\nindx = \"ndvi\"\n");
        let error = Place::new(&source, 8..12)
            .error("unknown field \"indx\"")
            .nearest(Some("index"));
        let expected = "a.toml:2:1: unknown field \"indx\"\n   |\n 2 | indx = \"ndvi\"\n   | ^^^^\n   = nearest valid name: \"index\"";
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.position(), Some((2, 1)));
    }

    #[test]
    fn columns_count_characters_and_long_lines_are_cut() {
        let text = format!("{}é = 1", "x".repeat(300));
        let source = Source::new("b", text);
        let shown = Place::new(&source, 300..302).error("e").to_string();
        assert!(shown.starts_with("b:1:301: e\n"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() < 110));
        let caret = shown.lines().nth(3).unwrap().find('^').unwrap();
        assert_eq!(
            shown.lines().nth(2).unwrap().chars().nth(caret),
            Some('é'),
            "{shown}"
        );
    }

    #[test]
    fn any_offset_gives_a_message() {
        let source = Source::new("c", "aé\n\u{1f30d}b");
        for start in 0..20 {
            for len in 0..4 {
                let place = Place::new(&source, start..start + len);
                assert!(!place.error("e").to_string().is_empty());
                assert!(!place.word("b").error("e").to_string().is_empty());
            }
        }
    }

    #[test]
    fn a_word_is_found_whole() {
        let source = Source::new("d", "expr = \"B080 + B08\"");
        assert_eq!(Place::whole(&source).word("B08").span(), 15..18);
        assert_eq!(
            Place::whole(&source).inside("B080 + B08", 7..10).span(),
            15..18
        );
    }
}
