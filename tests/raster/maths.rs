//! Band maths against EXPECTED.json: indices of real products, in both radiometries.
//!
//! Needs the reference data beside the checkout; says that it was skipped where it is absent.

use std::path::Path;

use cotec::raster::{BandInput, BandMath, Expr, Resample, Samples, Scale, band_math, read_band};
use serde_json::Value;

use crate::data::{near, reference};

/// The bands of a product; with `offset`, scaled to reflectance.
fn bands(root: &Path, product: &Value, offset: Option<f64>) -> Vec<BandInput> {
    let bands = product["bands"].as_object().unwrap();
    bands
        .iter()
        .map(|(name, band)| BandInput {
            name: name.clone(),
            path: root.join(band["path"].as_str().unwrap()),
            scale: offset.filter(|_| name != "SCL").map(|add_offset| Scale {
                quantification: 10_000.0,
                add_offset,
            }),
        })
        .collect()
}

/// The expression of an entry, and how its bands are put onto one grid.
fn spec(name: &str, entry: &Value, product: &Value) -> BandMath {
    let formula = entry["formula"].as_str().unwrap();
    let mut spec = BandMath::new(Expr::parse(formula).unwrap());
    if name.ends_with("_mean") {
        spec.resample = Resample::Average;
        spec.resolution = product["bands"]["B05"]["transform"][0].as_f64();
    }
    spec
}

#[test]
fn every_reference_index_is_computed() {
    let Some((root, expected)) = reference() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (tif, png) = (dir.path().join("out.tif"), dir.path().join("out.png"));
    let (mut computed, mut failures) = (0, Vec::new());
    for (id, product) in expected["products"].as_object().unwrap() {
        for (name, entry) in product["indices"].as_object().unwrap() {
            for radiometry in ["dn", "reflectance"] {
                let want = &entry[radiometry];
                if !want.is_object() {
                    continue;
                }
                let offset = (radiometry == "reflectance").then_some(-1000.0);
                let bands = bands(&root, product, offset);
                let spec = spec(name, entry, product);
                let got = band_math(&spec, &bands, &tif, &png, 2).unwrap();
                computed += 1;
                let shape = serde_json::json!([got.height, got.width]);
                let same = want["count_valid"] == got.valid
                    && entry["shape"] == shape
                    && [(got.min, "min"), (got.max, "max"), (got.mean, "mean")]
                        .iter()
                        .all(|(value, key)| near(*value, want[*key].as_f64().unwrap()));
                if !same {
                    failures.push(format!("{id} {name} {radiometry}: {got:?} is not {want}"));
                }
                failures
                    .extend(samples(&tif, entry, radiometry).map(|f| format!("{id} {name}: {f}")));
            }
        }
    }
    assert!(computed >= 25, "only {computed} indices in EXPECTED.json");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Compares single pixels of a result with the entry's.
fn samples(tif: &Path, entry: &Value, radiometry: &str) -> Option<String> {
    let result = read_band(tif).unwrap();
    let Samples::F32(values) = &result.samples else {
        return Some("not float32".to_owned());
    };
    for pixel in entry["sample_pixels"].as_array().unwrap() {
        let (row, col) = (pixel["row"].as_u64()?, pixel["col"].as_u64()?);
        let value = f64::from(values[(row * u64::from(result.width) + col) as usize]);
        let Some(want) = pixel[format!("value_{radiometry}")].as_f64() else {
            continue;
        };
        if !near(value, want) {
            return Some(format!("row {row} column {col}: {value} is not {want}"));
        }
        let t = result.geo.as_ref().unwrap().transform;
        let x = t.origin_x + (col as f64 + 0.5) * t.pixel_width;
        let y = t.origin_y - (row as f64 + 0.5) * t.pixel_height;
        if Some(x) != pixel["x"].as_f64() || Some(y) != pixel["y"].as_f64() {
            return Some(format!("row {row} column {col} lies at {x} {y}"));
        }
    }
    None
}
