//! Indices of real products, through the real command, are those that GDAL and numpy compute.
//!
//! Needs the reference data beside the checkout; says that it was skipped where it is absent.

use std::path::{Path, PathBuf};

use crate::common::data::{near, reference};
use crate::common::run::{Outcome, Sandbox};
use cotec::raster::{Raster, Samples, read_band};
use serde_json::Value;

const T29UNU: &str = "S2A_MSIL2A_20221005T115411_N0400_R023_T29UNU_20221005T164454.SAFE";
const T21JUK: &str = "S2B_MSIL2A_20231217T135659_N0510_R067_T21JUK_20231217T175625.SAFE";
const COG_1: &str = "S2_L2A_T21JUK_20231217_cog";
const COG_2: &str = "S2_L2A_T21JUK_20240101_cog";
const T29RKH: &str = "S2A_29RKH_20200219_0_L2A";
const LANDSAT: &str = "LC08_sattestdata_cloudy";

/// The products as a bucket, and what is to come out.
struct Reference {
    sandbox: Sandbox,
    expected: Value,
}

impl Reference {
    fn open() -> Option<Reference> {
        let (root, expected) = reference()?;
        let sandbox = Sandbox::new();
        sandbox.bucket("eodata", &root.join("products"));
        Some(Reference { sandbox, expected })
    }

    fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Outcome {
        self.sandbox.coord().serve().args(args).expect(0)
    }

    fn result(&self, product: &str, task: &str) -> PathBuf {
        self.sandbox.path("out").join(product).join(task)
    }

    /// Holds a task's result to an entry of EXPECTED.json: what the summary says of it, and what
    /// stands in the file. `grid` is the band whose grid it has.
    fn hold(&self, run: &Outcome, product: &str, task: &str, entry: &str, unit: &str, grid: &str) {
        let what = format!("{task} of {product} against {entry} in {unit}");
        let expected = &self.expected["products"][product];
        let index = &expected["indices"][entry];
        let wanted = Figures {
            valid: index[unit]["count_valid"].as_u64().unwrap(),
            min: index[unit]["min"].as_f64().unwrap(),
            max: index[unit]["max"].as_f64().unwrap(),
            mean: index[unit]["mean"].as_f64().unwrap(),
        };
        let stats = &run.job(&format!("{task}/{product}"))["stats"];
        let said = Figures {
            valid: stats["valid"].as_u64().unwrap(),
            min: stats["min"].as_f64().unwrap(),
            max: stats["max"].as_f64().unwrap(),
            mean: stats["mean"].as_f64().unwrap(),
        };
        said.hold(&wanted, &format!("summary: {what}"));
        let band = &expected["bands"][grid];
        assert_eq!(stats["crs"], band["crs"], "{what}");
        let image = Image::read(&self.result(product, &format!("{task}.tif")));
        image.figures().hold(&wanted, &format!("file: {what}"));
        assert_eq!(
            serde_json::json!([image.raster.height, image.raster.width]),
            index["shape"],
            "{what}"
        );
        let geo = image.raster.geo.as_ref().unwrap();
        let crs = geo.crs.as_ref().map(ToString::to_string);
        assert_eq!(crs.as_deref(), band["crs"].as_str(), "{what}");
        let t = geo.transform.to_gdal();
        let transform = serde_json::json!([t[1], t[2], t[0], t[4], t[5], t[3]]);
        assert_eq!(transform, band["transform"], "{what}");
        assert_eq!(stats["pixel_size"].as_f64(), Some(t[1]), "{what}");
        let pixels = index["sample_pixels"].as_array().unwrap();
        assert!(pixels.len() >= 5, "{what}");
        for pixel in pixels {
            let wanted = pixel[format!("value_{unit}")].as_f64().unwrap();
            let found = image.at(pixel).unwrap();
            assert!(near(found, wanted), "{what}: {found} at {pixel}");
        }
        if index["sample_excluded_pixel"].is_object() {
            assert_eq!(image.at(&index["sample_excluded_pixel"]), None, "{what}");
        }
        let picture = self.result(product, &format!("{task}.png"));
        let bytes = std::fs::read(&picture).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"), "{what}");
    }
}

#[derive(Debug)]
struct Figures {
    valid: u64,
    min: f64,
    max: f64,
    mean: f64,
}

impl Figures {
    fn hold(&self, wanted: &Figures, what: &str) {
        assert_eq!(self.valid, wanted.valid, "{what}");
        let pairs = [
            (self.min, wanted.min),
            (self.max, wanted.max),
            (self.mean, wanted.mean),
        ];
        for (found, wanted) in pairs {
            assert!(near(found, wanted), "{what}: {self:?}, not {wanted:?}");
        }
    }
}

/// A result, read back.
struct Image {
    raster: Raster,
    values: Vec<f32>,
}

impl Image {
    fn read(path: &Path) -> Image {
        let mut raster = read_band(path).unwrap();
        let Samples::F32(values) = std::mem::replace(&mut raster.samples, Samples::U8(Vec::new()))
        else {
            panic!("{} is not float32", path.display());
        };
        assert!(raster.nodata.is_some(), "{}: no nodata", path.display());
        Image { raster, values }
    }

    fn value(&self, sample: f32) -> Option<f64> {
        let sample = f64::from(sample);
        (sample.is_finite() && Some(sample) != self.raster.nodata).then_some(sample)
    }

    fn at(&self, pixel: &Value) -> Option<f64> {
        let number = |name: &str| pixel[name].as_u64().unwrap() as usize;
        let at = number("row") * self.raster.width as usize + number("col");
        self.value(self.values[at])
    }

    fn figures(&self) -> Figures {
        let mut figures = Figures {
            valid: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: 0.0,
        };
        for value in self.values.iter().filter_map(|v| self.value(*v)) {
            figures.valid += 1;
            figures.min = figures.min.min(value);
            figures.max = figures.max.max(value);
            figures.mean += value;
        }
        figures.mean /= figures.valid as f64;
        figures
    }
}

fn notes(run: &Outcome, job: &str) -> String {
    let notes = run.job(job)["notes"].as_array();
    let notes = notes.map_or(&[][..], Vec::as_slice);
    notes
        .iter()
        .map(|note| note.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

const NO_METADATA: &str = "no reflectance metadata";

#[test]
fn t29unu_at_60_m_in_both_radiometries() {
    let Some(reference) = Reference::open() else {
        return;
    };
    for unit in ["reflectance", "dn"] {
        let run = reference.run([
            "--product",
            T29UNU,
            "--index",
            "ndvi,gndvi,ndi45",
            "--radiometry",
            unit,
        ]);
        for (task, entry) in [("ndvi", "NDVI"), ("gndvi", "GNDVI"), ("ndi45", "NDI45")] {
            reference.hold(&run, T29UNU, task, entry, unit, "B04");
            let notes = notes(&run, &format!("{task}/{T29UNU}"));
            let stands_in = notes.contains("B8A") && notes.contains("B08");
            assert_eq!(stands_in, task != "ndi45", "{task}: {notes}");
            assert!(run.stdout.contains("B8A"), "{run}");
        }
    }
}

#[test]
fn t21juk_as_safe_in_both_radiometries() {
    let Some(reference) = Reference::open() else {
        return;
    };
    // Reflectance is what nobody has to ask for.
    for (unit, flags) in [
        ("reflectance", &[][..]),
        ("dn", &["--radiometry", "dn"][..]),
    ] {
        let args = ["--product", T21JUK, "--index", "ndvi,ndi45,gndvi"];
        let run = reference.run(args.iter().chain(flags).copied());
        for (task, entry) in [
            ("ndvi", "NDVI"),
            ("gndvi", "GNDVI"),
            ("ndi45", "NDI45_on_10m_grid_B05_nearest"),
        ] {
            reference.hold(&run, T21JUK, task, entry, unit, "B04");
            assert_eq!(notes(&run, &format!("{task}/{T21JUK}")), "");
        }
    }
}

#[test]
fn cogs_without_metadata_are_computed_on_digital_numbers_and_say_so() {
    let Some(reference) = Reference::open() else {
        return;
    };
    let products = [COG_1, COG_2].join(",");
    for (flags, said) in [(&["--radiometry", "dn"][..], false), (&[][..], true)] {
        let args = ["--product", &products, "--index", "ndvi,ndi45,gndvi"];
        let run = reference.run(args.iter().chain(flags).copied());
        for product in [COG_1, COG_2] {
            for (task, entry) in [
                ("ndvi", "NDVI"),
                ("gndvi", "GNDVI"),
                ("ndi45", "NDI45_on_10m_grid_B05_nearest"),
            ] {
                reference.hold(&run, product, task, entry, "dn", "B04");
                let notes = notes(&run, &format!("{task}/{product}"));
                assert_eq!(notes.contains(NO_METADATA), said, "{notes}");
            }
        }
        assert_eq!(run.stdout.contains(NO_METADATA), said, "{run}");
    }
}

/// The STAC item beside the bands has their scale; it has no offset, so the indices stay the same.
#[test]
fn t29rkh_takes_its_scale_from_its_stac_item() {
    let Some(reference) = Reference::open() else {
        return;
    };
    for unit in ["reflectance", "dn"] {
        let run = reference.run([
            "--product",
            T29RKH,
            "--index",
            "ndvi,ndi45,gndvi",
            "--radiometry",
            unit,
        ]);
        for (task, entry) in [
            ("ndvi", "NDVI"),
            ("gndvi", "GNDVI"),
            ("ndi45", "NDI45_on_B04_grid_B05_nearest"),
        ] {
            reference.hold(&run, T29RKH, task, entry, "dn", "B04");
            assert_eq!(notes(&run, &format!("{task}/{T29RKH}")), "");
        }
    }
    // A single band shows whether the scale was there: B04 of this product is about 0.3.
    let job = |unit: &str| {
        reference.sandbox.job_file(&format!(
            "[products]\nnames = [\"{T29RKH}\"]\n[[task]]\nname = \"red\"\nexpr = \"B04\"\nradiometry = \"{unit}\"\n"
        ));
        let run = reference.run([]);
        run.job(&format!("red/{T29RKH}"))["stats"]["mean"]
            .as_f64()
            .unwrap()
    };
    assert!(near(job("reflectance"), job("dn") / 10_000.0));
}

#[test]
fn ndi45_on_the_20_m_grid_with_b04_averaged() {
    let Some(reference) = Reference::open() else {
        return;
    };
    let coarse = "NDI45_on_20m_grid_B04_mean";
    for unit in ["reflectance", "dn"] {
        reference.sandbox.job_file(&format!(
            r#"
            [[task]]
            name = "a"
            index = "ndi45"
            resolution = 20
            resample = "average"
            radiometry = "{unit}"
            products = {{ names = ["{T21JUK}", "{COG_1}", "{COG_2}"] }}
            # What the COGs do not say themselves.
            quantification = 10000
            add_offset = -1000
            [[task]]
            name = "b"
            index = "ndi45"
            resolution = 200
            resample = "average"
            radiometry = "{unit}"
            products = {{ names = ["{T29RKH}"] }}
            "#
        ));
        let run = reference.run([]);
        for product in [T21JUK, COG_1, COG_2] {
            reference.hold(&run, product, "a", coarse, unit, "B05");
        }
        let entry = "NDI45_on_B05_grid_B04_mean";
        reference.hold(&run, T29RKH, "b", entry, "dn", "B05");
    }
}

#[test]
fn a_layout_can_be_forced() {
    let Some(reference) = Reference::open() else {
        return;
    };
    let job = |layout: &str, products: &[&str]| {
        reference.sandbox.job_file(&format!(
            "[products]\nnames = {products:?}\n[[task]]\nindex = \"ndvi\"\nlayout = \"{layout}\"\n"
        ));
        reference.sandbox.coord().serve()
    };
    let run = job("sentinel2-safe", &[T21JUK]).expect(0);
    reference.hold(&run, T21JUK, "ndvi", "NDVI", "reflectance", "B04");
    // By the names of its files alone a SAFE has no metadata.
    let run = job("per-band", &[T21JUK, COG_1]).expect(0);
    for product in [T21JUK, COG_1] {
        reference.hold(&run, product, "ndvi", "NDVI", "dn", "B04");
        let notes = notes(&run, &format!("ndvi/{product}"));
        assert!(notes.contains(NO_METADATA), "{notes}");
    }
    let refused = job("sentinel2-safe", &[COG_1]).expect(2);
    assert!(refused.stderr.contains("is no SAFE"), "{refused}");
    assert!(refused.stderr.contains("cotec.toml"), "{refused}");
}

#[test]
fn landsat_by_a_formula_over_its_own_bands() {
    let Some(reference) = Reference::open() else {
        return;
    };
    reference.sandbox.job_file(&format!(
        r#"
        [products]
        names = ["{LANDSAT}"]
        [[task]]
        name = "greenness"
        expr = "(B5 + B4) != 0 ? (B5 - B4) / (B5 + B4) : -2"
        radiometry = "dn"
        [[task]]
        name = "green"
        expr = "(B5 - B3) / (B5 + B3)"
        radiometry = "dn"
        "#
    ));
    let run = reference.run([]);
    reference.hold(&run, LANDSAT, "greenness", "NDVI", "dn", "B4");
    reference.hold(&run, LANDSAT, "green", "GNDVI", "dn", "B4");
}
