//! Faults that no other test produces without a file system of its own, by means that hold for
//! root, too.

use std::fs;

use cotec::values::staged;

use crate::common::run::{Outcome, Sandbox};

fn products(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in names {
        sandbox.object("bucket", &format!("{name}/object"), vec![1; 30_000]);
    }
    sandbox.job_file(
        r#"
        [products]
        prefix = ""
        [[task]]
        name = "copy"
        output = "copy"
        objects = ["*"]
        run = ["cp", "{inputs}", "{out}"]
        "#,
    );
    sandbox
}

/// Keys and faults of the objects that failed.
fn failed_objects(run: &Outcome) -> Vec<(&str, &str)> {
    let failed = run.summary()["failed_objects"].as_array().unwrap();
    let text = |value: &'static str, of: usize| failed[of][value].as_str().unwrap();
    (0..failed.len())
        .map(|of| (text("key", of), text("fault", of)))
        .collect()
}

/// Whatever name an object may have in staging, something else stands there.
#[test]
fn an_object_without_a_place_in_staging() {
    let sandbox = products(&["p"]);
    let root = sandbox.path(".cotec/staging");
    let plain = staged::staged_path(&root, "bucket", "p/object");
    fs::create_dir_all(plain.join("stands here")).unwrap();
    for other in staged::elsewhere(&root, &plain) {
        fs::create_dir_all(other.join("stands here")).unwrap();
    }
    let run = sandbox.coord().serve().expect(4);
    assert_eq!(failed_objects(&run), [("p/object", "staging")]);
    assert_eq!(run.job("copy/p")["fault"], "input");
    for part in ["p/object", "stands there", "--staging"] {
        assert!(run.stderr.contains(part), "{part}: {run}");
    }
}

/// A file stands where the product's directory of results would be.
#[test]
fn a_result_without_a_place() {
    let sandbox = products(&["p"]);
    fs::create_dir(sandbox.path("out")).unwrap();
    fs::write(sandbox.path("out/p"), "kept").unwrap();
    let run = sandbox.coord().serve().expect(4);
    assert_eq!(run.job("copy/p")["fault"], "output");
    for part in ["copy/p", "out/p/copy", "--out"] {
        assert!(run.stderr.contains(part), "{part}: {run}");
    }
    assert_eq!(fs::read_to_string(sandbox.path("out/p")).unwrap(), "kept");
}

#[test]
fn a_month_that_is_used_up_fails_what_is_left() {
    let sandbox = products(&["p1", "p2"]);
    let coord = sandbox.coord().serve();
    let one_by_one = ["--connections", "1", "--limit", "bytes_per_month=1000"];
    let run = coord.args(one_by_one).expect(1);
    assert_eq!(failed_objects(&run), [("p2/object", "used-up")]);
    assert_eq!(run.job("copy/p2")["fault"], "input");
    for part in ["p2/object", "bytes_per_month"] {
        assert!(run.stderr.contains(part), "{part}: {run}");
    }
    assert_eq!(run.job("copy/p1")["state"], "done");
}
