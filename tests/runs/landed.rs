//! What landed before a run was killed is not fetched again.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};

use cotec::store::{Algorithm, Summer};
use nix::sys::signal::Signal;

use crate::common::processes::{all_gone, none_left, send, until};
use crate::common::run::{Coord, Sandbox};
use crate::keeper::{Item, Keeper};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 40 * MIB + 12_345;
const KEY: &str = "p/big";

/// Copies the only object of the only product.
const COPY: &str = r#"
    [store]
    bucket = "bucket"
    [products]
    prefix = ""
    [[task]]
    name = "copy"
    output = "copy"
    objects = ["*"]
    run = ["cp", "{inputs}", "{out}"]
"#;

fn contents(salt: u64) -> Vec<u8> {
    let word = |n: u64| (n ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let mut bytes: Vec<u8> = (0..SIZE / 8 + 1).flat_map(word).collect();
    bytes.truncate(SIZE as usize);
    bytes
}

/// A store with one large object, which it has from `held_from` on only when it is opened.
fn keeper(bytes: &[u8], held_from: Option<u64>) -> Keeper {
    let keeper = Keeper::new();
    let sum = Summer::of(Algorithm::Md5, bytes).to_string();
    keeper.put(
        KEY,
        Item {
            bytes: bytes.to_vec(),
            etag: sum.trim_start_matches("MD5 ").to_owned(),
            held_from,
            ..Item::default()
        },
    );
    keeper
}

/// What the landing files below a staging directory hold according to their records.
fn landed(staging: &Path) -> u64 {
    let files = fs::read_dir(staging.join("%~landing"))
        .into_iter()
        .flatten()
        .flatten();
    let records = files.filter(|f| f.path().extension().is_some_and(|e| e == "parts"));
    let text: String = records
        .filter_map(|r| fs::read_to_string(r.path()).ok())
        .collect();
    let lines = text.lines().skip(1);
    let ranges = lines.filter_map(|l| l.split_once(' '));
    ranges
        .map(|(from, to)| to.parse::<u64>().unwrap() - from.parse::<u64>().unwrap())
        .sum()
}

fn ranges(sent: &[(u64, u64)]) -> Vec<Range<u64>> {
    sent.iter().map(|(from, len)| *from..from + len).collect()
}

fn bytes_of(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|r| r.end - r.start).sum()
}

/// Waits until all that the store sent has landed, with further requests held back.
fn wait_until_landed(keeper: &Keeper, staging: &Path) -> Vec<Range<u64>> {
    keeper.wait_until_held();
    let mut sent = Vec::new();
    until("what was sent to land", || {
        sent.extend(keeper.sent(KEY));
        let landed = landed(staging);
        (landed > 0 && landed == bytes_of(&ranges(&sent))).then_some(())
    });
    ranges(&sent)
}

fn coord(sandbox: &Sandbox, keeper: &Keeper) -> Coord {
    keeper.use_by(sandbox.coord()).args(["--json"])
}

/// Kills a run that has fetched a part of the object; which ranges it had.
fn killed_half_way(sandbox: &Sandbox, bytes: &[u8]) -> Vec<Range<u64>> {
    sandbox.job_file(COPY);
    let keeper = keeper(bytes, Some(16 * MIB));
    let running = coord(sandbox, &keeper).spawn();
    let before = wait_until_landed(&keeper, &sandbox.path(".cotec/staging"));
    send(running.pid(), Signal::SIGKILL);
    assert_eq!(running.wait().signal, Some(9));
    all_gone(sandbox);
    before
}

#[test]
fn a_killed_run_is_gone_on_with_where_it_was() {
    let sandbox = Sandbox::new();
    let bytes = contents(1);
    let before = killed_half_way(&sandbox, &bytes);
    let keeper = keeper(&bytes, None);
    let outcome = coord(&sandbox, &keeper).expect(0);
    let after = ranges(&keeper.sent(KEY));
    println!("before the kill {before:?}, after it {after:?}");
    let again = |a: &Range<u64>| before.iter().any(|b| a.start < b.end && b.start < a.end);
    assert!(!after.iter().any(again), "{before:?} {after:?}");
    assert_eq!(bytes_of(&before) + bytes_of(&after), SIZE);
    assert_eq!(outcome.count("/objects/bytes_fetched"), bytes_of(&after));
    assert_eq!(outcome.count("/objects/verified/md5"), 1);
    assert!(fs::read(sandbox.path("out/p/copy")).unwrap() == bytes);
    none_left(&sandbox);
    let left = fs::read_dir(sandbox.path(".cotec/staging/%~landing")).unwrap();
    assert_eq!(left.count(), 0);
}

#[test]
fn another_object_under_the_key_is_fetched_whole() {
    let sandbox = Sandbox::new();
    killed_half_way(&sandbox, &contents(1));
    let bytes = contents(2);
    let keeper = keeper(&bytes, None);
    let outcome = coord(&sandbox, &keeper).expect(0);
    assert_eq!(outcome.count("/objects/bytes_fetched"), SIZE);
    assert!(fs::read(sandbox.path("out/p/copy")).unwrap() == bytes);
}

/// The bytes that landed are damaged while no run goes on.
#[test]
fn what_landed_is_not_believed_without_a_look() {
    let sandbox = Sandbox::new();
    let bytes = contents(1);
    killed_half_way(&sandbox, &bytes);
    let staging = sandbox.path(".cotec/staging/%~landing");
    for file in fs::read_dir(&staging).unwrap().flatten() {
        if file.path().extension().is_none() {
            use std::os::unix::fs::FileExt;
            let file = fs::File::options().write(true).open(file.path()).unwrap();
            file.write_all_at(b"?", 5).unwrap();
        }
    }
    let keeper = keeper(&bytes, None);
    let outcome = coord(&sandbox, &keeper).expect(0);
    assert!(
        outcome.stdout.contains("\"fault\":\"corrupt\""),
        "{outcome}"
    );
    assert!(fs::read(sandbox.path("out/p/copy")).unwrap() == bytes);
}

#[test]
fn a_killed_get_is_gone_on_with_where_it_was() {
    let sandbox = Sandbox::new();
    let bytes = contents(3);
    let get = |keeper: &Keeper| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cotec"));
        command
            .args(["--endpoint", &keeper.url, "--region", "us-east-1"])
            .args(["get", "s3://bucket/p", "down"])
            .current_dir(sandbox.path(""))
            .env_clear()
            .env("HOME", sandbox.path(""))
            .env("AWS_ACCESS_KEY_ID", "access")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .stderr(Stdio::piped());
        command
    };
    let held = keeper(&bytes, Some(16 * MIB));
    let mut first = get(&held).spawn().unwrap();
    let before = wait_until_landed(&held, &sandbox.path("down"));
    first.kill().unwrap();
    first.wait().unwrap();
    let keeper = keeper(&bytes, None);
    let second = get(&keeper).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(second.status.success(), "{said}");
    assert!(said.contains("verified: 1 by MD5"), "{said}");
    assert_eq!(
        bytes_of(&before) + bytes_of(&ranges(&keeper.sent(KEY))),
        SIZE
    );
    assert!(fs::read(sandbox.path("down/big")).unwrap() == bytes);
    assert_eq!(fs::read_dir(sandbox.path("down")).unwrap().count(), 1);
}
