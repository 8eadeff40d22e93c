//! What job files mean, the examples, and the JSON Schema.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cotec::plan::RasterFormulas;
use cotec::store::EndpointProfile;
use cotec::task::{
    Flags, JobFile, Layout, Processor, Radiometry, Resample, Scale, Source, Window, json_schema,
};
use cotec::values::connections::Connections;
use cotec::values::order::Order;
use serde_json::Value;

fn read(text: &str, flags: &Flags) -> JobFile {
    JobFile::parse(&Source::new("job.toml", text), flags, &RasterFormulas)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn examples() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    found.sort();
    assert!(found.len() >= 3);
    found
}

/// What runs an example: a program of the same name brings the processor itself.
fn flags_of(example: &Path) -> Flags {
    Flags {
        native: example.with_extension("rs").exists(),
        ..Flags::default()
    }
}

#[test]
fn every_field_arrives() {
    let text = r#"
        out = "o"
        staging = "s"
        workers = 3
        connections = 12
        order = "smallest"
        [store]
        endpoint = "https://x"
        bucket = "b"
        region = "r"
        profile = "p"
        anonymous = true
        requester_pays = true
        [products]
        names = ["a/P/", "a/P", "Q"]
        prefix = "a"
        match = "S2?_*"
        [[task]]
        name = "t"
        layout = "per-band"
        expr = "B08 > 0 ? B08 : B04"
        resolution = 20
        bbox = [1, 2, 3.5, 4]
        radiometry = "dn"
        resample = "average"
        scale = 0.0001
        offset = -0.1
        output = "u.tif"
        [[task]]
        name = "c"
        run = ["prog", "{B04}", "{SR_B5}", "{{x}}", "{out}"]
        bands = ["red", "B04"]
        objects = ["**/*.xml"]
        products = { names = ["R"] }
        env = { A = "1" }
        window = { col = 1, row = 2, width = 3, height = 4 }
        quantification = 100
    "#;
    let job = read(text, &Flags::default());
    assert_eq!(
        (job.out, job.staging, job.workers),
        ("o".into(), "s".into(), Some(3))
    );
    assert_eq!(job.connections, Connections::Pinned(12));
    assert_eq!(job.order, Order::SmallestFirst);
    assert_eq!(job.store.endpoint.as_deref(), Some("https://x"));
    assert!(job.store.anonymous && job.store.requester_pays && job.store.sample.is_none());
    let [first, second] = job.tasks.as_slice() else {
        panic!()
    };
    let names: Vec<&str> = first
        .products
        .names
        .iter()
        .map(|n| n.prefix.as_str())
        .collect();
    assert_eq!(names, ["a/P/", "Q/"]);
    let listed = first.products.listed.as_ref().unwrap();
    assert_eq!(listed.prefix, "a/");
    assert!(listed.pattern.as_ref().unwrap().is_match("S2A_x"));
    assert_eq!(
        (first.layout, first.bands.as_slice()),
        (Layout::PerBand, &["B08".to_owned(), "B04".to_owned()][..])
    );
    assert_eq!(
        first.window,
        Some(Window::Bbox {
            min_x: 1.0,
            min_y: 2.0,
            max_x: 3.5,
            max_y: 4.0
        })
    );
    assert_eq!(
        (first.radiometry, first.resample),
        (Radiometry::Dn, Resample::Average)
    );
    assert_eq!(
        first.scale,
        Some(Scale {
            quantification: 10000.0,
            add_offset: -1000.0
        })
    );
    assert_eq!(first.result_files(), ["u.tif", "u.png"]);
    assert_eq!(second.bands, ["B04", "SR_B5", "red"]);
    assert_eq!(second.result_files(), ["c.tif"]);
    assert_eq!(
        second.window,
        Some(Window::Pixels {
            col: 1,
            row: 2,
            width: 3,
            height: 4
        })
    );
    assert_eq!(
        second.scale,
        Some(Scale {
            quantification: 100.0,
            add_offset: 0.0
        })
    );
    assert_eq!(second.products.names[0].prefix, "R/");
    assert!(second.objects[0].is_match("a/b.xml") && second.env["A"] == "1");
    assert!(matches!(&second.processor, Processor::Run(argv) if argv.len() == 5));
}

#[test]
fn flags_win() {
    let flags = Flags {
        products: vec!["P,Q".into(), "R/".into()],
        indices: vec!["ndvi,gndvi".into()],
        radiometry: Some(Radiometry::Dn),
        out: Some("flag".into()),
        workers: Some(2),
        ..Flags::default()
    };
    let text = "out = \"file\"\nstaging = \"file\"\nworkers = 5\n[products]\nprefix = \"\"\n[[task]]\nindex = \"ndi45\"";
    for job in [
        read(text, &flags),
        JobFile::from_flags(&flags, &RasterFormulas).unwrap(),
    ] {
        assert_eq!(job.task_names().collect::<Vec<_>>(), ["ndvi", "gndvi"]);
        assert_eq!((job.out, job.workers), ("flag".into(), Some(2)));
        assert!(
            job.tasks
                .iter()
                .all(|task| task.radiometry == Radiometry::Dn)
        );
        assert!(Arc::ptr_eq(&job.tasks[0].products, &job.tasks[1].products));
        assert_eq!(job.tasks[0].products.names.len(), 3);
        assert!(job.tasks[0].products.listed.is_none());
    }
    // The file's tasks stay where the flags name products only.
    let flags = Flags {
        products: vec!["P".into()],
        ..Flags::default()
    };
    let job = read(
        "[[task]]\nindex = \"ndi45\"\nproducts = { names = [\"Z\"] }",
        &flags,
    );
    assert_eq!(job.tasks[0].products.names[0].prefix, "P/");
    let defaults = JobFile::from_flags(
        &Flags {
            indices: vec!["ndvi".into()],
            ..flags
        },
        &RasterFormulas,
    )
    .unwrap();
    assert_eq!(defaults.staging, PathBuf::from("./.cotec/staging"));
}

#[test]
fn a_sample_is_all_products_and_native_needs_no_processor() {
    let job = read(
        "[store]\nsample = true\n[[task]]\nindex = \"ndvi\"",
        &Flags::default(),
    );
    assert_eq!(job.store.sample, Some(4));
    assert_eq!(job.tasks[0].products.listed.as_ref().unwrap().prefix, "");
    let job = read(
        "[store]\nsample = false\nbucket = \"b\"\n[products]\nprefix = \"x\"\n[[task]]\nindex = \"ndvi\"",
        &Flags::default(),
    );
    assert_eq!(job.store.sample, None);
    let flags = Flags {
        native: true,
        ..Flags::default()
    };
    let job = read(
        "[products]\nprefix = \"x\"\n[[task]]\nname = \"mine\"\nbands = [\"B04\"]",
        &flags,
    );
    assert_eq!(job.tasks[0].processor, Processor::Native);
}

#[test]
fn objects_alone_make_the_objects_layout() {
    let text = "[products]\nprefix = \"\"\n[[task]]\nname = \"x\"\nrun = [\"a\", \"{inputs}\"]\nobjects = [\"*\"]";
    assert_eq!(
        read(text, &Flags::default()).tasks[0].layout,
        Layout::Objects
    );
}

#[test]
fn the_examples_are_good() {
    for path in examples() {
        if let Err(error) = JobFile::read(&path, &flags_of(&path), &RasterFormulas) {
            panic!("{error}");
        }
    }
}

/// Follows `$ref` and the one alternative that is not null.
fn resolve<'a>(root: &'a Value, mut schema: &'a Value) -> &'a Value {
    loop {
        if let Some(name) = schema["$ref"].as_str() {
            schema = root.pointer(&name[1..]).unwrap();
        } else if let Some(any) = schema["anyOf"].as_array() {
            schema = any.iter().rfind(|s| s["type"] != "null").unwrap();
        } else {
            return schema;
        }
    }
}

/// The paths of a document's fields that the schema does not know.
fn unknown(root: &Value, schema: &Value, value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let schema = resolve(root, schema);
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = format!("{path}/{name}");
                if let Some(known) = schema["properties"].get(name) {
                    unknown(root, known, value, &path, found);
                } else if schema["additionalProperties"].get("type").is_none() {
                    found.insert(path);
                }
            }
        }
        Value::Array(values) => {
            for value in values {
                unknown(root, &schema["items"], value, path, found);
            }
        }
        _ => {}
    }
}

#[test]
fn limits_of_the_endpoint_are_read() {
    let job = read(
        "[endpoint]\nconnections = 8\nbytes_per_month = 0\n[products]\nprefix = \"\"\n[[task]]\nindex = \"ndvi\"\n",
        &Flags::default(),
    );
    let profile = EndpointProfile::builtin("eodata.dataspace.copernicus.eu").with(&job.endpoint);
    assert_eq!(profile.connections, Some(8));
    assert_eq!(profile.requests_per_minute, Some(2_000));
    assert_eq!(profile.bytes_per_month, None);
}

#[test]
fn the_schema_knows_what_the_reader_knows() {
    let schema: Value = serde_json::from_str(&json_schema()).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
    let mut tables = vec![&schema];
    tables.extend(schema["$defs"].as_object().unwrap().values());
    for table in tables
        .iter()
        .filter(|table| table["properties"].is_object())
    {
        assert_eq!(table["additionalProperties"], false, "{table}");
        for (name, field) in table["properties"].as_object().unwrap() {
            let resolved = resolve(&schema, field);
            let told = field["description"].is_string() || resolved["description"].is_string();
            assert!(told, "{name} has no description");
        }
    }
    for path in examples() {
        let value: toml::Value = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let json = serde_json::to_value(&value).unwrap();
        let mut found = BTreeSet::new();
        unknown(&schema, &schema, &json, "", &mut found);
        assert!(found.is_empty(), "{path:?}: {found:?}");
        // The same document as JSON is the same job file.
        let source = Source::new("job.json", json.to_string());
        JobFile::parse(&source, &flags_of(&path), &RasterFormulas).unwrap();
    }
    for (text, place) in [
        ("{\"outt\":\"x\"}", "/outt"),
        ("{\"store\":{\"buckett\":\"x\"}}", "/store/buckett"),
        ("{\"endpoint\":{\"rate\":1}}", "/endpoint/rate"),
        ("{\"store\":{\"sample\":{\"n\":1}}}", "/store/sample/n"),
        (
            "{\"task\":[{\"index\":\"ndvi\",\"window\":{\"x\":1}}]}",
            "/task/window/x",
        ),
    ] {
        let mut found = BTreeSet::new();
        unknown(
            &schema,
            &schema,
            &serde_json::from_str(text).unwrap(),
            "",
            &mut found,
        );
        assert_eq!(found, BTreeSet::from([place.to_owned()]));
        let source = Source::new("job.json", text);
        let error = JobFile::parse(&source, &Flags::default(), &RasterFormulas).unwrap_err();
        assert!(error.message().starts_with("unknown field"), "{error}");
    }
}
