//! What is in staging is used again as long as it is what the store has.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use super::copy_directory;
use crate::common::run::Sandbox;

#[test]
fn a_second_run_fetches_only_what_is_not_in_staging_as_the_store_has_it() {
    let sandbox = Sandbox::new();
    for (key, size) in [("p/a", 1000), ("p/b", 200), ("p/c", 30), ("p/d", 0)] {
        sandbox.object("bucket", key, vec![b'x'; size]);
    }
    sandbox.job_file(&copy_directory(&["p"]));
    let fetched = || {
        let run = sandbox.coord().serve().args(["--fresh"]).expect(0);
        assert_eq!(run.count("/jobs/done"), 1);
        assert_eq!(run.count("/objects/ready"), 4);
        run.count("/objects/bytes_fetched")
    };
    assert_eq!(fetched(), 1230);
    assert_eq!(fetched(), 0);

    // Written to by somebody, though of the same size.
    let staged = sandbox.staged("bucket", "p/b");
    fs::write(&staged, vec![b'?'; 200]).unwrap();
    let later = SystemTime::now() + Duration::from_secs(5);
    let file = File::options().write(true).open(&staged).unwrap();
    file.set_modified(later).unwrap();
    assert_eq!(fetched(), 200);
    assert_eq!(fs::read(&staged).unwrap(), vec![b'x'; 200]);

    // Cut, and removed.
    fs::write(sandbox.staged("bucket", "p/a"), b"").unwrap();
    fs::remove_file(sandbox.staged("bucket", "p/c")).unwrap();
    assert_eq!(fetched(), 1030);

    // Replaced in the store by an object of the same size.
    sandbox.object("bucket", "p/c", vec![b'y'; 30]);
    assert_eq!(fetched(), 30);
    let copy = fs::read(sandbox.path("out/p/copy/c")).unwrap();
    assert_eq!(copy, vec![b'y'; 30]);
    assert_eq!(fetched(), 0);

    // The record of what landed is damaged: that costs a download and no more.
    let record = sandbox.path(".cotec/staging/%~landed.jsonl");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, &text[..text.len() - 40]).unwrap();
    fetched();
    fs::write(&record, "\u{0}\u{1}{\n[]\n{\"schema\":1}\n").unwrap();
    assert_eq!(fetched(), 1230);
    assert_eq!(fetched(), 0);
}

#[test]
fn buckets_do_not_share_what_is_in_staging() {
    let sandbox = Sandbox::new();
    sandbox.object("one", "p/a", "1");
    sandbox.object("two", "p/a", "22");
    sandbox.job_file(&copy_directory(&["p"]));
    for (bucket, text) in [("one", "1"), ("two", "22"), ("one", "1")] {
        let args = ["--bucket", bucket];
        sandbox.coord().serve().args(args).expect(0);
        let copy = fs::read_to_string(sandbox.path("out/p/copy/a")).unwrap();
        assert_eq!(copy, text);
    }
}
