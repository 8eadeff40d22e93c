//! The command line as scripts see it: exit codes, what is printed where, and that a mistake is
//! told once, with its place, before anything is downloaded.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::common::processes::{no_scratch, none_left};
use crate::common::run::{Coord, Outcome, Sandbox};
use crate::store_common::{ACCESS, SECRET, Served};
use cotec::raster::{SampleSpec, write_sample};
use serde_json::Value;

/// Writes its input's size.
const SIZE: &str = r#"
[store]
bucket = "b"
[products]
prefix = ""
[[task]]
name = "t"
run = ["sh", "-c", 'wc -c < "$1" > "$0"', "{out}", "{B01}"]
"#;

/// A sandbox with three products of one band, and the job file above.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for (product, size) in [("p1", 1_000), ("p2", 2_000), ("p3", 3_000)] {
        sandbox.object("b", &format!("{product}/B01.tif"), vec![b'x'; size]);
    }
    sandbox.job_file(SIZE);
    sandbox
}

/// It failed before anything was done: one message, and neither results nor downloads.
fn refused(coord: Coord, sandbox: &Sandbox, code: i32) -> String {
    let outcome = coord.expect(code);
    none_left(sandbox);
    no_scratch(sandbox);
    assert!(outcome.stdout.is_empty(), "{outcome}");
    assert!(!sandbox.path("out/summary.json").exists(), "{outcome}");
    assert!(!sandbox.path(".cotec/staging/b").exists(), "{outcome}");
    assert_eq!(outcome.stderr.matches("error:").count(), 1, "{outcome}");
    outcome.stderr
}

#[test]
fn zero_when_all_is_done_and_the_results_are_named() {
    let sandbox = sandbox();
    let outcome = sandbox.coord().serve().expect(0);
    let out = fs::canonicalize(sandbox.path("out")).unwrap();
    for product in ["p1", "p2", "p3"] {
        let line = format!("{}/{product}/t.tif\n", out.display());
        assert!(outcome.stdout.contains(&line), "{outcome}");
    }
    assert!(outcome.stdout.contains("3 of 3 jobs done in "), "{outcome}");
    assert!(
        outcome.stdout.contains("; 6.0 kB of 6.0 kB fetched ("),
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains("planned: 3 products, 3 jobs\n"),
        "{outcome}"
    );
    // The second time all is in staging.
    let outcome = sandbox.coord().serve().args(["--fresh"]).expect(0);
    assert!(
        outcome
            .stdout
            .contains("; nothing to fetch: 6.0 kB were in staging\n"),
        "{outcome}"
    );
    none_left(&sandbox);
}

#[test]
fn one_of_each_reads_well() {
    let sandbox = sandbox();
    let outcome = sandbox
        .coord()
        .serve()
        .args(["--product", "p2", "--workers", "1"])
        .expect(0);
    assert!(
        outcome.stderr.contains("1 worker · s3://b at 127.0.0.1:"),
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains("planned: 1 product, 1 job\n"),
        "{outcome}"
    );
    assert!(outcome.stdout.contains("1 of 1 job done in "), "{outcome}");
}

#[test]
fn figures_stand_beside_the_image_and_a_long_list_is_cut() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("served/b");
    fs::create_dir_all(&dir).unwrap();
    let (products, size) = (1, 64);
    let product = write_sample(&dir, &SampleSpec { products, size })
        .unwrap()
        .remove(0);
    let args = ["--index", "ndvi", "--product", &product.name];
    let outcome = sandbox.coord().serve().args(args).expect(0);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines[0].contains("ndvi.tif  64x64  mean 0."), "{outcome}");
    assert!(lines[1].ends_with("ndvi.png"), "{outcome}");

    let sandbox = Sandbox::new();
    for product in 0..45 {
        sandbox.object("b", &format!("p{product}/B01.tif"), b"x");
    }
    sandbox.job_file(SIZE);
    let outcome = sandbox.coord().serve().expect(0);
    assert_eq!(outcome.stdout.matches("t.tif").count(), 40, "{outcome}");
    assert!(
        outcome
            .stdout
            .contains("\n... and 5 more in summary.json\n"),
        "{outcome}"
    );
    assert_eq!(outcome.summary()["results"].as_array().unwrap().len(), 45);
}

#[test]
fn one_when_some_jobs_failed() {
    let sandbox = sandbox();
    sandbox.job_file(&SIZE.replace("wc -c", "exit 9; wc -c"));
    let outcome = sandbox.coord().serve().expect(1);
    assert_eq!(outcome.count("/jobs/failed"), 3);
    assert!(outcome.stdout.contains("0 of 3 jobs done in "), "{outcome}");
}

#[test]
fn two_for_the_command_line() {
    let sandbox = sandbox();
    let told = |args: &[&str]| {
        let outcome = sandbox.coord().args(args).expect(2);
        assert!(outcome.stdout.is_empty());
        outcome.stderr
    };
    assert!(told(&["--worker", "2"]).contains("'--workers'"));
    assert!(told(&["--workers", "0"]).contains("0 is not in 1..=1000"));
    assert!(told(&["--workers", "x"]).contains("--workers"));
    assert!(told(&["--radiometry", "reflectence"]).contains("'reflectance'"));
    assert!(told(&["no-such-file.toml"]).contains("no-such-file.toml"));
    assert!(told(&["--serve", "served", "--endpoint", "http://x"]).contains("--endpoint"));
    assert!(told(&["--serve", "nowhere"]).contains("nowhere"));
    assert!(told(&["--endpoint", "not a url", "--anonymous"]).contains("not a url"));
    assert!(!sandbox.path("out").exists() && !sandbox.path(".cotec").exists());
}

#[test]
fn two_without_a_job_file_or_a_product() {
    let sandbox = Sandbox::new();
    let error = refused(sandbox.coord(), &sandbox, 2);
    assert!(error.contains("cotec.toml"), "{error}");
}

#[test]
fn two_for_what_the_job_file_asks_for_with_place_and_nearest_name() {
    let sandbox = sandbox();
    let cases = [
        (
            "name = \"t\"",
            "nmae = \"t\"",
            &["cotec.toml:7:1", "nmae", "\"name\""][..],
        ),
        (
            "{B01}",
            "{B02}",
            &["cotec.toml:8:", "\"p1\" has no band \"B02\"", "\"B01\""],
        ),
        ("{out}", "{oot}", &["cotec.toml:8:", "oot", "out"]),
        (
            "prefix = \"\"",
            "names = [\"p11\"]",
            &["cotec.toml:5:", "\"p11\"", "\"p1\""],
        ),
        (
            "prefix = \"\"",
            "prefix = \"\"\nmatch = \"q*\"",
            &["cotec.toml:6:", "q*"],
        ),
    ];
    for (right, wrong, told) in cases {
        sandbox.job_file(&SIZE.replace(right, wrong));
        let error = refused(sandbox.coord().serve(), &sandbox, 2);
        for text in told {
            assert!(error.contains(text), "{text} is not in {error}");
        }
    }
    let index = "[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n[[task]]\nindex = \"ndvj\"\n";
    sandbox.job_file(index);
    let error = refused(sandbox.coord().serve(), &sandbox, 2);
    assert!(
        error.contains("cotec.toml:6:10") && error.contains("\"ndvi\""),
        "{error}"
    );
    sandbox.job_file(&index.replace("ndvj", "ndvi"));
    let error = refused(sandbox.coord().serve(), &sandbox, 2);
    assert!(error.contains("no band \"B0"), "{error}");
    fs::remove_file(sandbox.path("cotec.toml")).unwrap();
    let flags = sandbox
        .coord()
        .serve()
        .args(["--index", "ndvx", "--product", "p1"]);
    let error = refused(flags, &sandbox, 2);
    assert!(
        error.contains("--index") && error.contains("\"ndvi\""),
        "{error}"
    );
    let flags = sandbox
        .coord()
        .serve()
        .args(["--index", "ndvi", "--product", "p4"]);
    let error = refused(flags, &sandbox, 2);
    assert!(error.contains("\"p4\""), "{error}");
}

#[test]
fn two_for_a_directory_that_serves_several_buckets() {
    let sandbox = sandbox();
    sandbox.object("c", "p9/B01.tif", b"x");
    sandbox.job_file(&SIZE.replace("bucket = \"b\"", ""));
    let error = refused(sandbox.coord().serve(), &sandbox, 2);
    assert!(
        error.contains("--bucket") && error.contains("b, c"),
        "{error}"
    );
    let error = refused(sandbox.coord().serve().args(["--bucket", "d"]), &sandbox, 2);
    assert!(error.contains("\"d\"") && error.contains("b, c"), "{error}");
    let outcome = sandbox.coord().serve().args(["--bucket", "c"]).expect(0);
    assert_eq!(outcome.count("/jobs/done"), 1);
}

#[test]
fn three_when_nobody_answers_and_soon() {
    let sandbox = sandbox();
    // A port that was free just now.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    for dry in [false, true] {
        let mut coord = sandbox
            .coord()
            .args(["--endpoint", &endpoint, "--anonymous"]);
        if dry {
            coord = coord.args(["--dry-run"]);
        }
        let begun = std::time::Instant::now();
        let error = refused(coord, &sandbox, 3);
        println!("a closed port was told after {:?}", begun.elapsed());
        assert!(begun.elapsed().as_secs() < 15);
        assert!(
            error.contains(&endpoint) && error.contains("Connection refused"),
            "{error}"
        );
    }
}

/// A run against a server outside, with these keys.
fn outside(sandbox: &Sandbox, url: &str, secret: &str) -> Coord {
    sandbox
        .coord()
        .args(["--endpoint", url])
        .env("AWS_ACCESS_KEY_ID", ACCESS)
        .env("AWS_SECRET_ACCESS_KEY", secret)
}

#[test]
fn three_for_credentials_that_are_refused_or_absent() {
    let sandbox = sandbox();
    let server = Served::directory(&sandbox.path("served"));
    let error = refused(outside(&sandbox, &server.url, "wrong/wrong"), &sandbox, 3);
    assert!(error.contains("refused (HTTP 403"), "{error}");
    assert!(
        !error.contains("wrong/wrong") && !error.contains("X-Amz-Signature"),
        "{error}"
    );
    let none = sandbox.coord().args(["--endpoint", &server.url]);
    let error = refused(none, &sandbox, 3);
    assert!(error.contains("credentials"), "{error}");
    let no_bucket = outside(&sandbox, &server.url, SECRET).args(["--bucket", "nothere"]);
    let error = refused(no_bucket, &sandbox, 3);
    assert!(error.contains("NoSuchBucket"), "{error}");
    outside(&sandbox, &server.url, SECRET).expect(0);
}

#[test]
fn four_when_a_directory_cannot_be_written() {
    let sandbox = sandbox();
    fs::write(sandbox.path("file"), b"").unwrap();
    for (flag, way_out) in [("--out", "--out"), ("--staging", "--staging")] {
        let coord = sandbox.coord().serve().args([flag, "file/below"]);
        let error = refused(coord, &sandbox, 4);
        assert!(
            error.contains("file/below") && error.contains(way_out),
            "{error}"
        );
    }
    // A place that becomes unwritable for one job only shows in the middle of the run.
    fs::create_dir_all(sandbox.path("out")).unwrap();
    fs::write(sandbox.path("out/p2"), b"in the way").unwrap();
    let outcome = sandbox.coord().serve().expect(4);
    assert!(
        outcome.stderr.contains("p2") && outcome.stderr.contains("cannot be written"),
        "{outcome}"
    );
    none_left(&sandbox);
    no_scratch(&sandbox);
}

#[test]
fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let sandbox = sandbox();
    let outcome = sandbox.coord().serve().args(["--dry-run"]).expect(0);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert_eq!(
        lines,
        [
            "t/p1  1 object  1.0 kB",
            "t/p2  1 object  2.0 kB",
            "t/p3  1 object  3.0 kB",
            "3 products, 3 objects, 6.0 kB, 3 jobs",
        ]
    );
    let outcome = sandbox
        .coord()
        .serve()
        .args(["--dry-run", "--json"])
        .expect(0);
    let events = outcome.events();
    assert_eq!(events.len(), 4);
    assert_eq!(
        (&events[1]["event"], &events[1]["job"]),
        (&"dry-job".into(), &"t/p2".into())
    );
    assert_eq!(events[1]["inputs"], serde_json::json!(["p2/B01.tif"]));
    let last = &events[3];
    for (field, value) in [
        ("products", 3),
        ("objects", 3),
        ("bytes", 6_000),
        ("jobs", 3),
    ] {
        assert_eq!(last[field], value);
    }
    let outcome = sandbox
        .coord()
        .serve()
        .args(["--dry-run", "--product", "p1"])
        .expect(0);
    assert!(
        outcome
            .stdout
            .ends_with("1 product, 1 object, 1.0 kB, 1 job\n"),
        "{outcome}"
    );
    assert!(!sandbox.path("out").exists() && !sandbox.path(".cotec").exists());
    none_left(&sandbox);
    sandbox.job_file(&SIZE.replace("names", "nmaes").replace("name =", "nmae ="));
    let outcome = sandbox.coord().serve().args(["--dry-run"]).expect(2);
    assert!(outcome.stderr.contains("nmae"), "{outcome}");
}

/// All records are in order of time, from the beginning to the end.
fn in_order(outcome: &Outcome) -> Vec<Value> {
    let events = outcome.events();
    let times: Vec<f64> = events.iter().map(|e| e["t"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{outcome}");
    assert_eq!(events[0]["event"], "run-started");
    let ends: Vec<_> = events
        .iter()
        .filter(|e| e["event"] == "run-ended")
        .collect();
    assert_eq!(ends.len(), 1);
    assert_eq!(events.last(), Some(ends[0]));
    events
}

#[test]
fn json_records_in_order_of_time_and_nothing_else() {
    let sandbox = sandbox();
    sandbox.job_file(&format!("workers = 8\n{SIZE}"));
    let outcome = sandbox.coord().serve().args(["--json"]).expect(0);
    assert!(outcome.stderr.is_empty(), "{outcome}");
    let events = in_order(&outcome);
    let of = |name: &str| events.iter().filter(|e| e["event"] == name).count();
    for name in [
        "object-wanted",
        "object-fetching",
        "object-ready",
        "job-running",
        "job-done",
    ] {
        assert_eq!(of(name), 3, "{name}: {outcome}");
    }
    let end = events.last().unwrap();
    assert_eq!(
        (&end["outcome"], &end["jobs"]["done"]),
        (&"done".into(), &3.into())
    );
    assert_eq!(end["results"], outcome.summary()["results"]);

    sandbox.job_file(&SIZE.replace("\"b\"", "\"b\"\nanonymous = true"));
    let coord = sandbox
        .coord()
        .args(["--json", "--endpoint", "http://127.0.0.1:1"]);
    let outcome = coord.expect(3);
    let events = in_order(&outcome);
    assert_eq!(events.last().unwrap()["outcome"], "store");
    let said = events.iter().find(|e| e["event"] == "note").unwrap();
    assert!(said["error"] == true && said["text"].as_str().unwrap().contains("127.0.0.1:1"));
}

#[test]
fn no_secret_is_printed_or_written() {
    let sandbox = sandbox();
    let server = Served::directory(&sandbox.path("served"));
    for args in [&["--json"][..], &[]] {
        let outcome = outside(&sandbox, &server.url, SECRET)
            .env("RUST_LOG", "trace")
            .args(args)
            .expect(0);
        let summary = fs::read_to_string(sandbox.path("out/summary.json")).unwrap();
        let landed = fs::read_to_string(sandbox.path(".cotec/staging/%~landed.jsonl")).unwrap();
        for text in [&outcome.stdout, &outcome.stderr, &summary, &landed] {
            assert!(!text.contains(SECRET));
            for word in ["X-Amz-Signature", "x-amz-signature", "X-Amz-Credential"] {
                let at = text
                    .find(word)
                    .map(|at| &text[at.saturating_sub(200)..][..300]);
                assert!(at.is_none(), "{at:?}");
            }
        }
        fs::remove_dir_all(sandbox.path(".cotec")).unwrap();
    }
}

#[test]
fn another_run_in_the_same_staging_is_refused() {
    let sandbox = sandbox();
    sandbox.job_file(&SIZE.replace("wc -c", "while [ ! -e go ]; do sleep 0.02; done; wc -c"));
    let mut first = sandbox.coord().serve().args(["--json"]).spawn();
    assert!(first.printed("\"event\":\"job-running\""));
    let second = Sandbox::new();
    second.job_file(SIZE);
    let staging = sandbox.path(".cotec/staging");
    let served = sandbox.path("served");
    let args = [
        "--staging",
        staging.to_str().unwrap(),
        "--serve",
        served.to_str().unwrap(),
    ];
    let outcome = second.coord().args(args).expect(4);
    assert!(
        outcome
            .stderr
            .contains("another run works in the staging directory"),
        "{outcome}"
    );
    fs::write(sandbox.path("go"), b"").unwrap();
    assert_eq!(first.wait().code, Some(0));
}

#[test]
fn a_directory_without_rights_is_told() {
    if nix::unistd::geteuid().is_root() {
        println!("skipped: root may write everywhere");
        return;
    }
    let sandbox = sandbox();
    fs::create_dir(sandbox.path("closed")).unwrap();
    fs::set_permissions(sandbox.path("closed"), fs::Permissions::from_mode(0o500)).unwrap();
    let error = refused(
        sandbox.coord().serve().args(["--out", "closed/out"]),
        &sandbox,
        4,
    );
    assert!(error.contains("closed/out"), "{error}");
}
