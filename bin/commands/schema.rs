//! `cotec schema`

use std::io::{self, Write};

use cotec::store::StoreError;
use cotec::task::json_schema;

/// Prints the JSON Schema of the job file.
pub fn run() -> Result<u8, StoreError> {
    // A reader that has seen enough is no failure.
    let _ = writeln!(io::stdout(), "{}", json_schema());
    Ok(0)
}
