//! Directories that cannot be written, are in use, or are full: exit code 4, and nothing half
//! done.

use std::fs;
use std::path::Path;
use std::process::Command;

use cotec::raster::{SampleSpec, write_sample};
use nix::sys::stat::Mode;

use super::{COPY_ONE, copy_directory};
use crate::common::run::{Outcome, Sandbox};

fn one_product() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.object("bucket", "p/object", "bytes");
    sandbox.job_file(COPY_ONE);
    sandbox
}

#[test]
fn a_staging_or_output_directory_that_cannot_be_written() {
    let sandbox = one_product();
    fs::write(sandbox.path("file"), "kept").unwrap();
    // A file, something below a file, and a file system in which nobody can make anything.
    let mut places = vec!["file", "file/below", "/proc/cotec"];
    let closed = sandbox.path("closed");
    fs::create_dir(&closed).unwrap();
    let mut mode = fs::metadata(&closed).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(&closed, mode).unwrap();
    // Root may write it all the same.
    if fs::write(closed.join("try"), "").is_err() {
        places.extend(["closed", "closed/below"]);
    }
    for place in places {
        for flag in ["--staging", "--out"] {
            let run = sandbox.coord().serve().args([flag, place]).expect(4);
            assert!(run.stderr.starts_with("error: the "), "{run}");
            assert!(run.stderr.contains(place), "{run}");
            assert!(run.stderr.contains(flag), "{run}");
            assert_eq!(run.stdout, "", "{run}");
        }
    }
    assert_eq!(fs::read_to_string(sandbox.path("file")).unwrap(), "kept");
}

#[test]
fn two_runs_do_not_work_in_one_staging_directory() {
    let sandbox = one_product();
    // The first run's job waits for somebody to write into this pipe.
    let pipe = sandbox.path("pipe");
    nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let waits = COPY_ONE.replace("\"{inputs}\"", &format!("{pipe:?}"));
    fs::write(sandbox.path("waits.toml"), waits).unwrap();
    let mut first = sandbox
        .coord()
        .serve()
        .args(["--json", "waits.toml"])
        .spawn();
    assert!(first.printed("\"job-running\""), "{}", first.wait());
    // The second run has its own sandbox for what it prints, and the same staging directory.
    let other = one_product();
    let staging = sandbox.path(".cotec/staging");
    let second = other
        .coord()
        .serve()
        .arg_path("--staging", &staging)
        .expect(4);
    assert!(second.stderr.contains("another run"), "{second}");
    assert!(second.stderr.contains("--staging"), "{second}");
    fs::write(&pipe, "through the pipe").unwrap();
    let first = first.wait();
    assert_eq!(first.code, Some(0), "{first}");
    let copy = fs::read_to_string(sandbox.path("out/p/copy")).unwrap();
    assert_eq!(copy, "through the pipe");
    // The lock is gone with the run.
    other
        .coord()
        .serve()
        .arg_path("--staging", &staging)
        .expect(0);
}

#[test]
fn an_object_larger_than_the_disk_is_refused_at_once() {
    let sandbox = one_product();
    let disk = nix::sys::statvfs::statvfs(sandbox.path("").as_path()).unwrap();
    let huge = 8u64 << 40;
    let big = sandbox.object("bucket", "q/object", "");
    let file = fs::File::options().write(true).open(&big).unwrap();
    if disk.blocks_free() as u64 * disk.fragment_size() as u64 >= huge
        || file.set_len(huge).is_err()
    {
        eprintln!("skipped: a file of 8 TiB cannot be here, or would fit on this disk");
        return;
    }
    let run = sandbox.coord().serve().expect(4);
    full(&run, "--staging");
    assert!(run.stderr.contains("q/object"), "{run}");
    assert!(!sandbox.staged("bucket", "q/object").exists());
    // The other product may have been under way; nothing of this one has taken space.
    let landing = fs::read_dir(sandbox.path(".cotec/staging/%~landing")).unwrap();
    let sizes = landing.map(|entry| entry.unwrap().metadata().unwrap().len());
    assert!(sizes.sum::<u64>() < 1000);
    assert!(!sandbox.path("out/q/copy").exists());
}

fn full(run: &Outcome, flag: &str) {
    let text = run.stderr.clone() + &run.stdout;
    assert!(text.contains("No space left on device"), "{run}");
    assert!(text.contains(flag), "{run}");
}

/// Whether a small file system can be mounted here, without being root, where only one command
/// sees it.
fn can_mount() -> bool {
    let probe = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "mount"])
        .args(["-t", "tmpfs", "-o", "size=1m", "none", "/mnt"])
        .output();
    let can = probe.is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: no file system can be mounted here with unshare");
    }
    can
}

/// A run that sees a file system of one MiB at `directory`. What it leaves there is copied to
/// `left` when it ends.
fn on_small_disk(sandbox: &Sandbox, directory: &str, args: &[&str], code: i32) -> Outcome {
    fs::create_dir_all(sandbox.path(directory)).unwrap();
    let script = "mount -t tmpfs -o size=1m none \"$0\" || exit 99\n\
                  \"$@\"\ncode=$?\ncp -r \"$0\" left\nexit $code";
    let unshare = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let under: Vec<&str> = unshare.into_iter().chain([script, directory]).collect();
    let coord = sandbox.coord_under("unshare", &under);
    coord.serve().args(args).expect(code)
}

#[test]
fn a_full_staging_disk_stops_the_run() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    // Each would fit, and not all of them.
    for n in 0..8 {
        sandbox.object("bucket", &format!("p{n}/object"), vec![n; 300_000]);
    }
    sandbox.job_file(COPY_ONE);
    let run = on_small_disk(&sandbox, "small", &["--staging", "small"], 4);
    full(&run, "--staging");
    // What is there is whole.
    for n in 0..8u8 {
        let staged = sandbox.path(format!("left/bucket/p{n}/object"));
        if staged.exists() {
            assert!(fs::read(staged).unwrap() == vec![n; 300_000]);
        }
    }
    // With room the same command does the rest.
    sandbox.coord().serve().expect(0);
}

/// A command that fills the disk of the results has failed; what it wrote goes, and the others
/// have the room.
#[test]
fn a_command_that_fills_the_output_disk_fails_alone() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    for product in ["p1", "p2", "p3"] {
        sandbox.object("bucket", &format!("{product}/object"), product);
    }
    sandbox.job_file(
        r#"
        [products]
        prefix = ""
        [[task]]
        name = "copy"
        output = "copy"
        objects = ["*"]
        run = ["sh", "-c", "case $1 in p2) cat /dev/zero > $0;; *) cat $2 > $0;; esac", "{out}", "{product}", "{inputs}"]
        "#,
    );
    let args = ["--workers", "1", "--out", "small"];
    let run = on_small_disk(&sandbox, "small", &args, 1);
    let summary = fs::read_to_string(sandbox.path("left/summary.json")).unwrap();
    let summary: serde_json::Value = serde_json::from_str(&summary).unwrap();
    let results = summary["results"].as_array().unwrap();
    let failed: Vec<_> = results.iter().filter(|r| r["state"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{run}");
    assert_eq!(
        (&failed[0]["job"], &failed[0]["fault"]),
        (&"copy/p2".into(), &"processor".into())
    );
    for product in ["p1", "p3"] {
        let copy = sandbox.path(format!("left/{product}/copy"));
        assert_eq!(fs::read_to_string(copy).unwrap(), product);
    }
    assert!(!sandbox.path("left/p2/copy").exists());
}

/// What is left on a disk becomes read-only, as after an error of the device.
#[test]
fn a_read_only_staging_or_output_directory() {
    if !can_mount() {
        return;
    }
    for flag in ["--staging", "--out"] {
        let sandbox = one_product();
        fs::create_dir(sandbox.path("closed")).unwrap();
        let script = "mount -t tmpfs -o ro none closed || exit 99\nexec \"$@\"";
        let unshare = [
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            script,
            "sh",
        ];
        let coord = sandbox.coord_under("unshare", &unshare);
        let run = coord.serve().args([flag, "closed"]).expect(4);
        assert!(run.stderr.contains("Read-only file system"), "{run}");
        assert!(run.stderr.contains(flag), "{run}");
    }
}

#[test]
fn a_full_output_disk_stops_the_run() {
    if !can_mount() {
        return;
    }
    let sandbox = Sandbox::new();
    let spec = SampleSpec {
        products: 2,
        size: 1024,
    };
    write_sample(&sandbox.path("served/bucket"), &spec).unwrap();
    sandbox.job_file("[products]\nprefix = \"\"\n[[task]]\nindex = \"ndvi\"\n");
    let run = on_small_disk(&sandbox, "small", &["--out", "small"], 4);
    full(&run, "--out");
    let mut images = Vec::new();
    find(&sandbox.path("left"), &mut images);
    assert!(images.is_empty(), "{images:?}");
}

/// Images below a directory: half-written ones would be among them.
fn find(at: &Path, images: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.extension().and_then(|e| e.to_str()) {
            _ if entry.is_dir() => find(&entry, images),
            Some("tif" | "png") => images.push(entry),
            _ => {}
        }
    }
}

#[test]
fn what_stands_in_the_way_in_staging_is_named_and_kept() {
    let sandbox = Sandbox::new();
    sandbox.object("bucket", "p/a/b", "bytes");
    sandbox.job_file(&copy_directory(&["p"]));
    fs::create_dir_all(sandbox.path(".cotec/staging/bucket")).unwrap();
    let wall = sandbox.path(".cotec/staging/bucket/p");
    fs::write(&wall, "from another time").unwrap();
    let run = sandbox.coord().serve().expect(1);
    let error = run.job("copy/p")["error"].as_str().unwrap();
    assert!(
        error.contains(&format!("{} is a file", wall.display())),
        "{run}"
    );
    let text = fs::read_to_string(&wall).unwrap();
    assert_eq!(text, "from another time");
    fs::remove_file(&wall).unwrap();
    sandbox.coord().serve().expect(0);
}
