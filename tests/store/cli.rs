//! `cotec ls` and `cotec put` as a user runs them, against the embedded server.

use std::fs;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::store_common::{ACCESS, SECRET, Served};

fn cotec(url: &str, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cotec"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .args(args)
        .env("HOME", "/nonexistent")
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", ACCESS)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .output()
        .unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn put_and_ls() {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("bucket")).unwrap();
    let source = TempDir::new().unwrap();
    fs::create_dir(source.path().join("sub dir")).unwrap();
    let mut expected = Vec::new();
    for n in 0..1_200 {
        let name = if n % 2 == 0 {
            format!("{n}+ü")
        } else {
            format!("sub dir/{n}")
        };
        fs::write(source.path().join(&name), name.as_bytes()).unwrap();
        expected.push(format!("in/{name}"));
    }
    expected.sort();
    let source = source.path().to_str().unwrap();
    let server = Served::directory(root.path());

    let (code, out, err) = cotec(&server.url, &["put", source, "s3://bucket/in"]);
    assert_eq!((code, out.lines().count(), err.as_str()), (0, 1_200, ""));

    let (code, out, err) = cotec(
        &server.url,
        &["ls", "--recursive", "--json", "s3://bucket/"],
    );
    assert_eq!((code, err.as_str()), (0, ""));
    let records: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let keys: Vec<&str> = records.iter().map(|r| r["key"].as_str().unwrap()).collect();
    assert_eq!(keys, expected);
    assert!(
        records
            .iter()
            .all(|r| r["schema"] == 1 && r["size"].as_u64().unwrap() > 0)
    );

    let (code, out, _) = cotec(&server.url, &["ls", "s3://bucket/in/"]);
    assert_eq!((code, out.lines().count()), (0, 601));
    assert!(
        out.lines().next().unwrap().ends_with("  in/sub dir/"),
        "{out}"
    );
    let (code, out, _) = cotec(&server.url, &["ls", "s3://bucket/in/0"]);
    assert_eq!((code, out.lines().count()), (0, 1));
    assert!(
        out.contains(" 4  20") && out.trim_end().ends_with("Z  in/0+ü"),
        "{out}"
    );

    let file = format!("{source}/0+ü");
    for (target, key) in [
        ("s3://bucket", "0+ü"),
        ("s3://bucket/d/", "d/0+ü"),
        ("s3://bucket/k", "k"),
    ] {
        let (code, out, _) = cotec(&server.url, &["put", &file, target]);
        assert_eq!(
            (code, out.trim_end()),
            (0, format!("s3://bucket/{key}").as_str())
        );
        assert!(root.path().join("bucket").join(key).is_file());
    }
}

#[test]
fn exit_codes() {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("bucket")).unwrap();
    let server = Served::directory(root.path());
    let nobody = "http://127.0.0.1:1";
    let here = root.path().to_str().unwrap();
    for (url, args, expected, says) in [
        (server.url.as_str(), &["ls", "s3://bucket"][..], 0, ""),
        (
            &server.url,
            &["ls", "s3://bucket/nothing"],
            1,
            "no key begins with",
        ),
        (&server.url, &["ls", "s3://absent"], 1, "NoSuchBucket"),
        (&server.url, &["ls", "bucket/x"], 2, "s3://bucket/prefix"),
        (
            &server.url,
            &["ls", "--bucket", "other", "s3://bucket"],
            2,
            "two buckets",
        ),
        (
            &server.url,
            &["ls", "--profile", "absent", "s3://bucket"],
            2,
            "profile `absent`",
        ),
        (
            &server.url,
            &["ls", "--endpoint", "nowhere", "s3://bucket"],
            2,
            "scheme is missing",
        ),
        (
            &server.url,
            &["ls", "--anonymous", "s3://bucket"],
            3,
            "refused",
        ),
        (nobody, &["ls", "s3://bucket"], 3, "check the endpoint"),
        (
            &server.url,
            &["put", "/nonexistent", "s3://bucket"],
            4,
            "/nonexistent",
        ),
        (
            &server.url,
            &["put", here, "s3://absent/x"],
            2,
            "no file in it",
        ),
    ] {
        let (code, out, err) = cotec(url, args);
        assert_eq!(code, expected, "{args:?}: {out}{err}");
        assert!(err.contains(says), "{args:?}: {err}");
        assert!(!err.contains("X-Amz"), "{err}");
    }
}
