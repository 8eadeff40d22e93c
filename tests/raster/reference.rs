//! Bands decode to the arrays that GDAL decodes them to, georeference included.
//!
//! Needs the reference data beside the checkout; says that it was skipped where it is absent.

use std::path::Path;

use cotec::raster::{Raster, read_band};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::data::reference;

/// Reads a band and compares it with one entry of EXPECTED.json.
fn compare(root: &Path, path: &str, expected: &Value) -> Result<Raster, String> {
    let raster = read_band(&root.join(path)).map_err(|e| e.to_string())?;
    let shape = [raster.height, raster.width].map(u64::from);
    if expected["shape"] != serde_json::json!(shape) {
        return Err(format!("{path}: shape {shape:?}"));
    }
    if expected["dtype"] != raster.samples.type_name() {
        return Err(format!("{path}: type {}", raster.samples.type_name()));
    }
    let hash: String = Sha256::digest(raster.samples.to_le_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let wanted = [
        "sha256_of_decoded_array_little_endian_row_major",
        "sha256_of_decoded_band1_as_little_endian_row_major",
    ]
    .iter()
    .find_map(|k| expected[*k].as_str())
    .ok_or("no hash in EXPECTED.json")?;
    if hash != wanted {
        return Err(format!("{path}: the decoded array differs"));
    }
    let crs = raster.geo.as_ref().and_then(|g| g.crs.as_ref());
    if expected["crs"].as_str() != crs.map(ToString::to_string).as_deref() {
        return Err(format!("{path}: system {crs:?}"));
    }
    let c = raster.geo.as_ref().map(|g| g.transform.to_gdal());
    let affine = c.map(|c| serde_json::json!([c[1], c[2], c[0], c[4], c[5], c[3]]));
    if expected["crs"].is_string() && Some(&expected["transform"]) != affine.as_ref() {
        return Err(format!("{path}: transform {affine:?}"));
    }
    Ok(raster)
}

#[test]
fn every_reference_band_decodes_exactly() {
    let Some((root, expected)) = reference() else {
        return;
    };
    let mut failures = Vec::new();
    let mut bands = 0;
    for (path, entry) in expected["decode_reference"].as_object().unwrap() {
        bands += 1;
        failures.extend(compare(&root, path, entry).err());
    }
    for product in expected["products"].as_object().unwrap().values() {
        for entry in product["bands"].as_object().unwrap().values() {
            bands += 1;
            failures.extend(compare(&root, entry["path"].as_str().unwrap(), entry).err());
        }
    }
    assert!(bands >= 30, "only {bands} bands in EXPECTED.json");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_geotiff_named_jp2_is_read_by_its_bytes() {
    let Some((root, _)) = reference() else { return };
    let raster = read_band(&root.join("jp2/mislabelled/sattest_preview_is_geotiff.jp2")).unwrap();
    assert_eq!((raster.width, raster.height), (60, 61));
}

#[test]
fn damaged_copies_are_errors_and_never_panics() {
    let Some((root, expected)) = reference() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("band");
    let small = [
        "products/S2B_MSIL2A_20231217T135659_N0510_R067_T21JUK_20231217T175625.SAFE",
        "products/S2_L2A_T21JUK_20231217_cog",
    ];
    let bands = small.map(|p| {
        let id = p.rsplit('/').next().unwrap();
        let band = &expected["products"][id]["bands"]["B05"]["path"];
        root.join(band.as_str().unwrap())
    });
    for path in bands {
        let whole = std::fs::read(&path).unwrap();
        let good = read_band(&path).unwrap();
        for cut in [5, 20, 100, 500, whole.len() / 2, whole.len() - 20] {
            std::fs::write(&copy, &whole[..cut]).unwrap();
            // What is cut off may be padding or a checksum; samples may not be missing.
            match read_band(&copy) {
                Ok(raster) => assert_eq!(raster, good, "{} cut to {cut}", path.display()),
                Err(e) => assert!(!e.to_string().is_empty()),
            }
        }
        // A damaged byte may pass unnoticed, but only as a band of a sane size.
        let mut state = 1u32;
        for _ in 0..300 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut bytes = whole.clone();
            let at = state as usize % bytes.len().min(2_000);
            bytes[at] ^= (state >> 16) as u8 | 1;
            std::fs::write(&copy, &bytes).unwrap();
            if let Ok(raster) = read_band(&copy) {
                let pixels = raster.width as usize * raster.height as usize;
                assert_eq!(raster.samples.len(), pixels);
            }
        }
        assert_eq!(read_band(&path).unwrap(), good);
    }
}
