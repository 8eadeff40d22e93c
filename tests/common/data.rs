//! The reference data that may stand beside the checkout.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// `../shared/data` and its EXPECTED.json; says so and gives `None` where it is absent.
pub fn reference() -> Option<(PathBuf, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let Ok(text) = std::fs::read_to_string(root.join("EXPECTED.json")) else {
        eprintln!("skipped: ../shared/data is absent");
        return None;
    };
    Some((root, serde_json::from_str(&text).unwrap()))
}

/// Whether two numbers are the same but for the rounding to float32.
pub fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs()
}
