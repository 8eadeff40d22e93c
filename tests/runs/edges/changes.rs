//! Objects that change or vanish after the listing, and stores that have a bad day.

use std::fs;

use serde_json::Value;

use super::copy_directory;
use super::memory::{Answer, Bucket, Served};
use crate::common::run::{Outcome, Sandbox};

const MIB: usize = 1 << 20;

/// Runs the products p1, p2 and p3 of a bucket.
fn run(sandbox: &Sandbox, served: &Served, code: i32) -> Outcome {
    sandbox.job_file(&copy_directory(&["p1", "p2", "p3"]));
    served.to(sandbox.coord()).expect(code)
}

/// Holds a run to this: p2 failed for its object `key`, the others are done, and nothing of the
/// object is in staging.
fn only_p2_failed(sandbox: &Sandbox, run: &Outcome, key: &str, fault: &str, says: &str) {
    assert_eq!(run.count("/jobs/done"), 2, "{run}");
    assert_eq!(run.count("/jobs/failed"), 1, "{run}");
    let failed = run.summary()["failed_objects"].as_array().unwrap();
    assert_eq!(failed.len(), 1, "{run}");
    assert_eq!(failed[0]["key"], key, "{run}");
    assert_eq!(failed[0]["fault"], fault, "{run}");
    let job = run.job("copy/p2");
    assert_eq!(job["fault"], "input", "{run}");
    let error = job["error"].as_str().unwrap();
    assert!(error.contains(key) && error.contains(says), "{error}");
    assert!(run.stderr.contains(key), "{run}");
    for (product, name) in [("p1", "a"), ("p3", "a")] {
        let copy = sandbox.path("out").join(product).join("copy").join(name);
        assert_eq!(fs::read_to_string(copy).unwrap(), product);
    }
    assert!(!sandbox.path("out/p2/copy").exists());
    assert!(!sandbox.staged("memory", key).exists());
    nothing_half_done(sandbox);
}

fn nothing_half_done(sandbox: &Sandbox) {
    let landing = sandbox.path(".cotec/staging/%~landing");
    let left = fs::read_dir(landing).unwrap().count();
    assert_eq!(left, 0, "files that nobody will finish");
}

/// p1 and p3 with their names as content, p2 with `big` and a small object.
fn products(big: Vec<u8>) -> Bucket {
    let small = ["p1/a", "p3/a", "p2/a"].map(|key| (key, key.as_bytes()[..2].to_vec()));
    Bucket::new(small.into_iter().chain([("p2/big", big)]))
}

#[test]
fn an_object_replaced_between_planning_and_download_fails_clearly() {
    for (if_match, etags) in [(true, true), (false, true), (false, false)] {
        let mut bucket = products(vec![1; 1000]).answering(move |key, number| {
            // Without ETags only another size can be seen.
            let now = vec![2; if etags { 1000 } else { 1001 }];
            match (key, number) {
                ("p2/big", 0) => Answer::Replaced(now),
                _ => Answer::Plain,
            }
        });
        (bucket.if_match, bucket.etags) = (if_match, etags);
        let (sandbox, served) = (Sandbox::new(), bucket.serve());
        let ended = run(&sandbox, &served, 1);
        only_p2_failed(
            &sandbox,
            &ended,
            "p2/big",
            "changed",
            "changed in the store",
        );
        // Asking again would not bring the old one back.
        assert_eq!(served.gets("p2/big"), 1);
        // The next run takes the new one.
        let again = run(&sandbox, &served, 0);
        assert_eq!(again.count("/jobs/done"), 3);
        assert_eq!(fs::read(sandbox.path("out/p2/copy/big")).unwrap()[0], 2);
    }
}

#[test]
fn an_object_replaced_while_it_is_downloaded_is_never_mixed() {
    for if_match in [true, false] {
        let size = 200 * MIB;
        let mut bucket = products(vec![1; size]).answering(move |key, number| {
            match (key, number) {
                // Some parts of the old one have come by now.
                ("p2/big", 3) => Answer::Replaced(vec![2; size]),
                _ => Answer::Plain,
            }
        });
        bucket.if_match = if_match;
        let (sandbox, served) = (Sandbox::new(), bucket.serve());
        let ended = run(&sandbox, &served, 1);
        only_p2_failed(
            &sandbox,
            &ended,
            "p2/big",
            "changed",
            "changed in the store",
        );
        assert!(ended.count("/objects/bytes_fetched") > 0);
    }
}

#[test]
fn an_object_that_is_gone_fails_its_job_and_no_other() {
    let bucket = products(b"x".to_vec()).answering(|key, _| match key {
        "p2/big" => Answer::Gone,
        _ => Answer::Plain,
    });
    let (sandbox, served) = (Sandbox::new(), bucket.serve());
    let ended = run(&sandbox, &served, 1);
    only_p2_failed(&sandbox, &ended, "p2/big", "not-found", "not in the store");
    // Or asked a second time while the first answer was late.
    assert!(served.gets("p2/big") <= 2);
}

#[test]
fn broken_connections_and_busy_stores_are_tried_again() {
    let big: Vec<u8> = (0..20 * MIB + 3).map(|at| (at % 241) as u8).collect();
    let bucket = products(big.clone()).answering(|key, number| match (key, number) {
        ("p1/a", 0 | 1) => Answer::Busy,
        ("p3/a", 0) => Answer::Half,
        ("p2/big", 0 | 2) => Answer::Half,
        ("p2/big", 1) => Answer::Busy,
        _ => Answer::Plain,
    });
    let (sandbox, served) = (Sandbox::new(), bucket.serve());
    sandbox.job_file(&copy_directory(&["p1", "p2", "p3"]));
    let ended = served.to(sandbox.coord()).args(["--json"]).expect(0);
    let copy = fs::read(sandbox.path("out/p2/copy/big")).unwrap();
    assert!(copy == big, "the bytes differ");
    assert_eq!(served.gets("p1/a"), 3);
    assert_eq!(served.gets("p3/a"), 2);
    // Three parts, and one request for each failure. What came before a connection broke is kept.
    // On a busy machine one may seem slow, and is asked for a second time.
    assert!((6..9).contains(&served.gets("p2/big")));
    let all = big.len() as u64 + 6;
    assert!(ended.count("/objects/bytes_fetched") >= all);
    let events = ended.events();
    let retries = events.iter().filter(|event| event["event"] == "retry");
    let faults: Vec<&Value> = retries.map(|event| &event["fault"]).collect();
    // One that fails when the other request for its part was faster is none.
    assert!((4..=6).contains(&faults.len()), "{faults:?}");
    assert_eq!(events.last().unwrap()["event"], "run-ended");
}

#[test]
fn a_connection_that_brings_something_each_time_is_not_given_up() {
    let big: Vec<u8> = (0..8 * MIB).map(|at| (at % 239) as u8).collect();
    let bucket = products(big.clone()).answering(|key, number| match (key, number) {
        ("p2/big", 0..6) => Answer::Half,
        _ => Answer::Plain,
    });
    let (sandbox, served) = (Sandbox::new(), bucket.serve());
    sandbox.job_file(&copy_directory(&["p1", "p2", "p3"]));
    // Several would share in it.
    let coord = served.to(sandbox.coord()).args(["--connections", "1"]);
    coord.expect(0);
    assert!(fs::read(sandbox.path("out/p2/copy/big")).unwrap() == big);
    assert_eq!(served.gets("p2/big"), 7);
}

#[test]
fn a_store_that_stays_busy_fails_the_object_in_the_end() {
    let bucket = products(b"x".to_vec()).answering(|key, _| match key {
        "p2/big" => Answer::Busy,
        _ => Answer::Plain,
    });
    let (sandbox, served) = (Sandbox::new(), bucket.serve());
    let ended = run(&sandbox, &served, 1);
    only_p2_failed(&sandbox, &ended, "p2/big", "server", "503");
    // On a slow machine a request that is answered late may have been asked a second time.
    let gets = served.gets("p2/big");
    assert!((6..=9).contains(&gets), "{gets}");
}

#[test]
fn a_connection_that_goes_silent_is_replaced() {
    let big: Vec<u8> = (0..20 * MIB).map(|at| (at % 233) as u8).collect();
    let bucket = products(big.clone()).answering(|key, number| match (key, number) {
        ("p2/big", 1) => Answer::Silent,
        _ => Answer::Plain,
    });
    let (sandbox, served) = (Sandbox::new(), bucket.serve());
    sandbox.job_file(&copy_directory(&["p1", "p2", "p3"]));
    // With one connection nobody but its successor can have the rest.
    let flags = ["--connections", "1", "--stall-timeout", "2", "--json"];
    let ended = served.to(sandbox.coord()).args(flags).expect(0);
    assert!(fs::read(sandbox.path("out/p2/copy/big")).unwrap() == big);
    let events = ended.events();
    let retries = events.iter().filter(|event| event["event"] == "retry");
    let faults: Vec<&Value> = retries.map(|event| &event["fault"]).collect();
    assert_eq!(faults, ["unreachable"]);
}

#[test]
fn a_slow_part_at_the_end_is_asked_for_a_second_time() {
    let big: Vec<u8> = (0..20 * MIB).map(|at| (at % 229) as u8).collect();
    let bucket = products(big.clone()).answering(|key, number| match (key, number) {
        ("p2/big", 1) => Answer::Slow,
        _ => Answer::Plain,
    });
    let (sandbox, served) = (Sandbox::new(), bucket.serve());
    sandbox.job_file(&copy_directory(&["p1", "p2", "p3"]));
    let flags = ["--connections", "4", "--json"];
    let ended = served.to(sandbox.coord()).args(flags).expect(0);
    assert!(fs::read(sandbox.path("out/p2/copy/big")).unwrap() == big);
    // Three parts, and the second request; no request has failed.
    assert!(served.gets("p2/big") > 3);
    let events = ended.events();
    assert!(events.iter().all(|event| event["event"] != "retry"));
}
