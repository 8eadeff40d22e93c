//! Few jobs and many, few bytes and none.

use std::fs;

use super::{COPY_ONE, copy_directory};
use crate::common::run::Sandbox;

/// Products `p0`, `p1` and so on with one object each, and what is in it.
fn products(sandbox: &Sandbox, count: usize) -> Vec<(String, String)> {
    let made = (0..count).map(|n| {
        let (name, text) = (format!("p{n}"), format!("bytes of product {n}"));
        sandbox.object("bucket", &format!("{name}/object"), &text);
        (name, text)
    });
    made.collect()
}

#[test]
fn jobs_and_workers_in_any_proportion() {
    for (jobs, workers) in [(25, "2"), (3, "9"), (1, "1"), (1, "4")] {
        let sandbox = Sandbox::new();
        let products = products(&sandbox, jobs);
        sandbox.job_file(COPY_ONE);
        let run = sandbox
            .coord()
            .serve()
            .args(["--workers", workers])
            .expect(0);
        assert_eq!(run.count("/jobs/done"), jobs as u64, "{run}");
        assert_eq!(run.count("/jobs/total"), jobs as u64, "{run}");
        for (name, text) in products {
            let copy = sandbox.path("out").join(&name).join("copy");
            assert_eq!(fs::read_to_string(copy).unwrap(), text);
            assert_eq!(run.job(&format!("copy/{name}"))["attempts"], 1, "{run}");
        }
    }
}

#[test]
fn no_product_is_an_error_that_says_where_it_looked() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("served/bucket")).unwrap();
    sandbox.job_file(COPY_ONE);
    let run = sandbox.coord().serve().expect(2);
    assert!(run.stderr.contains("there is no product"), "{run}");
    sandbox.object("bucket", "p1/object", "x");
    sandbox.job_file(&COPY_ONE.replace("prefix = \"\"", "match = \"q*\""));
    let run = sandbox.coord().serve().expect(2);
    assert!(run.stderr.contains("matches \"q*\""), "{run}");
    assert!(run.stderr.contains("cotec.toml:3"), "{run}");
    assert!(!sandbox.staged("bucket", "p1/object").exists());
    // Nothing in the product is what the task asks for.
    sandbox.job_file(&COPY_ONE.replace("\"*\"", "\"*.tif\""));
    let run = sandbox.coord().serve().expect(1);
    assert!(run.stderr.contains("*.tif"), "{run}");
    assert_eq!(run.job("copy/p1")["fault"], "planning");
}

#[test]
fn an_empty_object_and_one_of_a_single_byte() {
    let sandbox = Sandbox::new();
    let contents = [("empty", &b""[..]), ("one", b"1"), ("two", b"22")];
    for (name, bytes) in contents {
        sandbox.object("bucket", &format!("{name}/object"), bytes);
    }
    sandbox.job_file(COPY_ONE);
    let run = sandbox.coord().serve().expect(0);
    for (name, bytes) in contents {
        let copy = sandbox.path("out").join(name).join("copy");
        assert_eq!(fs::read(copy).unwrap(), bytes);
        let staged = sandbox.staged("bucket", &format!("{name}/object"));
        assert_eq!(fs::read(staged).unwrap(), bytes);
    }
    assert_eq!(run.count("/objects/bytes_fetched"), 3);
    // There is nothing to ask for of an empty object.
    assert_eq!(run.count("/objects/requests"), 2);
}

#[test]
fn sizes_around_parts_and_grains_arrive_whole() {
    const MIB: usize = 1 << 20;
    let sizes = [MIB - 1, MIB, MIB + 1, 8 * MIB, 8 * MIB + 1, 33 * MIB + 7];
    let sandbox = Sandbox::new();
    let bytes =
        |size: usize| -> Vec<u8> { (0..size).map(|at| (at * 7 + at / 251) as u8).collect() };
    for size in sizes {
        sandbox.object("bucket", &format!("p/{size}"), bytes(size));
    }
    sandbox.job_file(&copy_directory(&["p"]));
    let run = sandbox.coord().serve().expect(0);
    for size in sizes {
        let staged = fs::read(sandbox.staged("bucket", &format!("p/{size}"))).unwrap();
        assert!(staged == bytes(size), "{size} bytes differ");
    }
    assert_eq!(
        run.count("/objects/bytes_fetched"),
        sizes.iter().sum::<usize>() as u64
    );
}

#[test]
fn an_object_that_many_jobs_need_is_fetched_once() {
    let sandbox = Sandbox::new();
    sandbox.object("bucket", "p/object", vec![1; 1000]);
    let tasks: String = (0..20)
        .map(|n| {
            format!(
                "[[task]]\nname = \"t{n}\"\nobjects = [\"*\"]\nrun = [\"cp\", \"{{inputs}}\", \"{{out}}\"]\n"
            )
        })
        .collect();
    sandbox.job_file(&format!("[products]\nnames = [\"p\"]\n{tasks}"));
    let run = sandbox.coord().serve().expect(0);
    assert_eq!(run.count("/jobs/done"), 20);
    assert_eq!(run.count("/objects/total"), 1);
    assert_eq!(run.count("/objects/bytes_fetched"), 1000);
}
