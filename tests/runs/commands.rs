//! Commands as processors: their arguments, environment, output, failures, and what they leave
//! behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::common::processes::{living, no_scratch, none_left, until};
use crate::common::run::{Outcome, Sandbox};
use cotec::raster::{SampleSpec, write_sample};
use cotec::table::Table;
use cotec::values::JobState;

const SECRET: &str = "wJalrXUtnFEMI-very-secret";

/// A job file with one task, whose `run` is given as TOML.
fn job_file(run: &str, more: &str) -> String {
    format!(
        "[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nrun = {run}\noutput = \"t.out\"\n{more}\n"
    )
}

/// A sandbox with the product `p` of two bands.
fn sandbox(run: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.object("b", "p/B01.tif", b"one");
    sandbox.object("b", "p/B02.tif", b"two");
    sandbox.job_file(&job_file(run, "bands = [\"B01\"]"));
    sandbox
}

/// Runs a task that is a shell script, and expects an exit code. `$0` is the output.
fn script(text: &str, code: i32) -> (Sandbox, Outcome) {
    let sandbox = sandbox(&format!("[\"sh\", \"-c\", '''{text}''', \"{{out}}\"]"));
    let outcome = sandbox.coord().serve().expect(code);
    none_left(&sandbox);
    no_scratch(&sandbox);
    (sandbox, outcome)
}

fn result(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("out/p/t.out")).unwrap()
}

fn log(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("out/p/t.log")).unwrap()
}

#[test]
fn arguments_are_filled_in_and_never_seen_by_a_shell() {
    let sandbox = Sandbox::new();
    let product = "we ird;$(touch pwned)`touch pwned`'\"&|*";
    sandbox.object("b", &format!("{product}/B01.tif"), b"one");
    sandbox.object("b", &format!("{product}/B02.tif"), b"two");
    let run = r#"["sh", "-c", 'for a in "$@"; do printf "%s\n" "$a"; done > "$0"', "{out}",
        "a  b", "$(touch pwned)", "; touch pwned", "'\"\\", "", "*", "{{x}}", "{B01}", "<{product}>",
        "{product_dir}", "{prefix}", "{job}", "{task}", "{staging}", "{inputs}", "in={B02}"]"#;
    sandbox.job_file(&job_file(run, ""));
    sandbox.coord().serve().expect(0);
    assert!(!sandbox.path("pwned").exists());
    let staging = fs::canonicalize(sandbox.path(".cotec/staging")).unwrap();
    let dir = staging.join("b").join(product);
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let text = fs::read_to_string(sandbox.path("out").join(product).join("t.out")).unwrap();
    let expected = [
        "a  b".to_owned(),
        "$(touch pwned)".to_owned(),
        "; touch pwned".to_owned(),
        "'\"\\".to_owned(),
        String::new(),
        "*".to_owned(),
        "{x}".to_owned(),
        path(&dir.join("B01.tif")),
        format!("<{product}>"),
        path(&dir),
        format!("{product}/"),
        format!("t/{product}"),
        "t".to_owned(),
        path(&staging),
        path(&dir.join("B01.tif")),
        path(&dir.join("B02.tif")),
        format!("in={}", path(&dir.join("B02.tif"))),
    ];
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn the_environment_has_what_a_processor_needs_and_no_credentials() {
    let run = "[\"sh\", \"-c\", 'env; echo parent; tr \"\\000\" \"\\n\" < /proc/$$/environ; : > \"$0\"', \"{out}\"]";
    let sandbox = sandbox(run);
    let outcome = sandbox
        .coord()
        .serve()
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env("AWS_ACCESS_KEY_ID", "AKIDVERYSECRET")
        .env("AWS_SESSION_TOKEN", SECRET)
        .env("aws_profile", "none")
        .env("KEPT", "yes")
        .expect(0);
    let log = log(&sandbox);
    let has = |line: &str| log.lines().any(|l| l == line);
    let staging = fs::canonicalize(sandbox.path(".cotec/staging")).unwrap();
    assert!(
        has("COTEC_JOB=t/p") && has("COTEC_TASK=t") && has("COTEC_PRODUCT=p") && has("KEPT=yes")
    );
    assert!(has(&format!("COTEC_STAGING={}", staging.display())));
    assert!(has(&format!(
        "COTEC_PRODUCT_DIR={}",
        staging.join("b/p").display()
    )));
    assert!(log.contains("COTEC_TABLE=/proc/") && log.contains("COTEC_OUT=/"));
    assert!(log.contains("COTEC_THREADS=") && log.contains("COTEC_SCRATCH=/"));
    assert!(!log.to_ascii_uppercase().contains("AWS_"), "{log}");
    for text in [&log, &outcome.stdout, &outcome.stderr] {
        assert!(!text.contains(SECRET) && !text.contains("AKIDVERYSECRET"));
    }
}

#[test]
fn a_command_starts_as_programs_expect_it() {
    // An empty standard input, and no signal blocked. No shell here: it would tidy up itself.
    let (sandbox, outcome) = script("cat; : > \"$0\"", 0);
    assert!(!sandbox.path("out/p/t.log").exists() && outcome.job("t/p")["log"].is_null());
    let sandbox = self::sandbox("[\"cp\", \"/proc/self/status\", \"{out}\"]");
    sandbox.coord().serve().expect(0);
    let status = result(&sandbox);
    let blocked = status.lines().find(|line| line.starts_with("SigBlk"));
    assert_eq!(blocked, Some("SigBlk:\t0000000000000000"));
}

#[test]
fn what_a_command_prints_is_kept_for_each_job() {
    let (sandbox, outcome) = script("echo hello; echo trouble >&2; echo done > \"$0\"", 0);
    assert_eq!(log(&sandbox), "hello\ntrouble\n");
    assert_eq!(result(&sandbox), "done\n");
    assert!(!outcome.stderr.contains("hello"), "{outcome}");
    let kept = outcome.job("t/p")["log"].as_str().unwrap();
    assert_eq!(
        Path::new(kept),
        fs::canonicalize(sandbox.path("out/p/t.log")).unwrap()
    );
}

#[test]
fn a_command_that_fails_is_shown_with_its_end_and_the_others_go_on() {
    let sandbox = Sandbox::new();
    for product in ["bad", "good"] {
        sandbox.object("b", &format!("{product}/B01.tif"), product);
    }
    let run = r#"["sh", "-c", 'seq 1 5000; if grep -q bad "$1"; then printf "the \033[2Jreason\n"; exit 7; fi; cp "$1" "$0"', "{out}", "{B01}"]"#;
    sandbox.job_file(&job_file(run, ""));
    let outcome = sandbox.coord().serve().expect(1);
    assert!(
        outcome
            .stderr
            .contains("failed: t/bad: the command ended with exit status 7"),
        "{outcome}"
    );
    assert!(
        outcome.stderr.contains("    | 5000\n    | the [2Jreason\n"),
        "{outcome}"
    );
    assert!(
        !outcome.stderr.contains("    | 1000\n"),
        "only the end is shown"
    );
    assert!(
        outcome.stdout.contains("1 of 2 jobs done in") && outcome.stdout.contains(", 1 failed")
    );
    let (bad, good) = (outcome.job("t/bad"), outcome.job("t/good"));
    assert_eq!(
        (&bad["fault"], &bad["state"]),
        (&"processor".into(), &"failed".into())
    );
    assert!(bad["log_end"].as_str().unwrap().ends_with("reason"));
    assert_eq!(good["state"], "done");
    assert!(sandbox.path("out/bad/t.log").exists() && !sandbox.path("out/bad/t.out").exists());
    assert_eq!(
        fs::read_to_string(sandbox.path("out/good/t.out")).unwrap(),
        "good"
    );
}

#[test]
fn other_failures_are_told_apart() {
    let sandbox = sandbox("[\"no-such-command-anywhere\", \"{out}\"]");
    let outcome = sandbox.coord().serve().expect(1);
    let error = outcome.job("t/p")["error"].as_str().unwrap();
    assert!(
        error.contains("\"no-such-command-anywhere\" cannot be started"),
        "{error}"
    );

    let (_, outcome) = script("echo almost", 1);
    assert_eq!(outcome.job("t/p")["fault"], "no-output");
    assert_eq!(outcome.job("t/p")["log_end"], "almost");
    assert!(outcome.stderr.contains("did not write t.out"), "{outcome}");

    let (_, outcome) = script("echo half > \"$0\"; kill -SEGV $$", 1);
    assert_eq!(outcome.job("t/p")["fault"], "processor-killed");
    assert!(outcome.stderr.contains("killed by signal 11"), "{outcome}");
}

#[test]
fn fifty_megabytes_of_output_do_no_harm() {
    let (sandbox, outcome) = script("head -c 50000000 /dev/zero | tr '\\000' x; exit 1", 1);
    assert_eq!(
        fs::metadata(sandbox.path("out/p/t.log")).unwrap().len(),
        50_000_000
    );
    assert!(outcome.stdout.len() + outcome.stderr.len() < 10_000);
}

#[test]
fn children_in_the_background_end_with_their_job() {
    let sandbox = Sandbox::new();
    sandbox.object("b", "p/B01.tif", b"one");
    let run = r#"["sh", "-c", 'sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &) ; : > "$0"', "{out}"]"#;
    let wait = r#"["sh", "-c", 'while [ ! -e go ]; do sleep 0.02; done; : > "$0"', "{out}"]"#;
    let second = format!("[[task]]\nname = \"second\"\nrun = {wait}\nbands = [\"B01\"]");
    let text = job_file(run, &format!("bands = [\"B01\"]\n{second}"));
    sandbox.job_file(&format!("workers = 2\n{text}"));
    let mut running = sandbox.coord().serve().args(["--json"]).spawn();
    assert!(running.printed("\"event\":\"job-done\",\"job\":\"t/p\""));
    let left = living(&sandbox);
    assert!(
        !left.iter().any(|(_, line)| line == "sleep 1000 "),
        "{left:?}"
    );
    fs::write(sandbox.path("go"), b"").unwrap();
    assert_eq!(running.wait().code, Some(0));
    none_left(&sandbox);
}

/// Not a test of its own: started by a run as its processor, it attaches to the table.
#[test]
fn as_a_processor() {
    let (Some(table), Some(name)) = (
        std::env::var_os("COTEC_TABLE"),
        std::env::var_os("COTEC_JOB"),
    ) else {
        return;
    };
    let table = Table::attach(Path::new(&table), true).unwrap();
    let job = table.find_job(name.to_str().unwrap()).unwrap().unwrap();
    assert_eq!(table.job_state(job).unwrap(), Some(JobState::Running));
    let mut said = String::new();
    for slot in table.job_inputs(job).unwrap() {
        let outcome = table.wait(slot, None).unwrap();
        said += &format!("{} {outcome:?}\n", table.key(slot).unwrap());
    }
    fs::write(std::env::var_os("COTEC_OUT").unwrap(), said).unwrap();
}

#[test]
fn a_processor_can_attach_to_the_table() {
    let me = std::env::current_exe().unwrap();
    let run = format!("[{me:?}, \"--exact\", \"commands::as_a_processor\", \"{{inputs}}\"]");
    // libtest takes further arguments as further filters, none of which is a test.
    let sandbox = sandbox(&run);
    sandbox.coord().serve().expect(0);
    assert_eq!(result(&sandbox), "p/B01.tif Ready\n");
}

/// The files below a directory, relative to it.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            if entry.path().is_dir() {
                open.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(root).unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn a_safe_product_is_staged_in_its_own_layout_with_its_metadata() {
    let sandbox = Sandbox::new();
    let dir = sandbox.path("served/b");
    fs::create_dir_all(&dir).unwrap();
    let spec = SampleSpec {
        products: 1,
        size: 64,
    };
    let product = write_sample(&dir, &spec).unwrap().remove(0);
    let run = r#"["sh", "-c", 'cd "$1" && find . -type f | sort > "$0"; test -f "$2"', "{out}", "{product_dir}", "{B04}"]"#;
    sandbox.job_file(&job_file(run, ""));
    sandbox.coord().serve().expect(0);
    let staged = files(&sandbox.path(".cotec/staging/b").join(&product.name));
    let wanted: BTreeSet<PathBuf> = files(&dir.join(&product.name))
        .into_iter()
        .filter(|f| {
            let name = f.to_string_lossy();
            name.ends_with(".xml") || name.contains("_B04_10m")
        })
        .collect();
    assert_eq!(staged, wanted);
    assert!(wanted.len() >= 3, "{wanted:?}");
    let seen = fs::read_to_string(sandbox.path("out").join(&product.name).join("t.out")).unwrap();
    assert_eq!(seen.lines().count(), wanted.len());
}

#[test]
fn a_later_result_replaces_an_earlier_one_and_a_failure_leaves_it() {
    let sandbox = sandbox("[\"sh\", \"-c\", 'cat n > \"$0\"', \"{out}\"]");
    fs::write(sandbox.path("n"), "first").unwrap();
    sandbox.coord().serve().expect(0);
    fs::write(sandbox.path("n"), "second").unwrap();
    let again = || sandbox.coord().serve().args(["--fresh"]);
    again().expect(0);
    assert_eq!(result(&sandbox), "second");
    fs::remove_file(sandbox.path("n")).unwrap();
    again().expect(1);
    assert_eq!(result(&sandbox), "second");
    until("nobody", || living(&sandbox).is_empty().then_some(()));
}

#[test]
fn a_job_that_failed_is_run_again_as_often_as_its_task_says() {
    let run = "[\"sh\", \"-c\", 'echo x >> tries; test $(wc -l < tries) -ge 3 && cp tries \"$0\"', \"{out}\"]";
    let sandbox = sandbox(run);
    let file = fs::read_to_string(sandbox.path("cotec.toml")).unwrap();
    sandbox.job_file(&format!("{file}\nretries = 1\n"));
    let outcome = sandbox.coord().serve().args(["--json"]).expect(1);
    assert_eq!(fs::read_to_string(sandbox.path("tries")).unwrap(), "x\nx\n");
    assert!(
        outcome.stdout.contains("is run again after a pause"),
        "{outcome}"
    );
    assert!(
        outcome.stdout.contains("\"event\":\"job-waiting\""),
        "{outcome}"
    );
    sandbox.job_file(&format!("{file}\nretries = 2\n"));
    sandbox.coord().serve().expect(0);
    assert_eq!(result(&sandbox), "x\nx\nx\n");
}

#[test]
fn a_command_that_runs_too_long_is_ended_with_all_that_it_started() {
    let stubborn = "[\"sh\", \"-c\", 'trap \"\" TERM; sleep 1000 & sleep 1000', \"{out}\"]";
    let obedient =
        "[\"sh\", \"-c\", 'trap \"echo asked; exit 1\" TERM; sleep 1000 & wait', \"{out}\"]";
    for (run, said) in [(obedient, "asked"), (stubborn, "")] {
        let sandbox = sandbox(run);
        let file = fs::read_to_string(sandbox.path("cotec.toml")).unwrap();
        sandbox.job_file(&format!("{file}\ntimeout = 0.3\n"));
        let outcome = sandbox.coord().serve().expect(1);
        assert!(
            outcome.stderr.contains("ran longer than the 0.3 s"),
            "{outcome}"
        );
        assert!(outcome.stderr.contains(said), "{outcome}");
        assert_eq!(outcome.summary()["results"][0]["fault"], "timed-out");
        until("nobody", || living(&sandbox).is_empty().then_some(()));
    }
}

#[test]
fn a_command_gets_no_more_memory_than_its_task_says() {
    // The shell's own string grows until the limit.
    let run = "[\"sh\", \"-c\", 's=x; while [ ${{#s}} -lt 300000000 ]; do s=$s$s; done; echo ${{#s}} > \"$0\"', \"{out}\"]";
    let sandbox = sandbox(run);
    let file = fs::read_to_string(sandbox.path("cotec.toml")).unwrap();
    sandbox.job_file(&format!("{file}\nmemory = \"100MB\"\n"));
    sandbox.coord().serve().expect(1);
    sandbox.job_file(&format!("{file}\nmemory = \"8GiB\"\n"));
    sandbox.coord().serve().expect(0);
}
