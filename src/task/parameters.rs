//! The parameters of a task: values that stand for `{name}`, one job of each product for each row.
//!
//! A table is one row, except where a value is a list: then there is a row for each of its values,
//! and for each combination where several are lists. A list of tables is a row for each table.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

/// The value of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Whole(i64),
    /// Another number; finite.
    Number(f64),
    /// A text, without NUL.
    Text(String),
}

impl Parameter {
    /// The value of a number, whole or not.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Parameter::Whole(value) => Some(*value as f64),
            Parameter::Number(value) => Some(*value),
            Parameter::Bool(_) | Parameter::Text(_) => None,
        }
    }

    /// The text of one that is a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Parameter::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of one that is `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Parameter::Bool(value) => Some(*value),
            _ => None,
        }
    }
}

/// As it stands for its placeholder: a number with a fraction keeps its point (`1.0`).
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Parameter::Bool(value) => write!(f, "{value}"),
            Parameter::Whole(value) => write!(f, "{value}"),
            Parameter::Number(value) => write!(f, "{value:?}"),
            Parameter::Text(text) => f.write_str(text),
        }
    }
}

/// The parameters of one row, by name.
pub type Row = BTreeMap<String, Parameter>;

/// One value, or one for each row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// The same in all rows.
    One(Parameter),
    /// One after the other.
    Each(Vec<Parameter>),
}

/// `parameters` as it is written.
#[derive(Clone, Debug, PartialEq)]
pub enum ParametersSection {
    /// A table.
    Table(BTreeMap<String, Values>),
    /// A list of tables.
    Rows(Vec<Row>),
}

struct ParameterForm;

impl Visitor<'_> for ParameterForm {
    type Value = Parameter;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Parameter, E> {
        Ok(Parameter::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Parameter, E> {
        Ok(Parameter::Whole(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Parameter, E> {
        Ok(Parameter::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Parameter, E> {
        Ok(Parameter::Text(value.to_owned()))
    }
}

/// A [`Parameter`] of which no list is allowed.
struct Single(Parameter);

impl<'de> Deserialize<'de> for Single {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Single, D::Error> {
        deserializer.deserialize_any(ParameterForm).map(Single)
    }
}

struct ValuesForm;

impl<'de> Visitor<'de> for ValuesForm {
    type Value = Values;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number, true or false, or a list of them")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Values, E> {
        Ok(Values::One(Parameter::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Values, E> {
        Ok(Values::One(Parameter::Whole(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Values, E> {
        Ok(Values::One(Parameter::Number(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Values, E> {
        Ok(Values::One(Parameter::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
        let mut each = Vec::new();
        while let Some(Single(value)) = list.next_element()? {
            each.push(value);
        }
        Ok(Values::Each(each))
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Values, D::Error> {
        deserializer.deserialize_any(ValuesForm)
    }
}

struct SectionForm;

impl<'de> Visitor<'de> for SectionForm {
    type Value = ParametersSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table of parameters, or a list of such tables")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ParametersSection, A::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(ParametersSection::Table)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ParametersSection, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = list.next_element::<BTreeMap<String, Single>>()? {
            rows.push(row.into_iter().map(|(name, one)| (name, one.0)).collect());
        }
        Ok(ParametersSection::Rows(rows))
    }
}

impl<'de> Deserialize<'de> for ParametersSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SectionForm)
    }
}

impl JsonSchema for ParametersSection {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Parameters".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = serde_json::json!({ "type": ["string", "number", "boolean"] });
        let list = serde_json::json!({ "type": "array", "items": one, "minItems": 1 });
        json_schema!({ "anyOf": [
            { "type": "object", "additionalProperties": { "anyOf": [one, list] } },
            {
                "type": "array", "minItems": 1,
                "items": { "type": "object", "additionalProperties": one },
            },
        ] })
    }
}
