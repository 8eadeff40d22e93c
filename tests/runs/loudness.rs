//! What a person sees: help, completions, man pages, and how much is said.

use std::process::Command;

use crate::common::run::{Coord, Sandbox};

/// Fails for one of its products.
const JOBS: &str = r#"
[store]
bucket = "b"
[products]
prefix = ""
[[task]]
name = "t"
run = ["sh", "-c", 'case "$1" in bad) exit 3;; esac; echo > "$0"', "{out}", "{product}"]
objects = ["*"]
"#;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for product in ["bad", "good"] {
        sandbox.object("b", &format!("{product}/x"), "x");
    }
    sandbox.job_file(JOBS);
    sandbox
}

fn cotec(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cotec"));
    let output = command.args(args).env("COLUMNS", "80").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn short_help_fits_a_screen_and_long_help_has_examples() {
    let help = |arg| {
        Sandbox::new()
            .coord()
            .args([arg])
            .env("COLUMNS", "80")
            .expect(0)
            .stdout
    };
    let short = help("-h");
    assert!(short.lines().count() <= 24, "{short}");
    assert!(
        short.lines().all(|line| line.chars().count() <= 80),
        "{short}"
    );
    let long = help("--help");
    assert!(
        long.contains("Examples:") && long.contains("--signature-version"),
        "{long}"
    );
    let short = cotec(&["-h"]);
    assert!(short.lines().count() <= 24, "{short}");
    assert!(cotec(&["--help"]).contains("Examples:"));
}

#[test]
fn completions_and_pages_know_the_options_of_both_commands() {
    let script = cotec(&["completions", "bash"]);
    assert!(script.contains("--recursive") && script.contains("--workers"));
    let bash = Command::new("bash").args(["-n", "-c", &script]).status();
    assert!(bash.unwrap().success(), "it is no shell script");
    let page = cotec(&["man"]);
    assert!(
        page.contains(".TH cotec-coord 1") && page.contains("\\-\\-workers"),
        "{page}"
    );
    assert!(page.contains("Examples:"), "{page}");
    let sandbox = Sandbox::new();
    let dir = sandbox.path("man");
    cotec(&["man", dir.to_str().unwrap()]);
    for name in ["cotec-coord", "cotec", "cotec-ls", "cotec-get", "cotec-put"] {
        let page = std::fs::read_to_string(dir.join(format!("man1/{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{page}");
    }
}

#[test]
fn the_quiet_hear_only_what_failed() {
    let sandbox = sandbox();
    let outcome = sandbox.coord().serve().args(["-q"]).expect(1);
    assert_eq!(outcome.stdout, "", "{outcome}");
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{outcome}");
    assert!(lines[0].starts_with("failed: t/bad: "), "{outcome}");
}

#[test]
fn the_verbose_hear_every_move_in_a_line() {
    let sandbox = sandbox();
    let outcome = sandbox.coord().serve().args(["-v"]).expect(1);
    for said in [
        "object wanted good/x",
        "object fetching good/x",
        "object ready good/x (1 B of 1 B fetched, verified: ",
        "job waiting t/good",
        "job running t/good",
        "job done t/good (",
    ] {
        let times = outcome.stderr.matches(said).count();
        assert_eq!(times, 1, "{said}: {outcome}");
    }
    assert!(outcome.stderr.contains("worker-"), "{outcome}");
    assert!(
        !outcome.stderr.contains('\u{1b}'),
        "a file has colours: {outcome}"
    );
}

/// `cotec` in a sandbox: standard output and standard error of a success.
fn by_hand(sandbox: &Sandbox, args: &[&str]) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cotec"));
    command.args(["--serve", "served"]).args(args).env_clear();
    let output = command.current_dir(sandbox.path("")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn by_hand_the_quiet_hear_nothing_and_the_verbose_every_move() {
    let sandbox = sandbox();
    std::fs::write(sandbox.path("file"), "12345").unwrap();
    let (ls, get, put) = (
        ["ls", "-r", "s3://b/"],
        ["get", "s3://b/", "got"],
        ["put", "file", "s3://b/up/"],
    );
    let quietly = |args: &[&str]| by_hand(&sandbox, &[&["-q"], args].concat());
    for args in [&get, &put] {
        assert_eq!(quietly(args), Default::default(), "{args:?}");
    }
    // A listing is what was asked for.
    let (out, err) = quietly(&ls);
    assert_eq!((out.lines().count(), err.as_str()), (3, ""), "{out}");
    assert!(sandbox.path("got/good/x").exists() && sandbox.path("served/b/up/file").exists());
    assert_eq!(by_hand(&sandbox, &put).0, "s3://b/up/file\n");
    let (out, _) = by_hand(&sandbox, &[&["-v"], &put[..]].concat());
    assert!(
        out.starts_with("s3://b/up/file (5 B, compared by "),
        "{out}"
    );
    let (out, err) = by_hand(&sandbox, &[&["-v"], &ls[..]].concat());
    assert_eq!(out.lines().count(), 3, "{out}");
    assert!(err.contains("3 objects, 7 B\n"), "{err}");
    let (_, err) = by_hand(&sandbox, &["-v", "get", "s3://b/", "again"]);
    for said in [
        "object wanted good/x",
        "object fetching good/x",
        "object ready good/x (1 B of",
    ] {
        assert_eq!(err.matches(said).count(), 1, "{said}: {err}");
    }
}

/// Runs it on a terminal of its own, as `script` makes one; gives what appeared there.
fn on_a_terminal(sandbox: &Sandbox, environment: &[(&str, &str)]) -> String {
    let program = env!("CARGO_BIN_EXE_cotec-coord");
    let line = format!("{program} --serve served -vv");
    let mut command = Command::new("script");
    command
        .args(["-qec", &line, "/dev/null"])
        .current_dir(sandbox.path(""))
        .env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", sandbox.path("")).env("TERM", "xterm");
    command.envs(environment.iter().copied());
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_terminal_gets_colours_unless_it_is_to_stay_plain() {
    let coloured = on_a_terminal(&sandbox(), &[]);
    assert!(
        coloured.contains("\u{1b}[31mfailed\u{1b}[0m: t/bad"),
        "{coloured}"
    );
    let plain = on_a_terminal(&sandbox(), &[("NO_COLOR", "1")]);
    assert!(plain.contains("failed: t/bad"), "{plain}");
    let colour = plain.split("\u{1b}[").skip(1).find(|text| {
        let end = text.find(|c: char| c.is_ascii_alphabetic());
        end.is_some_and(|at| text[at..].starts_with('m'))
    });
    assert!(colour.is_none(), "{plain}");
}

#[test]
fn log_lines_name_their_process() {
    let sandbox = sandbox();
    let run: Coord = sandbox.coord().serve().env("RUST_LOG", "cotec=trace");
    let outcome = run.expect(1);
    assert!(outcome.stderr.contains("Z planner["), "{outcome}");
}
