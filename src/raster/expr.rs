//! An expression over bands as a small program, and errors that point at a character of its text.

use std::fmt;

/// One step of the program: takes its operands from the top of the stack and leaves its result.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Op {
    Const(f64),
    /// A band by its place in [`Expr::bands`].
    Band(usize),
    Neg,
    Not,
    Abs,
    Sqrt,
    Exp,
    Log,
    Log10,
    Floor,
    Ceil,
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Min,
    Max,
    Lt,
    Le,
    Gt,
    Ge,
    Eq,
    Ne,
    And,
    Or,
    /// Condition, value if true, value if false.
    Select,
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub(crate) source: String,
    pub(crate) bands: Vec<String>,
    pub(crate) ops: Vec<Op>,
    /// The most values on the stack at once.
    pub(crate) stack: usize,
}

impl Expr {
    /// The names of the bands it reads, each once, in order of appearance.
    pub fn bands(&self) -> &[String] {
        &self.bands
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// Why an expression does not parse, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExprError {
    /// The expression.
    pub source_text: String,
    /// The byte of the expression that is at fault, from 0.
    pub position: usize,
    /// What is wrong, in one line.
    pub message: String,
    /// The nearest valid name, for a name that is unknown.
    pub nearest: Option<String>,
}

impl ExprError {
    /// An error at a band that the task does not have; `known` are the names it has.
    ///
    /// Points at the first use of `band` in `expr`.
    pub fn unknown_band(expr: &Expr, band: &str, known: &[&str]) -> Self {
        Self {
            source_text: expr.source.clone(),
            position: find_word(&expr.source, band).unwrap_or(0),
            message: format!("no band is named `{band}`"),
            nearest: nearest(band, known.iter().copied()),
        }
    }
}

impl fmt::Display for ExprError {
    /// The message, then the expression with a caret under the character at fault.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        if let Some(name) = &self.nearest {
            write!(f, "; did you mean `{name}`?")?;
        }
        // A long expression is cut to what surrounds the character.
        let before: Vec<char> = self.source_text[..self.position]
            .chars()
            .rev()
            .take(60)
            .collect();
        let after: String = self.source_text[self.position..].chars().take(40).collect();
        let shown = |c: char| if c.is_control() { ' ' } else { c };
        let head: String = before.iter().rev().map(|c| shown(*c)).collect();
        let tail: String = after.chars().map(shown).collect();
        write!(f, "\n  {head}{tail}\n  {}^", " ".repeat(before.len()))
    }
}

impl std::error::Error for ExprError {}

/// The name nearest to `name`, if one is near enough to be a slip.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_lowercase();
    known
        .map(|k| (strsim::damerau_levenshtein(&lower, &k.to_lowercase()), k))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, k)| *distance <= k.len().max(3) / 2)
        .map(|(_, k)| k.to_owned())
}

/// The first place where `word` stands as a whole word.
fn find_word(text: &str, word: &str) -> Option<usize> {
    text.match_indices(word).map(|(i, _)| i).find(|&i| {
        let before = text[..i].chars().next_back();
        let after = text[i + word.len()..].chars().next();
        !before.is_some_and(is_name) && !after.is_some_and(is_name)
    })
}

pub(crate) fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_band_is_shown_where_it_stands() {
        let expr = Expr::parse("B080 + B8 / B04").unwrap();
        let error = ExprError::unknown_band(&expr, "B8", &["B04", "B08", "B080"]);
        assert_eq!((error.position, error.nearest.as_deref()), (7, Some("B08")));
    }
}
