//! The JSON Schema of the job file, for editors and other programs.

use schemars::generate::SchemaSettings;

use super::document::Document;

/// The JSON Schema (draft 2020-12) of a job file, as pretty-printed JSON.
pub fn json_schema() -> String {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Document>();
    format!("{:#}", schema.as_value())
}
