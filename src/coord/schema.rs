//! The JSON Schema of the records that `--json` prints.

/// The JSON Schema (draft 2020-12) of a record of [`super::JsonObserver`]. It is kept by hand: it
/// is a promise, and must not follow the code by itself.
pub fn events_schema() -> &'static str {
    include_str!("events.schema.json")
}
