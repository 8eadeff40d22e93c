//! Argument templates: text with `{placeholders}`; `{{` and `}}` are braces.
//!
//! An argument is expanded on its own and never goes through a shell, so no value can add
//! arguments, but where a placeholder that stands for several is the whole argument: `{inputs}`,
//! `{products}`, and a band of a group of products become one argument for each.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Range;

/// The placeholders that every task has; all others are names of bands.
pub const PLACEHOLDERS: [&str; 10] = [
    "out",         // the result file
    "product",     // the product's name
    "product_dir", // the product's directory in staging
    "prefix",      // the product's key prefix
    "job",         // the job's name
    "task",        // the task's name
    "inputs",      // all staged inputs
    "staging",     // the staging directory
    "scratch",     // a directory for this job alone
    "products",    // the names of all products of the job
];

/// One argument with its placeholders.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Name(String, Range<usize>),
}

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// One text or path.
    One(OsString),
    /// Several; only where the placeholder is the whole argument.
    Many(Vec<OsString>),
}

/// A template that cannot be read or expanded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong.
    pub message: String,
    /// The bytes of the template that are meant.
    pub span: Range<usize>,
}

impl Template {
    /// Reads one argument.
    ///
    /// # Errors
    /// A brace without its partner, an empty placeholder, or a NUL, which no argument can carry.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let fail = |message: &str, span| {
            let message = message.to_owned();
            Err(TemplateError { message, span })
        };
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            match c {
                '\0' => return fail("an argument cannot carry a NUL character", at..at + 1),
                '{' | '}' if rest.next_if(|(_, next)| *next == c).is_some() => plain.push(c),
                '}' => return fail("} without {; write }} for a brace", at..at + 1),
                '{' => {
                    let mut name = String::new();
                    let mut end = None;
                    for (i, c) in rest.by_ref() {
                        match c {
                            '}' => {
                                end = Some(i + 1);
                                break;
                            }
                            '{' => break,
                            _ => name.push(c),
                        }
                    }
                    let Some(end) = end else {
                        return fail("{ without }; write {{ for a brace", at..at + 1);
                    };
                    if name.is_empty() {
                        return fail("an empty placeholder", at..end);
                    }
                    if !plain.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut plain)));
                    }
                    pieces.push(Piece::Name(name, at..end));
                }
                _ => plain.push(c),
            }
        }
        if !plain.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template { pieces })
    }

    /// The placeholders' names in order, each with its bytes in the text, braces included.
    pub fn placeholders(&self) -> impl Iterator<Item = (&str, Range<usize>)> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Name(name, span) => Some((name.as_str(), span.clone())),
            Piece::Text(_) => None,
        })
    }

    /// The text before the first placeholder.
    pub fn head(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Text(text)) => text,
            _ => "",
        }
    }

    /// Puts texts in the place of those placeholders that `value` knows.
    #[must_use]
    pub fn bind<F>(mut self, value: F) -> Template
    where
        F: Fn(&str) -> Option<String>,
    {
        for piece in &mut self.pieces {
            if let Piece::Name(name, _) = piece
                && let Some(text) = value(name)
            {
                *piece = Piece::Text(text);
            }
        }
        self.pieces.dedup_by(|next, before| match (before, next) {
            (Piece::Text(before), Piece::Text(next)) => {
                before.push_str(next);
                true
            }
            _ => false,
        });
        self
    }

    /// The whole text with all placeholders filled in.
    ///
    /// # Errors
    /// `value` knows a placeholder not.
    pub fn fill<F>(self, value: F) -> Result<String, TemplateError>
    where
        F: Fn(&str) -> Option<String>,
    {
        let mut whole = String::new();
        for piece in self.bind(value).pieces {
            match piece {
                Piece::Text(text) => whole.push_str(&text),
                Piece::Name(name, span) => {
                    return Err(TemplateError {
                        message: format!("nothing is known for the placeholder {{{name}}}"),
                        span,
                    });
                }
            }
        }
        Ok(whole)
    }

    /// Appends the argument, or the arguments, that the template stands for.
    ///
    /// # Errors
    /// `value` knows a placeholder not, or gives several values where one is needed.
    pub fn expand<F>(&self, argv: &mut Vec<OsString>, value: F) -> Result<(), TemplateError>
    where
        F: Fn(&str) -> Option<Value>,
    {
        let unknown = |name: &str, span: &Range<usize>| TemplateError {
            message: format!("nothing is known for the placeholder {{{name}}}"),
            span: span.clone(),
        };
        if let [Piece::Name(name, span)] = self.pieces.as_slice() {
            match value(name).ok_or_else(|| unknown(name, span))? {
                Value::One(one) => argv.push(one),
                Value::Many(many) => argv.extend(many),
            }
            return Ok(());
        }
        let mut argument = OsString::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => argument.push(OsStr::new(text)),
                Piece::Name(name, span) => match value(name).ok_or_else(|| unknown(name, span))? {
                    Value::One(one) => argument.push(one),
                    Value::Many(_) => {
                        return Err(TemplateError {
                            message: format!("{{{name}}} must be an argument of its own"),
                            span: span.clone(),
                        });
                    }
                },
            }
        }
        argv.push(argument);
        Ok(())
    }
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Piece::Name(name, _) => write!(f, "{{{name}}}"),
        })
    }
}

/// Expands a whole command line; see [`Template::expand`].
///
/// # Errors
/// The first argument that cannot be expanded.
pub fn expand_argv<F>(templates: &[Template], value: F) -> Result<Vec<OsString>, TemplateError>
where
    F: Fn(&str) -> Option<Value>,
{
    let mut argv = Vec::with_capacity(templates.len());
    for template in templates {
        template.expand(&mut argv, &value)?;
    }
    Ok(argv)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str) -> Option<Value> {
        match name {
            "out" => Some(Value::One("a b; rm {out}".into())),
            "inputs" => Some(Value::Many(vec!["x".into(), "y z".into()])),
            _ => None,
        }
    }

    fn expanded(argv: &[&str]) -> Result<Vec<OsString>, TemplateError> {
        let templates: Vec<Template> = argv.iter().map(|a| Template::parse(a).unwrap()).collect();
        expand_argv(&templates, value)
    }

    #[test]
    fn arguments_stay_apart_and_values_are_not_expanded_again() {
        assert_eq!(
            expanded(&["", "--o={out}", "{inputs}", "{{out}}", "{out}{out}"]).unwrap(),
            [
                "",
                "--o=a b; rm {out}",
                "x",
                "y z",
                "{out}",
                "a b; rm {out}a b; rm {out}"
            ]
        );
        for text in ["", "--o={out}", "{{out}}x{out}"] {
            assert_eq!(Template::parse(text).unwrap().to_string(), text);
        }
        assert!(expanded(&["-i {inputs}"]).is_err());
        assert!(expanded(&["{none}"]).is_err());
    }

    #[test]
    fn broken_templates_are_refused_with_their_place() {
        for (text, span) in [
            ("a{out", 1..2),
            ("a}b", 1..2),
            ("{}", 0..2),
            ("é{a{b}", 2..3),
            ("a\0", 1..2),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().span, span, "{text}");
        }
        let template = Template::parse("x{B04}y{out}").unwrap();
        let names: Vec<_> = template.placeholders().collect();
        assert_eq!(names, [("B04", 1..6), ("out", 7..12)]);
    }
}
