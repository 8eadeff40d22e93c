//! The rows of a task's parameters, and what stands for their placeholders.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::bands::sentinel2_band;
use super::document::TaskSection;
use super::model::TaskPlaces;
use super::nearest::nearest;
use super::parameters::{Parameter, ParametersSection, Row, Values};
use super::source::{JobFileError, Place, Source};
use super::template::{PLACEHOLDERS, Template, TemplateError};
use super::tree::Node;

/// Rows that a task may have.
const MOST_ROWS: usize = 10_000;

/// A row with what tells its jobs from those of the other rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Bound {
    pub row: Row,
    /// What is added to a name that has no placeholder; empty where there is only one row.
    suffix: String,
}

impl Bound {
    /// The value of a placeholder that is a parameter.
    pub fn value(&self, name: &str) -> Option<String> {
        self.row.get(name).map(Parameter::to_string)
    }

    /// The name of the row's task.
    pub fn name(&self, name: &str, place: &Place) -> Result<String, JobFileError> {
        if self.row.is_empty() {
            return Ok(name.to_owned());
        }
        let whole = self.filled(name, place, |_| None)?;
        Ok(match whole == name {
            true => format!("{name}{}", self.suffix),
            false => whole,
        })
    }

    /// A text with its placeholders filled in: parameters, and what `other` knows.
    pub fn filled(
        &self,
        text: &str,
        place: &Place,
        other: impl Fn(&str) -> Option<String>,
    ) -> Result<String, JobFileError> {
        let bad = |error: TemplateError| place.inside(text, error.span).error(error.message);
        let template = Template::parse(text).map_err(bad)?;
        let value = |name: &str| self.value(name).or_else(|| other(name));
        template.fill(value).map_err(|error| {
            let known = self.row.keys().map(String::as_str);
            let name = text.get(error.span.clone()).unwrap_or("");
            let near = nearest(name.trim_matches(['{', '}']), known).map(str::to_owned);
            place
                .inside(text, error.span)
                .error(format!("unknown placeholder {name}"))
                .nearest(near)
        })
    }

    /// A formula with its numbers in place; the rest of it stays.
    pub fn formula(&self, text: &str, place: &Place) -> Result<String, JobFileError> {
        if !text.contains(['{', '}']) {
            return Ok(text.to_owned());
        }
        for (name, parameter) in &self.row {
            let used = format!("{{{name}}}");
            if let (None, Some(at)) = (parameter.as_f64(), text.find(&used)) {
                let place = place.inside(text, at..at + used.len());
                return Err(place.error(format!(
                    "the parameter {name:?} is no number: {parameter:?} cannot stand in a formula"
                )));
            }
        }
        // In brackets, so that a sign is part of the number.
        let numbers = Bound {
            row: BTreeMap::new(),
            suffix: String::new(),
        };
        numbers.filled(text, place, |name| {
            self.row.get(name).map(|number| format!("({number})"))
        })
    }

    /// The placeholders of parameters filled in; all else, braces too, stays as it is.
    pub fn replaced(&self, text: &str) -> String {
        let mut whole = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, from) = rest.split_at(open);
            whole.push_str(before);
            let name = from
                .get(1..)
                .and_then(|tail| tail.split_once('}'))
                .map(|(name, _)| name);
            match name.and_then(|name| Some((name.len() + 2, self.value(name)?))) {
                Some((length, value)) => {
                    whole.push_str(&value);
                    rest = from.get(length..).unwrap_or("");
                }
                None => {
                    whole.push('{');
                    rest = from.get(1..).unwrap_or("");
                }
            }
        }
        whole + rest
    }
}

/// The rows of a task; one without parameters where it has none.
pub(super) fn rows(
    section: &TaskSection,
    places: &TaskPlaces,
    source: &Arc<Source>,
    node: Option<&Node>,
) -> Result<Vec<Bound>, JobFileError> {
    let Some(parameters) = &section.parameters else {
        return Ok(vec![Bound::default()]);
    };
    let whole = places.field("parameters");
    let place_of = |row: Option<&Node>, name: &str| match row.and_then(|row| row.entry(name)) {
        Some(entry) => Place::new(source, entry.key_span.clone()),
        None => whole.clone(),
    };
    match parameters {
        ParametersSection::Table(table) => {
            for (name, values) in table {
                let place = place_of(node, name);
                check_name(name, section, &place)?;
                let texts = match values {
                    Values::One(one) => std::slice::from_ref(one),
                    Values::Each(each) => each.as_slice(),
                };
                if texts.is_empty() {
                    return Err(place.error(format!("{name:?} is a list of no value")));
                }
                texts.iter().try_for_each(|one| check(one, &place))?;
            }
            check_case(table.keys(), &whole)?;
            combined(table, &whole)
        }
        ParametersSection::Rows(rows) => {
            if rows.is_empty() || rows.len() > MOST_ROWS {
                let text = format!("a list of parameters has 1 to {MOST_ROWS} rows");
                return Err(whole.error(text));
            }
            let first: Vec<&String> = rows.iter().take(1).flat_map(BTreeMap::keys).collect();
            let mut nodes = node.map_or(&[][..], Node::items).iter();
            for row in rows {
                let node = nodes.next();
                for (name, value) in row {
                    check_name(name, section, &place_of(node, name))?;
                    check(value, &place_of(node, name))?;
                }
                if let Some(missing) = first.iter().find(|name| !row.contains_key(**name)) {
                    let place =
                        node.map_or(whole.clone(), |node| Place::new(source, node.span.clone()));
                    return Err(place
                        .error(format!("this row has no {missing:?}"))
                        .help("all rows of a task have the same parameters"));
                }
                if let Some(extra) = row.keys().find(|name| !first.contains(name)) {
                    return Err(place_of(node, extra)
                        .error(format!("the first row has no {extra:?}"))
                        .help("all rows of a task have the same parameters"));
                }
            }
            check_case(first.into_iter(), &whole)?;
            let bound = |row: &Row| Bound {
                suffix: suffix(row.iter()),
                row: row.clone(),
            };
            Ok(rows.iter().map(bound).collect())
        }
    }
}

/// Every combination of the values, the last name's changing fastest.
fn combined(table: &BTreeMap<String, Values>, place: &Place) -> Result<Vec<Bound>, JobFileError> {
    let mut rows = vec![Row::new()];
    for (name, values) in table {
        let values = match values {
            Values::One(one) => std::slice::from_ref(one),
            Values::Each(each) => each.as_slice(),
        };
        if rows.len().saturating_mul(values.len()) > MOST_ROWS {
            let text = format!("these lists make more than {MOST_ROWS} combinations");
            return Err(place.error(text));
        }
        rows = rows
            .iter()
            .flat_map(|row| {
                values.iter().map(|value| {
                    let mut row = row.clone();
                    row.insert(name.clone(), value.clone());
                    row
                })
            })
            .collect();
    }
    let varies = |name: &String| matches!(table.get(name), Some(Values::Each(_)));
    let bound = |row: Row| Bound {
        suffix: suffix(row.iter().filter(|(name, _)| varies(name))),
        row,
    };
    Ok(rows.into_iter().map(bound).collect())
}

/// `,name=value` for each, fit for a file name.
fn suffix<'a>(parameters: impl Iterator<Item = (&'a String, &'a Parameter)>) -> String {
    let fit = |c: char| if c == '/' || c.is_control() { '_' } else { c };
    parameters
        .map(|(name, value)| {
            format!(",{name}={value}")
                .chars()
                .map(fit)
                .collect::<String>()
        })
        .collect()
}

fn check_name(name: &str, section: &TaskSection, place: &Place) -> Result<(), JobFileError> {
    let word = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let message = if !word {
        format!("{name:?} is no name of a parameter: a letter, then letters, digits and _")
    } else if PLACEHOLDERS.contains(&name) {
        format!("{{{name}}} has a meaning already; choose another name")
    } else if sentinel2_band(name).is_some() || section.bands.iter().any(|band| band == name) {
        format!("{name:?} is a band; choose another name")
    } else {
        return Ok(());
    };
    Err(place.error(message))
}

/// A command gets them as variables in capitals.
fn check_case<'a>(
    mut names: impl Iterator<Item = &'a String>,
    place: &Place,
) -> Result<(), JobFileError> {
    let mut seen = HashSet::new();
    match names.find(|name| !seen.insert(name.to_ascii_uppercase())) {
        None => Ok(()),
        Some(name) => Err(place.error(format!(
            "two parameters differ from {name:?} in capitals only, and would be one variable"
        ))),
    }
}

fn check(value: &Parameter, place: &Place) -> Result<(), JobFileError> {
    match value {
        Parameter::Number(number) if !number.is_finite() => {
            Err(place.error("a parameter is a finite number"))
        }
        Parameter::Text(text) if text.contains('\0') => {
            Err(place.error("a parameter cannot carry a NUL character"))
        }
        _ => Ok(()),
    }
}
