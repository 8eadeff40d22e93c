//! The planner on made-up buckets: layouts, resolutions, names, errors, and its memory.

use super::fake::{Bucket, Sink, mtd, read, run, run_plan, safe};
use cotec::plan::{DryJob, DryRun, PlanErrorKind, PlanOptions, PlanSummary, plan};
use cotec::task::{Flags, Radiometry, Role};

fn none() -> Bucket {
    Bucket::new([] as [&str; 0])
}

fn one_task(fields: &str) -> String {
    format!("[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\n{fields}\n")
}

fn band_files(images: &[(&str, u32)], fields: &str) -> (Vec<(String, Option<f64>)>, Vec<String>) {
    let bucket = safe(none(), "P.SAFE", images);
    let sink = Sink::new(&bucket);
    run(&one_task(fields), &bucket, &sink).unwrap();
    let job = sink.job("t/P.SAFE");
    let file = |band: &str| {
        job.band_key(band)
            .unwrap()
            .rsplit('/')
            .next()
            .unwrap()
            .to_owned()
    };
    let bands = job
        .bands
        .iter()
        .map(|(band, it)| (file(band), it.resolution))
        .collect();
    (bands, job.notes.clone())
}

#[test]
fn resolution_exact_then_coarsest_finer_then_finest_coarser() {
    let many = [
        ("B04", 10),
        ("B04", 20),
        ("B04", 60),
        ("B05", 20),
        ("B05", 60),
    ];
    let pick = |resolution: &str| {
        let (bands, notes) = band_files(&many, &format!("expr = \"B04 + B05\"\n{resolution}"));
        assert!(notes.is_empty());
        bands.into_iter().map(|(file, _)| file).collect::<Vec<_>>()
    };
    assert_eq!(pick(""), ["T_B04_10m.jp2", "T_B05_20m.jp2"]);
    assert_eq!(pick("resolution = 20"), ["T_B04_20m.jp2", "T_B05_20m.jp2"]);
    assert_eq!(pick("resolution = 60"), ["T_B04_60m.jp2", "T_B05_60m.jp2"]);
    assert_eq!(pick("resolution = 40"), ["T_B04_20m.jp2", "T_B05_20m.jp2"]);
    assert_eq!(pick("resolution = 100"), ["T_B04_60m.jp2", "T_B05_60m.jp2"]);
    assert_eq!(pick("resolution = 5"), ["T_B04_10m.jp2", "T_B05_20m.jp2"]);
}

#[test]
fn b8a_stands_in_for_b08_only_where_it_must() {
    let note_60 = "B8A stands in for B08 at 60 m: Sentinel-2 has no 60 m B08";
    let full = [("B08", 10), ("B8A", 20), ("B8A", 60)];
    let (bands, notes) = band_files(&full, "expr = \"B08 * 1\"");
    assert_eq!((bands[0].0.as_str(), notes.len()), ("T_B08_10m.jp2", 0));
    let (bands, notes) = band_files(&full, "expr = \"B08 * 1\"\nresolution = 60");
    assert_eq!(
        (bands[0].0.as_str(), notes[0].as_str()),
        ("T_B8A_60m.jp2", note_60)
    );
    let (bands, notes) = band_files(&full, "expr = \"B08 * 1\"\nresolution = 20");
    assert_eq!((bands[0].0.as_str(), notes.len()), ("T_B08_10m.jp2", 0));
    let (bands, notes) = band_files(&full[..2], "expr = \"B08 * 1\"\nresolution = 60");
    assert_eq!((bands[0].0.as_str(), notes.len()), ("T_B08_10m.jp2", 0));
    let (bands, notes) = band_files(&full[1..2], "expr = \"B08 * 1\"");
    assert_eq!(bands[0].0, "T_B8A_20m.jp2");
    assert_eq!(
        notes,
        ["B8A stands in for B08 at 20 m: the store holds no B08 of this product"]
    );
    let (bands, _) = band_files(&full[1..], "expr = \"B08 + B8A\"");
    assert_eq!(bands.len(), 2);
}

#[test]
fn level_1c_has_one_resolution_per_band_and_cogs_may_be_inside_a_safe() {
    let xml = mtd(&[], Some(-1000))
        .replace("Level-2A", "Level-1C")
        .replace("BOA_", "")
        .replace("ADD_OFFSET", "RADIO_ADD_OFFSET")
        .replace(
            "<QUANT",
            "<IMAGE_FILE>IMG/T_B04</IMAGE_FILE><IMAGE_FILE>IMG/T_B05</IMAGE_FILE><QUANT",
        );
    let bucket = none()
        .with("P/MTD_MSIL1C.xml", xml)
        .with("P/IMG/T_B04.tif", "1")
        .with("P/IMG/T_B05.JP2", "1");
    let sink = Sink::new(&bucket);
    run(&one_task("expr = \"B04 + B05\""), &bucket, &sink).unwrap();
    let job = sink.job("t/P");
    assert_eq!(
        (job.bands["B04"].resolution, job.bands["B05"].resolution),
        (Some(10.0), Some(20.0))
    );
    assert_eq!(job.bands["B05"].add_offset, Some(-1000.0));
    assert_eq!(job.band_key("B05"), Some("P/IMG/T_B05.JP2"));
}

#[test]
fn masks_have_no_reflectance() {
    let bucket = safe(none(), "P", &[("B04", 20), ("SCL", 20)]);
    let sink = Sink::new(&bucket);
    run(&one_task("expr = \"SCL == 4 ? B04 : 0\""), &bucket, &sink).unwrap();
    let job = sink.job("t/P");
    assert_eq!(
        (
            job.bands["SCL"].quantification,
            job.bands["B04"].quantification
        ),
        (None, Some(10000.0))
    );
}

#[test]
fn commands_get_all_metadata_and_formulas_one_file() {
    let mut bucket = safe(none(), "P", &[("B04", 10)]);
    for key in [
        "manifest.safe",
        "INSPIRE.xml",
        "GRANULE/G/MTD_TL.xml",
        "DATASTRIP/D/MTD_DS.xml",
        "GRANULE/G/QI_DATA/MTD_X.xml",
        "a/manifest.safe",
    ] {
        bucket = bucket.with(&format!("P/{key}"), "x");
    }
    let sink = Sink::new(&bucket);
    let text = one_task(
        "run = [\"a\", \"{B04}\"]\nobjects = [\"GRANULE/**/QI_DATA/*.xml\", \"INSPIRE.xml\"]",
    ) + "[[task]]\nindex = \"ndvi\"\nname = \"n\"\nexpr = \"B04 * 2\"\n"
        .replace("index = \"ndvi\"\n", "")
        .as_str();
    run(&text, &bucket, &sink).unwrap();
    let keys = |job: &str, role: Role| {
        let job = sink.job(job);
        let inputs = job.inputs.into_iter().filter(move |i| i.role == role);
        inputs.map(|i| i.key[2..].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        keys("t/P", Role::Metadata),
        [
            "MTD_MSIL2A.xml",
            "DATASTRIP/D/MTD_DS.xml",
            "GRANULE/G/MTD_TL.xml",
            "INSPIRE.xml",
            "manifest.safe"
        ]
    );
    assert_eq!(keys("t/P", Role::Object), ["GRANULE/G/QI_DATA/MTD_X.xml"]);
    assert_eq!(keys("n/P", Role::Metadata), ["MTD_MSIL2A.xml"]);
    // The metadata was read once for both.
    assert_eq!(bucket.gets.get(), 1);
}

#[test]
fn per_band_files_are_told_apart_or_refused() {
    let pick = |keys: &[&str], fields: &str| {
        let bucket = Bucket::new(keys.iter().map(|key| format!("P/{key}")));
        let sink = Sink::new(&bucket);
        run(&one_task(fields), &bucket, &sink).unwrap();
        match sink.broken.borrow().first() {
            Some((_, reason)) => Err(reason.clone()),
            None => Ok(sink.job("t/P").band_key("B04").unwrap()[2..].to_owned()),
        }
    };
    let expr = "expr = \"B04 * 1\"";
    assert_eq!(
        pick(&["R10m/B04.jp2", "R20m/B04.jp2"], expr).unwrap(),
        "R10m/B04.jp2"
    );
    assert_eq!(
        pick(
            &["R10m/B04.jp2", "R20m/B04.jp2"],
            "expr = \"B04 * 1\"\nresolution = 20"
        )
        .unwrap(),
        "R20m/B04.jp2"
    );
    assert_eq!(
        pick(
            &["x_B04_10m.tif", "x_B04_60m.tif"],
            "expr = \"B04 * 1\"\nresolution = 30"
        )
        .unwrap(),
        "x_B04_10m.tif"
    );
    assert_eq!(
        pick(&["B04.jp2", "preview/B04.jp2"], expr).unwrap(),
        "B04.jp2"
    );
    assert_eq!(
        pick(&["B04.TIF", "B04.txt", "B04.tif.aux.xml"], expr).unwrap(),
        "B04.TIF"
    );
    assert_eq!(
        pick(&["a_B04.tif", "b_B04.tif"], expr).unwrap_err(),
        "band B04 could be \"a_B04.tif\" or \"b_B04.tif\"; keep one of them in the product's directory, or name the files in `objects` and use a command"
    );
}

#[test]
fn scale_comes_from_the_item_then_the_job_file_then_not_at_all() {
    let stac = r#"{"stac_version":"1.0.0","properties":{},"assets":{"a":{"href":"s3://x/B04.tif","raster:bands":[{"scale":0.0001,"offset":-0.1}]}}}"#;
    let with = Bucket::new(["P/B04.tif"])
        .with("P/item.json", stac)
        .with("P/a.json", "{}");
    let without = Bucket::new(["P/B04.tif"]).with("P/item.json", "no json");
    let job = |bucket: &Bucket, fields: &str| {
        let sink = Sink::new(bucket);
        run(&one_task(fields), bucket, &sink).unwrap();
        let job = sink.job("t/P");
        let band = job.bands["B04"].clone();
        (
            job.radiometry,
            band.quantification,
            band.add_offset,
            job.inputs.len(),
            job.notes.len(),
        )
    };
    let scaled = "expr = \"B04 * 1\"\nquantification = 500\nadd_offset = 7";
    let reflectance = Radiometry::Reflectance;
    assert_eq!(
        job(&with, scaled),
        (reflectance, Some(1e4), Some(-1e3), 2, 0)
    );
    assert_eq!(
        job(&without, scaled),
        (reflectance, Some(500.0), Some(7.0), 1, 0)
    );
    assert_eq!(
        job(&without, "expr = \"B04 * 1\""),
        (Radiometry::Dn, None, None, 1, 1)
    );
    assert_eq!(
        job(&with, "expr = \"B04 * 1\"\nradiometry = \"dn\""),
        (Radiometry::Dn, None, None, 1, 0)
    );
    // A command reads its files itself: no metadata is asked for.
    let gets = without.gets.get();
    assert_eq!(job(&without, "run = [\"a\", \"{B04}\"]").3, 1);
    assert_eq!(without.gets.get(), gets);
}

#[test]
fn what_is_missing_is_said_before_anything_is_registered() {
    let bucket = Bucket::new([
        "a/S2A_X.SAFE/B04.tif",
        "a/S2A_X.SAFE/B08.tif",
        "a/S2B_Y.SAFE/B04.tif",
    ]);
    for (products, task, message) in [
        (
            "names = [\"a/S2A_X.SAFE\", \"a/S2A_Z.SAFE\"]",
            "index = \"ndvi\"",
            "job.toml:2:26: the store has no product \"a/S2A_Z.SAFE\"\n   |\n 2 | names = [\"a/S2A_X.SAFE\", \"a/S2A_Z.SAFE\"]\n   |                          ^^^^^^^^^^^^^^\n   = nearest valid name: \"a/S2A_X.SAFE\"",
        ),
        (
            "names = [\"b/S2A_X.SAFE\"]",
            "index = \"ndvi\"",
            "job.toml:2:10: the store has no product \"b/S2A_X.SAFE\"\n   |\n 2 | names = [\"b/S2A_X.SAFE\"]\n   |          ^^^^^^^^^^^^^^\n   = nearest valid name: \"a\"",
        ),
        (
            "prefix = \"a\"\nmatch = \"S2C*\"",
            "index = \"ndvi\"",
            "job.toml:3:9: no product below \"a/\" matches \"S2C*\"\n   |\n 3 | match = \"S2C*\"\n   |         ^^^^^^\n   = products are the directories directly below the prefix; `cotec ls` shows them",
        ),
        (
            "prefix = \"a\"",
            "name = \"t\"\nexpr = \"B08 - B4\"",
            "job.toml:5:15: the product \"a/S2A_X.SAFE\" has no band \"B4\"\n   |\n 5 | expr = \"B08 - B4\"\n   |               ^^\n   = nearest valid name: \"B04\"",
        ),
        (
            "prefix = \"a\"",
            "index = \"gndvi\"",
            "job.toml:4:9: the product \"a/S2A_X.SAFE\" has no band \"B03\"\n   |\n 4 | index = \"gndvi\"\n   |         ^^^^^^^\n   = nearest valid name: \"B04\"",
        ),
        (
            "prefix = \"a\"",
            "index = \"ndvi\"\nlayout = \"sentinel2-safe\"",
            "job.toml:5:10: the product \"a/S2A_X.SAFE\" is no SAFE: it has no MTD_MSI*.xml\n   |\n 5 | layout = \"sentinel2-safe\"\n   |          ^^^^^^^^^^^^^^^^\n   = leave `layout` out, or use \"per-band\"",
        ),
    ] {
        let sink = Sink::new(&bucket);
        let error = run(
            &format!("[products]\n{products}\n[[task]]\n{task}\n"),
            &bucket,
            &sink,
        )
        .unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!(error.kind(), PlanErrorKind::JobFile);
        assert!(sink.keys.borrow().is_empty() && sink.broken.borrow().is_empty());
        assert_eq!(bucket.gets.get(), 0);
    }
    // Found out only with the first product: Sentinel-2's names hold.
    let bucket = safe(none(), "P", &[("B04", 10)]);
    let error = run(
        &one_task("expr = \"B8 - B04\""),
        &bucket,
        &Sink::new(&bucket),
    )
    .unwrap_err();
    assert!(error.to_string().contains("Sentinel-2 has no band \"B8\""));
    assert_eq!(bucket.gets.get(), 0);
}

#[test]
fn one_bad_product_fails_its_jobs_and_the_others_go_on() {
    let images = [("B04", 10), ("B08", 10)];
    let mut bucket = safe(safe(none(), "P1", &images), "P3", &images);
    bucket = bucket
        .with("P2/MTD_MSIL2A.xml", "<a>")
        .with("P4/B04.tif", "1")
        .with("P5/readme", "1");
    let sink = Sink::new(&bucket);
    let summary = run(&one_task("expr = \"B08 - B04\""), &bucket, &sink).unwrap();
    assert_eq!(
        summary,
        PlanSummary {
            products: 5,
            jobs: 2,
            broken: 3
        }
    );
    assert_eq!(sink.names(), ["t/P1", "t/P3"]);
    assert_eq!(
        *sink.broken.borrow(),
        [
            ("t/P2", "its MTD_MSIL2A.xml cannot be used: its root is \"a\", not a Sentinel-2 user product"),
            ("t/P4", "no file of the product has band B08 in its name"),
            ("t/P5", "no file of the product has band B08 in its name"),
        ]
        .map(|(name, reason)| (name.to_owned(), reason.to_owned()))
    );
}

#[test]
fn odd_names_are_kept_in_keys_and_made_fit_for_results() {
    let mut bucket = none();
    for product in ["a b", "ü+%20", "/lead", "x/../..", "deep/a b", "-rf"] {
        bucket = bucket.with(&format!("{product}/B04.tif"), "1");
    }
    let sink = Sink::new(&bucket);
    let text = "[products]\nnames = [\"a b\", \"ü+%20/\", \"/lead\", \"x/../..\", \"deep/a b\", \"-rf\", \"a b/\"]\n[[task]]\nname = \"t\"\nexpr = \"B04 * 1\"";
    run(text, &bucket, &sink).unwrap();
    assert_eq!(
        sink.names(),
        [
            "t/a b",
            "t/ü+%20",
            "t/lead",
            "t/_..",
            "t/deep_a b",
            "t/_-rf"
        ]
    );
    assert_eq!(sink.job("t/_..").inputs[0].key, "x/../../B04.tif");
    assert_eq!(sink.job("t/lead").prefix, "/lead/");
}

#[test]
fn tasks_of_several_product_sets_keep_one_name_per_product() {
    let bucket = Bucket::new(["a/P/B04.tif", "b/P/B04.tif"]);
    let sink = Sink::new(&bucket);
    let text = "[products]\nprefix = \"b\"\n[[task]]\nname = \"t\"\nexpr = \"B04 * 1\"\n[[task]]\nname = \"u\"\nexpr = \"B04 * 2\"\nproducts = { names = [\"a/P\", \"b/P\"] }";
    run(text, &bucket, &sink).unwrap();
    assert_eq!(sink.names(), ["t/P", "u/a_P", "u/P"]);
    assert_eq!(*sink.keys.borrow(), ["b/P/B04.tif", "a/P/B04.tif"]);
}

#[test]
fn objects_are_matched_below_the_product() {
    let bucket = Bucket::new(["P/a.xml", "P/b/c.xml", "P/b/c.txt", "Q/a.txt"]);
    let sink = Sink::new(&bucket);
    run(
        &one_task("run = [\"a\", \"{inputs}\"]\nobjects = [\"**/*.xml\"]"),
        &bucket,
        &sink,
    )
    .unwrap();
    let keys: Vec<String> = sink.job("t/P").inputs.into_iter().map(|i| i.key).collect();
    assert_eq!(keys, ["P/a.xml", "P/b/c.xml"]);
    assert_eq!(
        sink.broken.borrow()[0].1,
        "no object of the product matches \"**/*.xml\""
    );
}

#[test]
fn ten_thousand_products_stream_in_order() {
    let names: Vec<String> = (0..10_000).map(|n| format!("all/P{n:05}.SAFE")).collect();
    let mut bucket = none();
    for name in &names {
        bucket = safe(bucket, name, &[("B04", 10), ("B08", 10)]);
    }
    bucket.page = 100;
    let mut sink = Sink::new(&bucket);
    let text = "[products]\nprefix = \"all\"\nmatch = \"P*.SAFE\"\n[[task]]\nindex = \"ndvi\"";
    let jobfile = read(text, &Flags::default()).unwrap();
    let options = PlanOptions {
        ahead: 8,
        ..PlanOptions::default()
    };
    sink.keep = false;
    let summary = run_plan(&jobfile, &bucket, &sink, &options).unwrap();
    assert_eq!(
        summary,
        PlanSummary {
            products: 10_000,
            jobs: 10_000,
            broken: 0
        }
    );
    // The first job came after a handful of listings, and no more than the window was under way.
    assert!(
        sink.lists_at_first_job.get() < 30,
        "{}",
        sink.lists_at_first_job.get()
    );
    assert!(
        (2..=8).contains(&sink.most_awaited.get()),
        "{}",
        sink.most_awaited.get()
    );
    assert_eq!(bucket.gets.get(), 10_000);
}

#[test]
fn jobs_come_in_the_order_given() {
    let images = [("B04", 10), ("B08", 10), ("B03", 10)];
    let mut bucket = none();
    for name in ["C", "A", "B"] {
        bucket = safe(bucket, name, &images);
    }
    let sink = Sink::new(&bucket);
    let text = "[products]\nnames = [\"C\", \"A\", \"B\"]\n[[task]]\nindex = \"ndvi\"\n[[task]]\nindex = \"gndvi\"";
    run(text, &bucket, &sink).unwrap();
    assert_eq!(
        sink.names(),
        [
            "ndvi/C", "gndvi/C", "ndvi/A", "gndvi/A", "ndvi/B", "gndvi/B"
        ]
    );
}

#[test]
fn a_dry_run_counts_each_object_once() {
    let images = [("B04", 10), ("B08", 10), ("B03", 10)];
    let bucket = safe(safe(none(), "P", &images), "Q", &images[..1]);
    let text = "[products]\nprefix = \"\"\n[[task]]\nindex = \"ndvi\"\n[[task]]\nindex = \"gndvi\"";
    let jobfile = read(text, &Flags::default()).unwrap();
    let mut shown = Vec::new();
    let dry = DryRun::new(&bucket, |job| {
        shown.push(match job {
            DryJob::Planned(job) => format!("{} {}", job.name, job.bytes),
            DryJob::Broken(job) => format!("{}: {}", job.name, job.reason),
        });
    });
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(plan(&jobfile, &bucket, &dry, &PlanOptions::default()))
        .unwrap();
    let totals = dry.totals();
    assert_eq!(
        (totals.products, totals.objects, totals.jobs, totals.broken),
        (2, 4, 2, 2)
    );
    let xml = bucket.objects["P/MTD_MSIL2A.xml"].len() as u64;
    assert_eq!(totals.bytes, 30 + xml);
    drop(dry);
    assert_eq!(shown[0], format!("ndvi/P {}", 20 + xml));
    assert_eq!(shown[2], "ndvi/Q: the product has no band B08");
}
