//! Typical mistakes: each is one message that names what is wrong and says what to do, in one
//! style, with the exit code of its kind.

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use crate::common::run::Sandbox;

const JOBS: &str = r#"
[products]
prefix = ""
[[task]]
name = "t"
output = "t"
objects = ["*"]
run = ["cp", "{inputs}", "{out}"]
"#;

const COORD: &str = env!("CARGO_BIN_EXE_cotec-coord");
const COTEC: &str = env!("CARGO_BIN_EXE_cotec");

/// What is wrong with what a command says: it is to be one error with these parts.
fn shape(stderr: &str, parts: &[&str]) -> Vec<String> {
    let mut wrong = Vec::new();
    let errors = stderr.lines().filter(|line| line.starts_with("error: "));
    let errors = errors.count();
    if errors != 1 {
        wrong.push(format!("{errors} errors"));
    }
    for part in parts {
        if !stderr.contains(part) {
            wrong.push(format!("it does not name {part:?}"));
        }
    }
    // After a semicolon, below the line that is shown, or, of a wrong flag, in the help.
    let ways = ["; ", "\n   = ", "'--help'"];
    if !ways.iter().any(|way| stderr.contains(way)) {
        wrong.push("it names no way out".to_owned());
    }
    for inside in [
        "Os {", "Error {", "Some(", "Custom {", "panicked", "cotec: ",
    ] {
        if stderr.contains(inside) {
            wrong.push(format!("it shows {inside:?}"));
        }
    }
    wrong
}

#[test]
fn each_is_one_error_with_its_place_and_the_way_out() {
    let sandbox = Sandbox::new();
    sandbox.object("b", "p/k", "v");
    sandbox.job_file(JOBS);
    fs::write(sandbox.path("file"), "kept").unwrap();
    fs::create_dir(sandbox.path("empty")).unwrap();
    let typo = JOBS.replace("objects =", "object =");
    fs::write(sandbox.path("typo.toml"), typo).unwrap();
    let nobody = JOBS.replace("prefix = \"\"", "names = [\"nothing\"]");
    fs::write(sandbox.path("nobody.toml"), nobody).unwrap();
    // Nobody listens there any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = format!("http://{}", port.local_addr().unwrap());
    drop(port);
    let closed = closed.as_str();
    let open = ["--anonymous", "--bucket", "b"];
    let at_closed = [&open[..], &["--endpoint", closed]].concat();
    let signed = ["--bucket", "b", "--endpoint", closed];
    let unreachable = ["s3://b/", closed, "network"];
    let cases: Vec<(&str, Vec<&str>, i32, &[&str])> = vec![
        (COORD, vec!["absent.toml"], 2, &["absent.toml", "--index"]),
        (
            COORD,
            vec!["--serve", "served", "typo.toml"],
            2,
            &["typo.toml:7:1", "object ", "^^^^^^", "\"objects\""],
        ),
        (
            COORD,
            vec!["--serve", "served", "nobody.toml"],
            2,
            &["nobody.toml:3:", "\"nothing\"", "^^^"],
        ),
        (COORD, vec!["--wrkers", "3"], 2, &["--wrkers", "--workers"]),
        (
            COORD,
            vec!["--order", "fastest"],
            2,
            &["fastest", "johnson"],
        ),
        (
            COORD,
            vec!["--staging-limit", "lots"],
            2,
            &["lots", "20GiB"],
        ),
        (COORD, vec!["--limit", "conections=4"], 2, &["conections"]),
        (
            COORD,
            vec!["--serve", "served", "--bucket", "c"],
            2,
            &["served", "\"c\"", "are b"],
        ),
        (COORD, vec!["--serve", "nowhere"], 2, &["nowhere"]),
        (
            COORD,
            [&open[..], &["--endpoint", "example.org"]].concat(),
            2,
            &["example.org", "https://HOST"],
        ),
        (COORD, at_closed.clone(), 3, &unreachable),
        (COORD, signed.to_vec(), 3, &["credentials", "--profile"]),
        (
            COORD,
            [&signed[..], &["--profile", "nobody"]].concat(),
            2,
            &["`nobody`", ".aws/config"],
        ),
        (
            COORD,
            [&at_closed[..], &["--ca-bundle", "none.pem"]].concat(),
            2,
            &["none.pem", "--ca-bundle"],
        ),
        (COORD, vec!["--anonymous"], 2, &["bucket", "--bucket"]),
        (
            COORD,
            vec!["--serve", "served", "--out", "file"],
            4,
            &["output directory file", "--out"],
        ),
        (
            COORD,
            vec!["--serve", "served", "--staging", "file/x"],
            4,
            &["staging directory file/x", "--staging"],
        ),
        (
            COTEC,
            vec!["--serve", "served", "ls", "s3://none/"],
            1,
            &["s3://none/", "NoSuchBucket"],
        ),
        (
            COTEC,
            vec!["--serve", "served", "ls", "s3://b/none"],
            1,
            &["s3://b/none"],
        ),
        (COTEC, vec!["ls", "b/k"], 2, &["`b/k`", "s3://bucket/key"]),
        (
            COTEC,
            vec!["--serve", "served", "get", "s3://b/none", "x"],
            1,
            &["s3://b/none", "cotec ls"],
        ),
        (
            COTEC,
            vec!["--serve", "served", "get", "s3://b/p", "file/x"],
            4,
            &["directory file/x", "another"],
        ),
        (
            COTEC,
            vec!["--serve", "served", "put", "absent", "s3://b/"],
            4,
            &["absent: cannot open"],
        ),
        (
            COTEC,
            vec!["--serve", "served", "put", "empty", "s3://b/"],
            2,
            &["empty: no file"],
        ),
        (COTEC, vec!["stat", "1"], 1, &["process 1", "--once"]),
        (
            COTEC,
            vec!["man", "--page", "x"],
            1,
            &["\"x\"", "cotec-get"],
        ),
    ];
    let mut wrong = Vec::new();
    for (program, args, code, parts) in cases {
        let output = Command::new(program)
            .args(&args)
            .current_dir(sandbox.path(""))
            .env_clear()
            .env("HOME", sandbox.path(""))
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        let mut here = shape(&stderr, parts);
        if output.status.code() != Some(code) {
            here.push(format!("{} instead of {code}", output.status));
        }
        if !here.is_empty() {
            wrong.push(format!("{args:?}: {}\n{stderr}", here.join(", ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(fs::read_to_string(sandbox.path("file")).unwrap(), "kept");
}

#[test]
fn errors_of_another_shape_are_found() {
    let good = "error: the directory x cannot be written: it is full; name another\n";
    assert!(shape(good, &["directory x"]).is_empty());
    assert_eq!(shape(good, &["--out"]).len(), 1);
    for bad in [
        "cotec: no such file; name another\n",
        "error: x: no; y\nerror: once more; y\n",
        "error: x cannot be had\n",
        "error: x: Os { code: 2, kind: NotFound }; look\n",
    ] {
        assert!(!shape(bad, &[]).is_empty(), "{bad}");
    }
}
