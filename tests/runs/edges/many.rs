//! Ten thousand small objects. Times are printed (`--nocapture`), not tested.

use std::fs;

use super::copy_directory;
use crate::common::run::{Outcome, Sandbox};

fn say(what: &str, run: &Outcome) {
    println!("{what}: {:.2} s", run.seconds);
}

#[test]
fn one_product_with_ten_thousand_objects() {
    let sandbox = Sandbox::new();
    for n in 0..10_000 {
        let key = format!("p/{:02}/{n}", n % 100);
        sandbox.object("bucket", &key, format!("object {n}"));
    }
    sandbox.job_file(&copy_directory(&["p"]));
    let run = sandbox.coord().serve().expect(0);
    say("1 product x 10,000 objects", &run);
    assert_eq!(run.count("/objects/ready"), 10_000);
    assert_eq!(run.count("/jobs/done"), 1);
    for n in (0..10_000).step_by(997) {
        let copy = sandbox.path(format!("out/p/copy/{:02}/{n}", n % 100));
        assert_eq!(fs::read_to_string(copy).unwrap(), format!("object {n}"));
    }
    let again = sandbox.coord().serve().expect(0);
    say("the same again, from staging", &again);
    assert_eq!(again.count("/objects/bytes_fetched"), 0);
}

#[test]
fn a_thousand_products_with_ten_objects_each() {
    let sandbox = Sandbox::new();
    for product in 0..1000 {
        for n in 0..10 {
            let text = format!("object {n} of {product}");
            sandbox.object("bucket", &format!("p{product:03}/{n}"), text);
        }
    }
    sandbox.job_file(
        "[products]\nmatch = \"p*\"\n[[task]]\nname = \"copy\"\noutput = \"copy\"\nobjects = [\"*\"]\n\
         run = [\"cp\", \"-r\", \"{product_dir}\", \"{out}\"]\n",
    );
    let run = sandbox.coord().serve().args(["--workers", "4"]).expect(0);
    say("1,000 products x 10 objects", &run);
    assert_eq!(run.count("/objects/ready"), 10_000);
    assert_eq!(run.count("/jobs/done"), 1000);
    for product in (0..1000).step_by(97) {
        let copy = sandbox.path(format!("out/p{product:03}/copy/9"));
        let text = format!("object 9 of {product}");
        assert_eq!(fs::read_to_string(copy).unwrap(), text);
    }
}
