//! Limits of the system: open files, the size of files, the length of names. Clear errors, and
//! nothing lost.

use std::fs;

use super::memory::Bucket;
use super::{COPY_ONE, copy_directory};
use crate::common::run::{Coord, Sandbox};

/// The command under a limit of the shell: `ulimit FLAG N`.
fn limited(sandbox: &Sandbox, flag: &str, n: u64) -> Coord {
    let script = format!("ulimit {flag} {n} && exec \"$@\"");
    sandbox.coord_under("sh", &["-c", &script, "sh"])
}

fn many(count: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    for n in 0..count {
        sandbox.object("bucket", &format!("p{n:03}/object"), format!("content {n}"));
    }
    sandbox.job_file(COPY_ONE);
    sandbox
}

/// With few descriptors everything takes longer, and with too few the run says what to do.
#[test]
fn few_open_files() {
    let sandbox = many(60);
    let mut enough = false;
    for n in [10, 14, 18, 24, 32, 64, 128] {
        let run = limited(&sandbox, "-n", n).serve().run();
        match run.code {
            Some(0) => enough = true,
            Some(3 | 4) => {
                assert!(
                    !enough,
                    "{n} descriptors are too few, and fewer were enough\n{run}"
                );
                assert!(run.stderr.contains("Too many open files"), "{n}: {run}");
            }
            _ => panic!("{n} descriptors: {run}"),
        }
    }
    assert!(enough);
    for n in 0..60 {
        let copy = sandbox.path(format!("out/p{n:03}/copy"));
        assert_eq!(fs::read_to_string(copy).unwrap(), format!("content {n}"));
    }
}

/// `ulimit -f` is an error that names the object, and not the death of the downloader.
#[test]
fn an_object_larger_than_files_may_be() {
    const GIB: u64 = 1 << 30;
    let limit = 64 * GIB;
    let sandbox = many(1);
    let big = sandbox.object("bucket", "q/object", "");
    let file = fs::File::options().write(true).open(&big).unwrap();
    let disk = nix::sys::statvfs::statvfs(sandbox.path("").as_path()).unwrap();
    let free = disk.blocks_free() as u64 * disk.fragment_size() as u64;
    if free <= limit + GIB || file.set_len(limit + 1).is_err() {
        eprintln!("skipped: this disk has not 65 GiB free");
        return;
    }
    // In blocks of 512 bytes.
    let run = limited(&sandbox, "-f", limit / 512).serve().expect(4);
    assert!(run.stderr.contains("q/object"), "{run}");
    assert!(run.stderr.contains("File too large"), "{run}");
}

/// The table itself is larger than the limit.
#[test]
fn a_limit_on_files_that_not_even_the_table_fits() {
    let sandbox = many(1);
    let run = limited(&sandbox, "-f", 1 << 10).serve().expect(4);
    assert!(run.stderr.contains("ulimit -f"), "{run}");
}

/// A name that the file system cannot hold gets another; S3 allows 1,024 bytes.
#[test]
fn keys_and_products_as_long_as_can_be() {
    let long = "n".repeat(300);
    let product = format!("{long}/{}", "m".repeat(256));
    let keys = [
        format!("{product}/{}", "k".repeat(1024 - product.len() - 1)),
        format!("{product}/{}x", "d/".repeat((1024 - product.len()) / 2 - 1)),
    ];
    let served = Bucket::new(keys.iter().map(|key| (key.as_str(), key.as_str()))).serve();
    let sandbox = Sandbox::new();
    sandbox.job_file(&copy_directory(&[&product]));
    let run = served.to(sandbox.coord()).expect(0);
    assert_eq!(run.count("/objects/total"), 2, "{run}");
}

/// A staging directory below which no key has a path.
#[test]
fn a_staging_directory_with_too_long_a_path() {
    let sandbox = many(1);
    let deep = format!("{}x", "directory/".repeat(408));
    let run = sandbox.coord().serve().args(["--staging", &deep]).expect(4);
    assert!(run.stderr.contains("File name too long"), "{run}");
    assert!(run.stderr.contains("--staging"), "{run}");
}
