//! `cotec ls`, `get`, `put` and `schema`, against the embedded server.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::run::Sandbox;

/// Runs `cotec --serve served` in a sandbox: exit code, standard output, standard error.
fn cotec(sandbox: &Sandbox, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cotec"))
        .args(["--serve", "served"])
        .args(args)
        .current_dir(sandbox.path(""))
        .env_clear()
        .env("HOME", sandbox.path(""))
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The names below a directory, relative to it, in order.
fn names(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            found.extend(
                names(&entry.path())
                    .iter()
                    .map(|below| format!("{name}/{below}")),
            );
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}

#[test]
fn more_than_a_thousand_keys_go_up_and_down_and_are_listed() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("served/b")).unwrap();
    fs::create_dir_all(sandbox.path("many/sub dir")).unwrap();
    for n in 0..1234 {
        fs::write(sandbox.path(format!("many/sub dir/{n} +%é")), n.to_string()).unwrap();
    }
    fs::write(sandbox.path("many/empty"), b"").unwrap();
    let (code, _, err) = cotec(&sandbox, &["put", "many", "s3://b/up"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, out, err) = cotec(&sandbox, &["ls", "--recursive", "s3://b/up/"]);
    assert_eq!((code, out.lines().count()), (Some(0), 1235), "{err}");
    let (code, _, err) = cotec(&sandbox, &["get", "s3://b/up", "down"]);
    assert_eq!(code, Some(0), "{err}");
    assert_eq!(names(&sandbox.path("down")), names(&sandbox.path("many")));
    assert_eq!(
        fs::read(sandbox.path("down/sub dir/77 +%é")).unwrap(),
        b"77"
    );
}

#[test]
fn a_name_is_an_object_or_what_is_below_it_and_no_more() {
    let sandbox = Sandbox::new();
    for key in ["a/b/one", "a/b/two", "a/bc", "top"] {
        sandbox.object("b", key, key);
    }
    let get = |name: &str, dir: &str| {
        let (code, _, err) = cotec(&sandbox, &["get", name, dir]);
        assert_eq!(code, Some(0), "{err}");
        names(&sandbox.path(dir))
    };
    assert_eq!(get("s3://b/a/b", "1"), ["one", "two"]);
    assert_eq!(get("s3://b/a/b/", "2"), ["one", "two"]);
    assert_eq!(get("s3://b/a/b/one", "3"), ["one"]);
    assert_eq!(get("s3://b", "4"), ["a/b/one", "a/b/two", "a/bc", "top"]);
    assert_eq!(fs::read(sandbox.path("3/one")).unwrap(), b"a/b/one");
    let (code, out, err) = cotec(&sandbox, &["get", "s3://b/a/none", "5"]);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("s3://b/a/none"), "{err}");
    let (code, out, _) = cotec(&sandbox, &["--json", "get", "s3://b/top", "6"]);
    let record: serde_json::Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(
        (code, &record["schema"], &record["key"]),
        (Some(0), &1.into(), &"top".into())
    );
}

#[test]
fn what_cannot_be_done_has_its_exit_code() {
    let sandbox = Sandbox::new();
    sandbox.object("b", "k", "v");
    fs::write(sandbox.path("file"), b"").unwrap();
    let (code, _, err) = cotec(&sandbox, &["get", "s3://b/k", "file/below"]);
    assert_eq!(code, Some(4), "{err}");
    let (code, _, err) = cotec(&sandbox, &["get", "b/k", "dir"]);
    assert_eq!(code, Some(2), "{err}");
    let (code, out, _) = cotec(&sandbox, &["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0));
    assert!(schema["properties"]["task"].is_object());
}
