//! The sample: the same bytes on every machine, a whole product, values that make sense.

use std::path::{Path, PathBuf};

use cotec::raster::{
    BandInput, BandMath, BandStats, SampleSpec, Samples, Scale, Window, band_math, index_expr,
    read_band, write_sample,
};
use sha2::{Digest, Sha256};

const SMALL: SampleSpec = SampleSpec {
    products: 2,
    size: 192,
};

#[test]
fn the_bytes_are_the_same_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let products = write_sample(dir.path(), &SMALL).unwrap();
    let mut hash = Sha256::new();
    for file in products.iter().flat_map(|p| &p.files) {
        hash.update(file.to_str().unwrap());
        hash.update(std::fs::read(dir.path().join(file)).unwrap());
    }
    let hash: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hash, "abc44f0cb4c2609b72ad82dc82d6f92787dec403fce80118f85b913739c771e6",
        "if this is meant, say so in the changelog"
    );
}

#[test]
fn a_product_is_whole_and_says_that_it_is_synthetic() {
    let dir = tempfile::tempdir().unwrap();
    let products = write_sample(dir.path(), &SMALL).unwrap();
    let names: Vec<&str> = products.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "S2X_MSIL2A_20240405T105031_N0510_R051_T31TXX_SYNTHETIC",
            "S2X_MSIL2A_20240425T105031_N0510_R051_T31TXX_SYNTHETIC"
        ]
    );
    let product = &products[0];
    let sizes = product
        .files
        .iter()
        .map(|f| dir.path().join(f).metadata().unwrap().len());
    assert_eq!(product.bytes, sizes.sum::<u64>());
    let root = dir.path().join(&product.name);
    let xml = std::fs::read_to_string(root.join("MTD_MSIL2A.xml")).unwrap();
    assert!(xml.contains("<!-- SYNTHETIC"));
    // Every image of the metadata is there, on its own grid.
    let images: Vec<&str> = xml
        .split("<IMAGE_FILE>")
        .skip(1)
        .map(|t| t.split('<').next().unwrap())
        .collect();
    assert_eq!(images.len(), 8);
    for image in images {
        let band = read_band(&root.join(format!("{image}.tif"))).unwrap();
        let transform = band.geo.as_ref().unwrap().transform;
        let metres = if image.ends_with("_10m") { 10.0 } else { 20.0 };
        assert_eq!(transform.pixel_width, metres, "{image}");
        assert_eq!(f64::from(band.width) * metres, 1920.0, "{image}");
        assert_eq!(band.nodata, Some(0.0));
    }
}

/// A band of the first product under `dir`, scaled to reflectance.
fn band(dir: &Path, files: &[PathBuf], name: &str) -> BandInput {
    let part = format!("_{name}_");
    let file = files.iter().find(|f| f.to_str().unwrap().contains(&part));
    BandInput {
        name: name.to_owned(),
        path: dir.join(file.unwrap()),
        scale: Some(Scale {
            quantification: 10_000.0,
            add_offset: -1000.0,
        }),
    }
}

fn ndvi(dir: &Path, files: &[PathBuf], window: Option<Window>) -> (BandStats, Vec<f32>) {
    let bands = ["B04", "B08"].map(|b| band(dir, files, b));
    let mut spec = BandMath::index(index_expr("ndvi").unwrap()).unwrap();
    spec.window = window;
    let (tif, png) = (dir.join("ndvi.tif"), dir.join("ndvi.png"));
    let stats = band_math(&spec, &bands, &tif, &png, 2).unwrap();
    match read_band(&tif).unwrap().samples {
        Samples::F32(values) => (stats, values),
        other => panic!("{}", other.type_name()),
    }
}

#[test]
fn vegetation_and_water_look_like_it_and_the_swath_has_an_edge() {
    let dir = tempfile::tempdir().unwrap();
    let spec = SampleSpec {
        products: 1,
        size: 768,
    };
    let products = write_sample(dir.path(), &spec).unwrap();
    let files = &products[0].files;
    let (stats, values) = ndvi(dir.path(), files, None);
    let classes = match read_band(&band(dir.path(), files, "SCL").path)
        .unwrap()
        .samples
    {
        Samples::U8(classes) => classes,
        other => panic!("{}", other.type_name()),
    };
    let mean = |class: u8| {
        let (mut sum, mut count) = (0.0, 0.0f64);
        for (i, _) in classes.iter().enumerate().filter(|(_, c)| **c == class) {
            let value = values[2 * (i / 384) * 768 + 2 * (i % 384)];
            if value.is_finite() {
                sum += f64::from(value);
                count += 1.0;
            }
        }
        assert!(count > 500.0, "only {count} pixels of class {class}");
        sum / count
    };
    assert!(mean(4) > 0.6, "vegetation {}", mean(4));
    assert!((0.1..0.5).contains(&mean(5)), "bare {}", mean(5));
    assert!(mean(6) < 0.0, "water {}", mean(6));
    assert!(mean(9).abs() < 0.15, "cloud {}", mean(9));
    assert!(stats.nodata > 1000 && stats.valid > stats.nodata);
}

#[test]
fn a_window_is_a_part_of_the_whole() {
    let dir = tempfile::tempdir().unwrap();
    let products = write_sample(dir.path(), &SMALL).unwrap();
    let files = &products[0].files;
    let (_, whole) = ndvi(dir.path(), files, None);
    let window = Window::Pixels {
        col: 20,
        row: 33,
        width: 50,
        height: 41,
    };
    let bbox = Window::Bbox {
        min_x: 400_160.0,
        max_x: 400_660.0,
        max_y: 4_899_690.0,
        min_y: 4_899_280.0,
    };
    for window in [window, bbox] {
        let (stats, part) = ndvi(dir.path(), files, Some(window));
        assert_eq!((stats.width, stats.height), (50, 41));
        for (i, value) in part.iter().enumerate() {
            let expected = whole[(33 + i / 50) * 192 + 20 + i % 50];
            assert!(value.to_bits() == expected.to_bits(), "pixel {i}");
        }
    }
}

#[test]
fn figures_do_not_depend_on_the_threads_and_nodata_is_never_a_value() {
    let dir = tempfile::tempdir().unwrap();
    let products = write_sample(dir.path(), &SMALL).unwrap();
    let bands = ["B04", "B08"].map(|b| band(dir.path(), &products[0].files, b));
    let spec = BandMath::new("B08 > 0 ? B08 * 0 + 1 : 1 + 0 * B04".parse().unwrap());
    let (tif, png) = (dir.path().join("a.tif"), dir.path().join("a.png"));
    let one = band_math(&spec, &bands, &tif, &png, 1).unwrap();
    let bytes = std::fs::read(&tif).unwrap();
    let many = band_math(&spec, &bands, &tif, &png, 4).unwrap();
    assert_eq!((one.clone(), bytes), (many, std::fs::read(&tif).unwrap()));
    assert!(one.nodata > 0 && one.min == 1.0 && one.max == 1.0);
}

#[test]
fn errors_name_the_band_and_the_place() {
    let dir = tempfile::tempdir().unwrap();
    let products = write_sample(dir.path(), &SMALL).unwrap();
    let files = &products[0].files;
    let bands = ["B04", "B08"].map(|b| band(dir.path(), files, b));
    let (tif, png) = (dir.path().join("a.tif"), dir.path().join("a.png"));
    let run = |expr: &str, bands: &[BandInput], tif: &Path| {
        let spec = BandMath::new(expr.parse().unwrap());
        band_math(&spec, bands, tif, &png, 1).unwrap_err()
    };
    let message = run("B8 - B04", &bands, &tif).to_string();
    assert!(message.contains("`B8`; did you mean `B08`?"), "{message}");
    let error = run("B08 - B04", &bands, &dir.path().join("no/such/dir.tif"));
    assert!(error.is_output(), "{error}");
    let message = run("1 + 1", &bands, &tif).to_string();
    assert!(message.contains("no band"), "{message}");
    let mut bands = bands;
    bands[0].path = dir.path().join("gone.tif");
    let error = run("B08 - B04", &bands, &tif);
    assert!(error.to_string().contains("gone.tif") && !error.is_output());
    assert!(
        write_sample(
            dir.path(),
            &SampleSpec {
                products: 1,
                size: 65
            }
        )
        .is_err()
    );
}
