//! Tasks with parameters: a job of each product for each row, and only what changed is run again.

use std::fs;

use crate::common::run::Sandbox;

fn job_file(rows: &str) -> String {
    format!(
        r#"
[store]
bucket = "b"
[products]
prefix = ""
[[task]]
name = "t"
run = ["sh", "-c", 'echo "$COTEC_JOB" >> runs; echo "$1 $COTEC_PARAM_LIMIT $COTEC_PARAM_MODE $EXTRA" > "$0"', "{{out}}", "{{limit}}", "{{B01}}"]
output = "t-{{limit}}-{{mode}}.txt"
env = {{ EXTRA = "<{{mode}}>" }}
{rows}
"#
    )
}

fn runs(sandbox: &Sandbox) -> Vec<String> {
    let text = fs::read_to_string(sandbox.path("runs")).unwrap_or_default();
    let _ = fs::remove_file(sandbox.path("runs"));
    let mut runs: Vec<String> = text.lines().map(str::to_owned).collect();
    runs.sort();
    runs
}

#[test]
fn each_row_is_a_job_and_only_a_changed_row_is_run_again() {
    let sandbox = Sandbox::new();
    sandbox.object("b", "p0/B01.tif", b"zero");
    sandbox.object("b", "p1/B01.tif", b"one");
    let rows = |second: &str| {
        format!(
            "parameters = [{{ limit = 0.5, mode = \"a b\" }}, {{ limit = 2, mode = \"{second}\" }}]"
        )
    };
    sandbox.job_file(&job_file(&rows("c")));
    let outcome = sandbox.coord().serve().expect(0);
    assert_eq!(
        runs(&sandbox),
        [
            "t,limit=0.5,mode=a b/p0",
            "t,limit=0.5,mode=a b/p1",
            "t,limit=2,mode=c/p0",
            "t,limit=2,mode=c/p1"
        ]
    );
    let read = |path: &str| fs::read_to_string(sandbox.path("out").join(path)).unwrap();
    assert_eq!(read("p0/t-0.5-a b.txt"), "0.5 0.5 a b <a b>\n");
    assert_eq!(read("p1/t-2-c.txt"), "2 2 c <c>\n");
    // One object serves all jobs of its product: it was fetched once.
    assert_eq!(outcome.count("/objects/bytes_fetched"), 7);

    sandbox.coord().serve().expect(0);
    assert!(runs(&sandbox).is_empty());
    sandbox.job_file(&job_file(&rows("d")));
    sandbox.coord().serve().expect(0);
    assert_eq!(
        runs(&sandbox),
        ["t,limit=2,mode=d/p0", "t,limit=2,mode=d/p1"]
    );
    // The same names with another value: what the name does not say is in the recipe.
    let named = |level: &str| {
        job_file(&format!(
            "parameters = {{ limit = 1, mode = \"m\", level = {level} }}"
        ))
    };
    sandbox.job_file(&named("1"));
    sandbox.coord().serve().expect(0);
    assert_eq!(runs(&sandbox), ["t/p0", "t/p1"]);
    sandbox.job_file(&named("2"));
    sandbox.coord().serve().expect(0);
    assert_eq!(runs(&sandbox), ["t/p0", "t/p1"]);
}
