//! A process is killed at each named point, in each role that comes by: the run ends with the
//! right results and a table whose totals add up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::processes::{no_scratch, none_left};
use crate::common::run::Sandbox;
use cotec::raster::{SampleSpec, write_sample};
use cotec::sys::death::POINTS;

const JOBS: &str = r#"
workers = 2
[store]
bucket = "points"
[products]
prefix = ""
[[task]]
index = "ndvi"
[[task]]
name = "copy"
run = ["cp", "{B05}", "{out}"]
[[task]]
name = "up"
run = ["cp", "{B04}", "{out}"]
output = "s3://results/{product}/"
"#;

#[test]
fn a_death_at_any_point_changes_nothing() {
    let sandbox = Sandbox::new();
    let bucket = sandbox.path("served/points");
    fs::create_dir_all(&bucket).unwrap();
    let spec = SampleSpec {
        products: 2,
        size: 64,
    };
    write_sample(&bucket, &spec).unwrap();
    sandbox.job_file(JOBS);
    let store = sandbox.path("served/results");
    fs::create_dir(&store).unwrap();
    sandbox.coord().serve().expect(0);
    let expected = [results(&sandbox.path("out")), results(&store)];
    assert_eq!(expected.each_ref().map(BTreeMap::len), [6, 2]);
    let mut wrong = Vec::new();
    for (point, roles) in POINTS {
        for role in roles.split(' ') {
            for name in ["out", ".cotec", "dead"] {
                let path = sandbox.path(name);
                let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
            }
            for product in fs::read_dir(&store).unwrap().flatten() {
                fs::remove_dir_all(product.path()).unwrap();
            }
            let once = sandbox.path("dead");
            let outcome = sandbox
                .coord()
                .serve()
                .env("COTEC_DIE_AT", &format!("{role}:{point}"))
                .env("COTEC_DIE_ONCE", once.to_str().unwrap())
                .run();
            let mut say = |what: String| wrong.push(format!("{role} at {point}: {what}"));
            if !once.exists() {
                say("nobody came by".to_owned());
            }
            if outcome.code != Some(0) {
                say(format!("it ended otherwise\n{outcome}"));
                continue;
            }
            if [results(&sandbox.path("out")), results(&store)] != expected {
                say("the results differ".to_owned());
            }
            let summary = outcome.summary();
            let (jobs, objects) = (&summary["jobs"], &summary["objects"]);
            if jobs["done"] != 6 || jobs["total"] != 6 || objects["ready"] != objects["total"] {
                say(format!(
                    "the totals do not add up: jobs {jobs}, objects {objects}"
                ));
            }
            no_scratch(&sandbox);
            none_left(&sandbox);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// All result files but logs, by name.
fn results(out: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for product in fs::read_dir(out).unwrap().flatten() {
        if !product.path().is_dir() {
            continue;
        }
        for file in fs::read_dir(product.path()).unwrap().flatten() {
            if file.path().extension().is_none_or(|e| e != "log") {
                found.insert(file.path(), fs::read(file.path()).unwrap());
            }
        }
    }
    found
}
