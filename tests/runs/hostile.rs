//! Processors that do not behave: the run and the other jobs go on.

use std::fs;

use crate::common::processes::{no_scratch, none_left};
use crate::common::run::{Outcome, Sandbox};
use crate::keeper::{Item, Keeper};
use cotec::raster::{SampleSpec, write_sample};

/// A run of products `a`, `b` and `c`, one after the other, each with one object that holds its
/// name, whose processor is a shell script. `$0` is the output, `$1` the object, `$2` the product.
fn run(script: &str, more: &str, code: i32) -> (Sandbox, Outcome) {
    let sandbox = Sandbox::new();
    for product in ["a", "b", "c"] {
        sandbox.object("b", &format!("{product}/B01.tif"), product);
    }
    let run =
        format!("[\"sh\", \"-c\", '''{script}''', \"{{out}}\", \"{{B01}}\", \"{{product}}\"]");
    sandbox.job_file(&format!(
        "workers = 1\nconnections = 1\n[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nrun = {run}\noutput = \"t.out\"\n{more}\n"
    ));
    let outcome = sandbox.coord().serve().expect(code);
    none_left(&sandbox);
    no_scratch(&sandbox);
    (sandbox, outcome)
}

fn result(sandbox: &Sandbox, product: &str) -> String {
    fs::read_to_string(sandbox.path("out").join(product).join("t.out")).unwrap()
}

#[test]
fn closed_descriptors_do_not_end_a_job() {
    let (sandbox, _) = run(
        "echo said; exec 0<&- 1<&- 2<&-; sleep 0.3; cp \"$1\" \"$0\"",
        "",
        0,
    );
    for product in ["a", "b", "c"] {
        assert_eq!(result(&sandbox, product), product);
        let log = sandbox.path("out").join(product).join("t.log");
        assert_eq!(fs::read_to_string(log).unwrap(), "said\n");
    }
}

#[test]
fn output_without_end_is_kept_up_to_a_bound() {
    let (sandbox, outcome) = run(
        "if [ $2 = b ]; then yes | head -c 150000000; echo; echo last; exit 1; fi; cp \"$1\" \"$0\"",
        "",
        1,
    );
    let size = fs::metadata(sandbox.path("out/b/t.log")).unwrap().len();
    assert!((64 << 20..65 << 20).contains(&size), "{size}");
    assert!(outcome.stderr.contains("    | last\n"), "{outcome}");
    assert_eq!(result(&sandbox, "c"), "c");
    let (_, outcome) = run(
        "if [ $2 = b ]; then exec yes; fi; cp \"$1\" \"$0\"",
        "timeout = 0.5",
        1,
    );
    assert_eq!(outcome.job("t/b")["fault"], "timed-out");
}

#[test]
fn a_scratch_directory_that_is_taken_away_harms_its_own_job() {
    let (sandbox, outcome) = run(
        "if [ $2 = a ]; then rm -rf \"${{COTEC_SCRATCH%/*}}\"; exit 0; fi; cp \"$1\" \"$0\"",
        "",
        1,
    );
    assert_eq!(outcome.job("t/a")["fault"], "no-output");
    assert_eq!(
        (result(&sandbox, "b"), result(&sandbox, "c")),
        ("b".into(), "c".into())
    );
}

#[test]
fn what_was_written_into_staging_and_other_results_is_found_by_the_next_run() {
    let (sandbox, _) = run(
        "cp \"$1\" \"$0\"; if [ $2 = b ]; then echo spoilt > \"${{1%/b/*}}/a/B01.tif\"; echo spoilt > out/a/t.out; fi",
        "",
        0,
    );
    assert_eq!(result(&sandbox, "a"), "spoilt\n");
    let outcome = sandbox.coord().serve().expect(0);
    assert_eq!(result(&sandbox, "a"), "a");
    assert!(
        outcome.stdout.contains("(2 by an earlier run)"),
        "{outcome}"
    );
}

#[test]
fn a_command_without_a_result_is_done_when_it_has_ended_well() {
    let more = "[[task]]\nname = \"n\"\noutput = \"\"\nbands = [\"B01\"]\nrun = [\"sh\", \"-c\", '''test -z \"$COTEC_OUT\" && test -z \"$(ls -A \"$COTEC_SCRATCH\")\" && echo x > \"$COTEC_SCRATCH/x\" && test $0 != b''', \"{product}\"]";
    let (sandbox, outcome) = run("cp \"$1\" \"$0\"", more, 1);
    assert_eq!(outcome.job("n/a")["state"], "done");
    assert_eq!(outcome.job("n/b")["fault"], "processor");
    assert_eq!(outcome.job("n/c")["state"], "done");
    let files = fs::read_dir(sandbox.path("out/c")).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["t.out"]);
    let again = sandbox.coord().serve().expect(1);
    assert!(again.stdout.contains("(5 by an earlier run)"), "{again}");
}

/// A formula that waits for a band that does not come runs too long, whatever the machine.
#[test]
fn a_formula_that_runs_too_long_is_ended_with_its_worker_and_the_others_go_on() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    let sample = tempfile::tempdir().unwrap();
    let spec = SampleSpec {
        products: 1,
        size: 64,
    };
    let product = write_sample(sample.path(), &spec).unwrap().remove(0);
    let mut files = product.files.iter();
    let band = files.find(|f| f.to_string_lossy().contains("_B04_10m"));
    let bytes = fs::read(sample.path().join(band.unwrap())).unwrap();
    for (product, held_from) in [("p", Some(0)), ("q", None)] {
        let item = Item {
            bytes: bytes.clone(),
            etag: product.to_owned(),
            held_from,
            ..Item::default()
        };
        keeper.put(&format!("{product}/B04.tif"), item);
    }
    sandbox.job_file(
        "workers = 1\n[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nexpr = \"B04 + 1\"\nstart = \"at-once\"\ntimeout = 5\nretries = 0\n",
    );
    let outcome = keeper.use_by(sandbox.coord()).expect(1);
    assert_eq!(outcome.job("t/p")["fault"], "timed-out", "{outcome}");
    assert_eq!(outcome.job("t/q")["state"], "done", "{outcome}");
    assert!(
        outcome.stderr.contains("ran longer than the 5 s"),
        "{outcome}"
    );
    none_left(&sandbox);
}
