//! Keys that are no plain paths never leave the staging directory, and arrive as they are.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cotec::values::staged::staged_path;

use super::copy_directory;
use super::memory::Bucket;
use crate::common::run::Sandbox;

const PRODUCTS: [&str; 7] = ["odd", "..", ".", "/lead", "a b+c%2F", "ü/日本", "%~dotdot"];

/// Keys below each of the products.
fn below() -> Vec<String> {
    let mut keys: Vec<String> = [
        "plain.tif",
        "with space",
        "ünïcode/日本.tif",
        "a+b",
        "100%",
        "a%2Fb",
        "%2e%2e/x",
        "/lead",
        "//two",
        "a//b",
        "../up",
        "../../../../../../../../tmp/cotec-escaped",
        "a/../b",
        "./dot",
        "a/./b2",
        "..%2Fx",
        "...",
        "~",
        "$HOME `id` ; & | * ? \"q\" 'q'",
        "-rf",
        "back\\slash",
        "%~dotdot/x",
        "%~empty",
    ]
    .map(str::to_owned)
    .into();
    keys.push("long".repeat(75));
    keys.push("../".repeat(300) + "deep");
    keys
}

fn content(key: &str) -> Vec<u8> {
    format!("content of {key}").into_bytes()
}

/// Every file and directory below a directory.
fn tree(at: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
        found.insert(entry.path());
        if entry.file_type().unwrap().is_dir() {
            tree(&entry.path(), found);
        }
    }
}

fn files(at: &Path) -> usize {
    let mut found = BTreeSet::new();
    tree(at, &mut found);
    found.iter().filter(|path| path.is_file()).count()
}

#[test]
fn no_key_leaves_the_staging_directory_and_every_object_arrives() {
    // `..` as a product has the keys of others below it in no file system, but does so here.
    let keys: BTreeSet<String> = PRODUCTS
        .iter()
        .flat_map(|product| {
            below()
                .into_iter()
                .map(move |key| format!("{product}/{key}"))
        })
        .collect();
    let served = Bucket::new(keys.iter().map(|key| (key.clone(), content(key)))).serve();
    let sandbox = Sandbox::new();
    sandbox.job_file(&copy_directory(&PRODUCTS));
    let run = served.to(sandbox.coord()).expect(0);
    assert_eq!(run.count("/objects/total"), keys.len() as u64);
    let staging = fs::canonicalize(sandbox.path(".cotec/staging")).unwrap();
    for key in &keys {
        let path = staged_path(&staging, "memory", key);
        assert!(fs::symlink_metadata(&path).unwrap().is_file(), "{key:?}");
        assert_eq!(fs::canonicalize(&path).unwrap(), path, "{key:?}");
        assert_eq!(fs::read(&path).unwrap(), content(key), "{key:?}");
        assert_eq!(served.gets(key), 1, "{key:?}");
    }
    // Nothing but these files is there, and nothing new anywhere else.
    assert_eq!(files(&staging.join("memory")), keys.len());
    let mut found = BTreeSet::new();
    tree(&sandbox.path(""), &mut found);
    let (out, home) = (sandbox.path("out"), sandbox.path(""));
    let plain = [
        "cotec.toml",
        "stdout",
        "stderr",
        ".cotec",
        ".cotec/staging",
        "out",
    ];
    let plain = plain.map(|name| home.join(name));
    let staging = home.join(".cotec/staging");
    for path in &found {
        let known = path.starts_with(&staging) || path.starts_with(&out) || plain.contains(path);
        assert!(known, "{}", path.display());
    }
    assert!(!Path::new("/tmp/cotec-escaped").exists());
    // Each product has a result directory of its own directly below the output.
    let results = run.summary()["results"].as_array().unwrap();
    let mut directories = BTreeSet::new();
    for result in results {
        let copy = PathBuf::from(result["outputs"][0].as_str().unwrap());
        let directory = copy.parent().unwrap();
        assert_eq!(directory.parent().unwrap(), fs::canonicalize(&out).unwrap());
        assert!(directories.insert(directory.to_owned()));
        // The deep one has no path that could be opened, and lies beside the product's directory.
        assert_eq!(files(&copy), below().len() - 1, "{}", copy.display());
    }
    assert_eq!(directories.len(), PRODUCTS.len());
}

/// As far as a directory can hold such keys, the embedded server serves them the same.
#[test]
fn odd_file_names_from_a_served_directory() {
    let sandbox = Sandbox::new();
    let keys = [
        "with space",
        "ünïcode/日本.tif",
        "a+b",
        "100%",
        "a%2Fb",
        "%2e%2e",
        "a&b=c?d#e",
        "line\nbreak",
        "tab\there",
        "<&>\"'",
        "%~dotdot",
    ];
    for key in keys {
        sandbox.object("bucket", &format!("p q/{key}"), content(key));
    }
    sandbox.job_file(&copy_directory(&["p q"]));
    sandbox.coord().serve().expect(0);
    let staging = sandbox.path(".cotec/staging");
    for key in keys {
        let path = staged_path(&staging, "bucket", &format!("p q/{key}"));
        assert_eq!(fs::read(path).unwrap(), content(key), "{key:?}");
    }
    assert_eq!(files(&sandbox.path("out/p q/copy")), keys.len());
}

/// S3 may hold both keys, a file system cannot: one of them gets another name beside it, and the
/// processor is told which.
#[test]
fn a_key_below_another_key() {
    let objects = [("p/a", "file"), ("p/a/b", "below"), ("p/a/b/c", "deep")];
    let served = Bucket::new(objects).serve();
    let sandbox = Sandbox::new();
    let cat = r#"
        [products]
        names = ["p"]
        [[task]]
        name = "cat"
        output = "cat"
        objects = ["**"]
        run = ["sh", "-c", "cat \"$@\" > \"$0\"", "{out}", "{inputs}"]
    "#;
    sandbox.job_file(cat);
    served.to(sandbox.coord()).expect(0);
    let result = fs::read_to_string(sandbox.path("out/p/cat")).unwrap();
    assert_eq!(result, "filebelowdeep");
    assert_eq!(files(&sandbox.path(".cotec/staging/memory/p")), 3);
    // What is there is found again.
    let again = served.to(sandbox.coord()).expect(0);
    assert_eq!(again.count("/objects/bytes_fetched"), 0);
}

/// A product whose directory is another one's object fails alone.
#[test]
fn a_product_below_an_object() {
    let served = Bucket::new([("a", "file"), ("a/b", "below"), ("q/x", "other")]).serve();
    let sandbox = Sandbox::new();
    sandbox.job_file(&copy_directory(&["a", "q"]));
    fs::create_dir_all(sandbox.path(".cotec/staging/memory")).unwrap();
    fs::write(sandbox.path(".cotec/staging/memory/a"), "from another time").unwrap();
    let run = served.to(sandbox.coord()).expect(1);
    let error = run.job("copy/a")["error"].as_str().unwrap();
    assert!(error.contains("memory/a is a file"), "{error}");
    assert_eq!(run.count("/jobs/done"), 1);
}
