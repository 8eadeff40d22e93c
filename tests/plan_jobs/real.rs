//! The planner on real products, where `../shared/data` is present.

use std::path::Path;

use super::fake::{Bucket, Sink, run};
use cotec::plan::{Level, SafeMetadata};
use cotec::task::{Radiometry, Role};

const T29UNU: &str = "S2A_MSIL2A_20221005T115411_N0400_R023_T29UNU_20221005T164454.SAFE";
const T21JUK: &str = "S2B_MSIL2A_20231217T135659_N0510_R067_T21JUK_20231217T175625.SAFE";
const T31TDH: &str = "S2A_MSIL1C_20180101T105441_N0206_R051_T31TDH_20180101T124911.SAFE";

fn bucket() -> Option<Bucket> {
    let products = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/products");
    if products.is_dir() {
        return Some(Bucket::of_directory(&products));
    }
    println!("skipped: {} is absent", products.display());
    None
}

fn file(key: Option<&str>) -> &str {
    key.unwrap().rsplit('/').next().unwrap()
}

#[test]
fn t29unu_takes_b8a_for_b08_at_60_m() {
    let Some(bucket) = bucket() else { return };
    let sink = Sink::new(&bucket);
    let text = format!(
        "[products]\nnames = [\"{T29UNU}\"]\n[[task]]\nindex = \"ndvi\"\n[[task]]\nindex = \"gndvi\"\nradiometry = \"dn\""
    );
    let summary = run(&text, &bucket, &sink).unwrap();
    assert_eq!((summary.products, summary.jobs, summary.broken), (1, 2, 0));
    let job = sink.job(&format!("ndvi/{T29UNU}"));
    assert_eq!(
        file(job.band_key("B08")),
        "T29UNU_20221005T115411_B8A_60m.jp2"
    );
    assert_eq!(
        file(job.band_key("B04")),
        "T29UNU_20221005T115411_B04_60m.jp2"
    );
    let b08 = &job.bands["B08"];
    assert_eq!(b08.stands_in.as_deref(), Some("B8A"));
    assert_eq!(
        (b08.quantification, b08.add_offset),
        (Some(10000.0), Some(-1000.0))
    );
    assert_eq!(b08.resolution, Some(60.0));
    assert_eq!(
        job.notes,
        ["B8A stands in for B08 at 60 m: Sentinel-2 has no 60 m B08"]
    );
    assert_eq!(job.radiometry, Radiometry::Reflectance);
    let metadata: Vec<_> = job
        .inputs
        .iter()
        .filter(|i| i.role == Role::Metadata)
        .collect();
    assert_eq!(metadata.len(), 1);
    let dn = sink.job(&format!("gndvi/{T29UNU}"));
    assert_eq!(dn.radiometry, Radiometry::Dn);
    assert!(dn.bands.values().all(|band| band.quantification.is_none()));
}

#[test]
fn t21juk_mixes_resolutions() {
    let Some(bucket) = bucket() else { return };
    let sink = Sink::new(&bucket);
    let text = format!(
        "[products]\nnames = [\"{T21JUK}/\"]\n[[task]]\nindex = \"ndi45\"\n[[task]]\nindex = \"ndvi\"\n[[task]]\nname = \"x\"\nrun = [\"true\", \"{{B11}}\"]"
    );
    run(&text, &bucket, &sink).unwrap();
    let job = sink.job(&format!("ndi45/{T21JUK}"));
    assert_eq!(
        file(job.band_key("B05")),
        "T21JUK_20231217T135659_B05_20m.jp2"
    );
    assert_eq!(
        file(job.band_key("B04")),
        "T21JUK_20231217T135659_B04_10m.jp2"
    );
    assert!(job.notes.is_empty());
    let job = sink.job(&format!("ndvi/{T21JUK}"));
    assert_eq!(
        file(job.band_key("B08")),
        "T21JUK_20231217T135659_B08_10m.jp2"
    );
    let job = sink.job(&format!("x/{T21JUK}"));
    let keys: Vec<&str> = job
        .inputs
        .iter()
        .map(|i| i.key.rsplit('/').next().unwrap())
        .collect();
    assert_eq!(
        keys,
        [
            "T21JUK_20231217T135659_B11_20m.jp2",
            "MTD_MSIL2A.xml",
            "MTD_TL.xml"
        ]
    );
}

#[test]
fn cogs_have_a_stac_item_or_are_computed_on_digital_numbers() {
    let Some(bucket) = bucket() else { return };
    let sink = Sink::new(&bucket);
    let text = "[products]\nnames = [\"S2A_29RKH_20200219_0_L2A\", \"S2_L2A_T21JUK_20231217_cog\", \"S2_L2A_T21JUK_20240101_cog\"]\n[[task]]\nindex = \"ndvi\"";
    run(text, &bucket, &sink).unwrap();
    let stac = sink.job("ndvi/S2A_29RKH_20200219_0_L2A");
    assert_eq!(stac.bands["B04"].quantification, Some(10000.0));
    assert_eq!(stac.bands["B04"].add_offset, Some(0.0));
    assert_eq!(stac.radiometry, Radiometry::Reflectance);
    assert!(
        stac.inputs
            .iter()
            .any(|i| i.role == Role::Metadata && i.key.ends_with(".json"))
    );
    for name in ["S2_L2A_T21JUK_20231217_cog", "S2_L2A_T21JUK_20240101_cog"] {
        let job = sink.job(&format!("ndvi/{name}"));
        assert_eq!(job.radiometry, Radiometry::Dn);
        assert_eq!(
            job.notes,
            [
                "no reflectance metadata: computed on digital numbers (give scale and offset in the job file)"
            ]
        );
        assert_eq!(
            job.band_key("B08"),
            Some(format!("{name}/B08.tif").as_str())
        );
    }
}

#[test]
fn landsat_bands_are_found_by_their_own_names() {
    let Some(bucket) = bucket() else { return };
    let sink = Sink::new(&bucket);
    let text = "[products]\nmatch = \"LC08*\"\n[[task]]\nname = \"ndvi\"\nexpr = \"(B5 - B4) / (B5 + B4)\"\nscale = 2.75e-5\noffset = -0.2";
    run(text, &bucket, &sink).unwrap();
    let job = sink.job("ndvi/LC08_sattestdata_cloudy");
    assert_eq!(file(job.band_key("B5")), "l8_B5.tif");
    assert_eq!(job.bands["B4"].quantification, Some(1.0 / 2.75e-5));
    assert_eq!(job.radiometry, Radiometry::Reflectance);
}

#[test]
fn a_product_that_lacks_a_band_fails_its_own_job() {
    let Some(bucket) = bucket() else { return };
    let sink = Sink::new(&bucket);
    let text = "[products]\nprefix = \"\"\nmatch = \"*.SAFE\"\n[[task]]\nindex = \"ndvi\"";
    let summary = run(text, &bucket, &sink).unwrap();
    assert_eq!((summary.products, summary.jobs, summary.broken), (3, 2, 1));
    let broken = sink.broken.borrow();
    assert_eq!(broken[0].0, format!("ndvi/{T31TDH}"));
    assert_eq!(
        broken[0].1,
        "band B08 is in the product's metadata, but its file is not in the store"
    );
}

#[test]
fn real_metadata_is_read() {
    let Some(bucket) = bucket() else { return };
    let parse = |key: String| SafeMetadata::parse(&bucket.objects[&key]).unwrap();
    let l2a = parse(format!("{T29UNU}/MTD_MSIL2A.xml"));
    assert_eq!(
        (l2a.level, l2a.baseline.as_deref()),
        (Level::L2A, Some("04.00"))
    );
    assert_eq!(
        (l2a.images.len(), l2a.product_uri.as_deref()),
        (36, Some(T29UNU))
    );
    assert_eq!(
        (l2a.quantification, l2a.add_offsets.len()),
        (Some(10000.0), 13)
    );
    let l1c = parse(format!("{T31TDH}/MTD_MSIL1C.xml"));
    assert_eq!(
        (l1c.level, l1c.baseline.as_deref()),
        (Level::L1C, Some("02.06"))
    );
    let scale = l1c.scale("B01").unwrap();
    assert_eq!((scale.quantification, scale.add_offset), (10000.0, 0.0));
    let image = &l1c.images[0];
    assert_eq!(l1c.band_of(image), Some(("B01", 60.0)));

    let feeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/feeds/safe-metadata");
    for entry in std::fs::read_dir(feeds).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let read = SafeMetadata::parse(&std::fs::read(&path).unwrap());
        if name.ends_with("MTD_MSIL1C.xml") {
            let scale = read.unwrap().scale("B8A").unwrap();
            assert_eq!((scale.quantification, scale.add_offset), (10000.0, -1000.0));
        } else {
            assert!(read.is_err(), "{name}");
        }
    }
}

#[test]
fn metadata_cut_or_changed_anywhere_gives_no_panic() {
    let Some(bucket) = bucket() else { return };
    let whole = &bucket.objects[&format!("{T29UNU}/MTD_MSIL2A.xml")];
    let part = &whole[..12_000];
    for end in (0..part.len()).step_by(7) {
        let _ = SafeMetadata::parse(&part[..end]);
    }
    let mut changed = whole.clone();
    for at in (0..part.len()).step_by(11) {
        for byte in [b'<', b'&', 0xff, b'"'] {
            let old = std::mem::replace(&mut changed[at], byte);
            let _ = SafeMetadata::parse(&changed[..part.len()]);
            changed[at] = old;
        }
    }
}
