//! `--staging-limit`: staging never takes more of the disk, whatever is killed, and the results
//! are those of a run without a limit.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cotec::raster::{SampleSpec, write_sample};
use cotec::sys::death::LIMITED_POINTS;
use cotec::table::{ObjectSpec, Outcome as Waited, Phase, Table};
use cotec::values::Role;
use nix::sys::signal::Signal;

use crate::common::processes::{all_gone, none_left, of_role, send, table, until};
use crate::common::run::{Outcome, Sandbox};
use crate::gate::Gate;
use crate::watch::Watch;

const MIB: u64 = 1 << 20;
/// What one part brings at most in these tests: the smallest part size.
const PART: u64 = 4 * MIB;
const PRODUCTS: usize = 16;
const OBJECT: u64 = 3 * MIB;
/// Of all products: two objects each.
const ALL: u64 = PRODUCTS as u64 * 2 * OBJECT;

/// Both inputs are read whole, and something is written to the scratch directory.
const TASK: &str = r#"
[[task]]
name = "sum"
run = ["sh", "-c", "head -c 1500000 $1 > {scratch}/part && cat $1 $2 | cksum > $3 && sleep 0.05", "", "{B01}", "{B02}", "{out}"]
scratch = "2MiB"
"#;

fn bytes(product: usize, band: usize) -> Vec<u8> {
    let line = format!("product {product} band {band} ");
    let mut bytes = line.repeat(OBJECT as usize / line.len() + 1).into_bytes();
    bytes.truncate(OBJECT as usize);
    bytes
}

fn sandbox(tasks: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for product in 0..PRODUCTS {
        for band in 1..3 {
            let key = format!("p{product:02}/B0{band}.tif");
            sandbox.object("b", &key, bytes(product, band));
        }
    }
    let head = "workers = 3\n[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n";
    sandbox.job_file(&format!("{head}{tasks}"));
    sandbox
}

fn staging(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.path(".cotec/staging")
}

/// The results of a task, by product.
fn results(sandbox: &Sandbox, task: &str) -> Vec<String> {
    let one = |product| {
        let path = sandbox.path(format!("out/p{product:02}/{task}.tif"));
        fs::read_to_string(path).unwrap_or_default()
    };
    (0..PRODUCTS).map(one).collect()
}

/// What the results are where nothing is limited.
fn expected() -> Vec<String> {
    let sandbox = sandbox(TASK);
    sandbox.coord().serve().expect(0);
    let results = results(&sandbox, "sum");
    assert!(results.iter().all(|text| !text.is_empty()));
    results
}

fn within(watch: &Watch, limit: u64) {
    let most = watch.most();
    println!(
        "at most {:.1} of {:.1} MiB",
        most as f64 / MIB as f64,
        limit as f64 / MIB as f64
    );
    assert!(most <= limit + PART, "{most} of {limit}");
}

fn limited(sandbox: &Sandbox, limit: &str) -> crate::common::run::Coord {
    sandbox.coord().serve().args(["--staging-limit", limit])
}

/// How many results there are.
fn done(sandbox: &Sandbox) -> usize {
    let there = |product: &usize| sandbox.path(format!("out/p{product:02}/sum.tif")).exists();
    (0..PRODUCTS).filter(there).count()
}

/// Names of what stands directly in staging beside cotec's own records.
fn left_in(staging: &Path) -> Vec<String> {
    let entries = fs::read_dir(staging).unwrap().flatten();
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with("%~l")).collect();
    names.sort();
    names
}

#[test]
fn more_than_the_disk_may_hold_is_worked_through() {
    let expected = expected();
    let sandbox = sandbox(TASK);
    let watch = Watch::over(&staging(&sandbox));
    let run = limited(&sandbox, "24MiB").expect(0);
    within(&watch, 24 * MIB);
    // Room for two jobs and their scratch is used.
    assert!(watch.most() > 14 * MIB, "{}", watch.most());
    assert_eq!(results(&sandbox, "sum"), expected);
    assert_eq!(run.count("/objects/bytes_fetched"), ALL, "{run}");
    none_left(&sandbox);
    // What was needed is gone when its last job is done.
    assert_eq!(left_in(&staging(&sandbox)), [""; 0]);
}

#[test]
fn exactly_one_job_at_a_time_fits_and_all_are_done() {
    let sandbox = sandbox(TASK);
    let watch = Watch::over(&staging(&sandbox));
    limited(&sandbox, "8MiB").expect(0);
    within(&watch, 8 * MIB);
    assert!(results(&sandbox, "sum").iter().all(|text| !text.is_empty()));
}

#[test]
fn what_is_wanted_again_is_fetched_again() {
    let again = r#"
[[task]]
name = "again"
run = ["sh", "-c", "cat $1 $2 | cksum > $3", "", "{B01}", "{B02}", "{out}"]
[task.products]
prefix = ""
match = "p*"
"#;
    let sandbox = sandbox(&format!("{TASK}{again}"));
    let watch = Watch::over(&staging(&sandbox));
    // Other orders bring the jobs together that need the same objects.
    let coord = limited(&sandbox, "20MiB").args(["--order", "given"]);
    let run = coord.expect(0);
    within(&watch, 20 * MIB);
    assert_eq!(results(&sandbox, "again"), results(&sandbox, "sum"));
    // Some of it may still have been there.
    let fetched = run.count("/objects/bytes_fetched");
    assert!(fetched > ALL + ALL / 2 && fetched <= 2 * ALL, "{fetched}");
}

#[test]
fn a_job_that_never_fits_is_refused_by_name_and_the_others_are_done() {
    let sandbox = sandbox(TASK);
    sandbox.object("b", "p05/B01.tif", vec![7; 30 << 20]);
    for dry in [true, false] {
        let flags: &[&str] = if dry { &["--dry-run"] } else { &[] };
        let run = limited(&sandbox, "20MiB").args(flags).expect(1);
        let said = format!("{}{}", run.stdout, run.stderr);
        for part in [
            "sum/p05",
            "33MiB for its 2 objects",
            "2MiB for its scratch",
            "35MiB of staging",
            "--staging-limit",
        ] {
            assert!(said.contains(part), "{part} is not in\n{run}");
        }
        if !dry {
            assert_eq!(run.count("/jobs/done"), PRODUCTS as u64 - 1);
            assert_eq!(run.count("/objects/bytes_fetched"), ALL - 2 * OBJECT);
        }
    }
    let task = TASK.replace("2MiB", "21MiB");
    sandbox.job_file(&format!(
        "staging_limit = \"20MiB\"\n[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n{task}"
    ));
    let run = sandbox.coord().serve().expect(2);
    assert!(
        run.stderr.contains("scratch") && run.stderr.contains("21MiB"),
        "{run}"
    );
}

#[test]
fn a_downloader_that_is_killed_again_and_again_keeps_to_the_limit() {
    let expected = expected();
    for order in ["given", "smallest", "johnson"] {
        killed_again_and_again(order, &expected);
    }
}

fn killed_again_and_again(order: &str, expected: &[String]) {
    let sandbox = sandbox(TASK);
    let watch = Watch::over(&staging(&sandbox));
    let running = limited(&sandbox, "24MiB").args(["--order", order]).spawn();
    let table = table(&running);
    for kill in 0..6 {
        // After some more jobs, so that it has something to lose.
        until("more results", || (done(&sandbox) > 2 * kill).then_some(()));
        if done(&sandbox) > PRODUCTS - 3 {
            break;
        }
        let pid = of_role(&table, Role::Downloader);
        send(pid, Signal::SIGKILL);
        until("another downloader", || {
            (of_role(&table, Role::Downloader) != pid).then_some(())
        });
    }
    let run = running.wait();
    assert_eq!(run.code, Some(0), "{run}");
    within(&watch, 24 * MIB);
    assert_eq!(results(&sandbox, "sum"), expected);
}

/// Objects that are gone fail their jobs, and what else was fetched for these holds no room.
#[test]
fn jobs_that_fail_give_their_room_back() {
    let sandbox = sandbox(TASK);
    let gate = Gate::new(&sandbox.path("served"), &["B02.tif"]);
    let coord = gate.use_by(sandbox.coord());
    let running = coord
        .args(["--bucket", "b", "--staging-limit", "16MiB"])
        .spawn();
    gate.wait_until_held();
    let table = table(&running);
    until("the plan", || {
        (table.phase().unwrap() >= Phase::Planned).then_some(())
    });
    for product in (0..PRODUCTS).step_by(2) {
        fs::remove_file(sandbox.path(format!("served/b/p{product:02}/B02.tif"))).unwrap();
    }
    let watch = Watch::over(&staging(&sandbox));
    gate.open();
    let run = running.wait();
    assert_eq!(run.code, Some(1), "{run}");
    assert_eq!(run.count("/jobs/done"), PRODUCTS as u64 / 2, "{run}");
    assert_eq!(run.count("/jobs/failed"), PRODUCTS as u64 / 2, "{run}");
    within(&watch, 16 * MIB);
}

/// What somebody wants besides its jobs waits for room, and nothing waits for it in turn.
#[test]
fn a_stranger_gets_its_object_between_the_jobs() {
    let sandbox = sandbox(TASK);
    sandbox.object("b", "extra/x", bytes(99, 9));
    let watch = Watch::over(&staging(&sandbox));
    let running = limited(&sandbox, "8MiB")
        .args(["--product", "p00,p01,p02,p03,p04,p05,p06,p07"])
        .spawn();
    // The path is good as long as this attachment is.
    let watcher = table(&running);
    let stranger = Table::attach(Path::new(&watcher.path()), true).unwrap();
    let stranger = stranger.join(Role::Stranger).unwrap();
    let extra = ObjectSpec {
        key: "extra/x",
        size: OBJECT,
        etag: None,
    };
    let slot = stranger.register_object(&extra).unwrap();
    let waited = stranger.wait(slot, Some(Duration::from_secs(120))).unwrap();
    assert_eq!(waited, Waited::Ready);
    let run = running.wait();
    assert_eq!(run.code, Some(0), "{run}");
    within(&watch, 8 * MIB);
}

#[test]
fn a_killed_run_goes_on_within_the_limit() {
    let expected = expected();
    let sandbox = sandbox(TASK);
    let watch = Watch::over(&staging(&sandbox));
    for stop_at in [2, 5, 8] {
        let running = limited(&sandbox, "24MiB").spawn();
        until("more results", || (done(&sandbox) >= stop_at).then_some(()));
        send(running.pid(), Signal::SIGKILL);
        running.wait();
        all_gone(&sandbox);
    }
    let run = limited(&sandbox, "24MiB").expect(0);
    let fetched = run.count("/objects/bytes_fetched");
    // A result may stand there whose job the journal does not know of: that of each worker.
    let workers = std::thread::available_parallelism().unwrap().get() as u64;
    let again = workers * 2 * OBJECT;
    assert!(fetched <= ALL / 2 + again, "{fetched}");
    within(&watch, 24 * MIB);
    assert_eq!(results(&sandbox, "sum"), expected);
    assert_eq!(left_in(&staging(&sandbox)), [""; 0]);
}

#[test]
fn what_earlier_runs_left_goes_first_and_what_is_not_cotecs_stays() {
    let sandbox = sandbox(TASK);
    let names: Vec<String> = (0..8).map(|n| format!("p{n:02}")).collect();
    let first = sandbox
        .coord()
        .serve()
        .args(["--product", &names.join(",")]);
    first.expect(0);
    let mine = sandbox.staged("b", "p00/mine");
    fs::write(&mine, vec![1; MIB as usize]).unwrap();
    // Removed results make jobs of the first run wanted again.
    fs::remove_file(sandbox.path("out/p07/sum.tif")).unwrap();
    let run = limited(&sandbox, "24MiB").expect(0);
    assert_eq!(run.count("/objects/bytes_fetched"), ALL / 2, "{run}");
    assert!(mine.exists());
    let watch = Watch::over(&staging(&sandbox));
    within(&watch, 24 * MIB);
    // What is not cotec's leaves too little.
    fs::write(&mine, vec![1; 30 << 20]).unwrap();
    let run = limited(&sandbox, "24MiB").args(["--fresh"]).expect(4);
    for part in ["30", "24MiB", "--staging"] {
        assert!(run.stderr.contains(part), "{run}");
    }
    assert!(mine.exists());
}

#[test]
fn a_job_that_is_run_again_finds_its_inputs() {
    let task = r#"
[[task]]
name = "sum"
run = ["sh", "-c", "test -e $0.tried || {{ : > $0.tried; exit 1; }}; cat $1 $2 | cksum > $3", "{product}", "{B01}", "{B02}", "{out}"]
retries = 1
"#;
    let sandbox = sandbox(task);
    let watch = Watch::over(&staging(&sandbox));
    let run = limited(&sandbox, "30MiB").expect(0);
    within(&watch, 30 * MIB);
    assert_eq!(run.count("/objects/bytes_fetched"), ALL, "{run}");
}

#[test]
fn what_jobs_were_seen_to_write_to_their_scratch_directories_is_kept_free() {
    // At its end, or only while it runs.
    for tidies_up in ["", " && sleep 0.7 && rm {scratch}/part"] {
        let write = format!("head -c 3000000 $1 > {{scratch}}/part{tidies_up}");
        let task = TASK
            .replace("scratch = \"2MiB\"\n", "")
            .replace("head -c 1500000 $1 > {scratch}/part", &write);
        let sandbox = sandbox(&task);
        let running = limited(&sandbox, "20MiB").spawn();
        // Nothing was known of the first jobs: three of them at once.
        until("the first results", || (done(&sandbox) >= 6).then_some(()));
        let watch = Watch::over(&staging(&sandbox));
        let run = running.wait();
        assert_eq!(run.code, Some(0), "{run}");
        within(&watch, 20 * MIB);
    }
}

/// A product whose metadata, which is no job's input, comes and goes too.
#[test]
fn metadata_counts_and_goes_when_the_room_is_needed() {
    let sandbox = Sandbox::new();
    let bucket = sandbox.path("served/b");
    fs::create_dir_all(&bucket).unwrap();
    let spec = SampleSpec {
        products: 8,
        size: 512,
    };
    write_sample(&bucket, &spec).unwrap();
    sandbox.job_file(
        "workers = 2\n[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n[[task]]\nindex = \"ndvi\"\n[[task]]\nindex = \"ndi45\"\n",
    );
    let run = sandbox.coord().serve().expect(0);
    let (objects, all) = (run.count("/objects/total"), run.count("/objects/bytes"));
    fs::rename(sandbox.path("out"), sandbox.path("unlimited")).unwrap();
    fs::remove_dir_all(staging(&sandbox)).unwrap();
    let limit = all / 3;
    let watch = Watch::over(&staging(&sandbox));
    let run = limited(&sandbox, &limit.to_string()).expect(0);
    within(&watch, limit);
    assert_eq!(run.count("/objects/total"), objects);
    for product in fs::read_dir(sandbox.path("unlimited")).unwrap().flatten() {
        for name in ["ndvi.tif", "ndi45.tif"] {
            if let Ok(bytes) = fs::read(product.path().join(name)) {
                let there = sandbox.path("out").join(product.file_name()).join(name);
                assert!(fs::read(there).unwrap() == bytes, "{product:?} {name}");
            }
        }
    }
}

#[test]
fn a_death_at_any_point_of_the_limit_changes_nothing() {
    let expected = expected();
    for (point, role) in LIMITED_POINTS {
        let sandbox = sandbox(TASK);
        let watch = Watch::over(&staging(&sandbox));
        let once = sandbox.path("dead");
        let run = limited(&sandbox, "24MiB")
            .env("COTEC_DIE_AT", &format!("{role}:{point}"))
            .env("COTEC_DIE_ONCE", once.to_str().unwrap())
            .expect(0);
        assert!(once.exists(), "nobody came by {point}");
        within(&watch, 24 * MIB);
        assert_eq!(results(&sandbox, "sum"), expected, "{point}\n{run}");
    }
}

#[test]
fn scratch_directories_go_with_their_jobs() {
    let run = |script: &str, code, flags: &[&str]| {
        let sandbox = Sandbox::new();
        sandbox.object("b", "p/B01.tif", "one");
        sandbox.job_file(&format!(
            "[store]\nbucket = \"b\"\n[products]\nprefix = \"\"\n[[task]]\nname = \"t\"\nrun = [\"sh\", \"-c\", '''{script}''', \"{{scratch}}\", \"{{B01}}\", \"{{out}}\"]\n"
        ));
        let run = sandbox.coord().serve().args(flags).expect(code);
        (sandbox, run)
    };
    let write = "test -d $0 && test $0 = $COTEC_SCRATCH && mkdir $0/d && cp $1 $0/d/x && cp $1 $2";
    let kept = |sandbox: &Sandbox| staging(sandbox).join("%~scratch").exists();
    let (sandbox, _) = run(write, 0, &[]);
    assert!(!kept(&sandbox));
    let (sandbox, _) = run(&format!("{write}; exit 3"), 1, &[]);
    assert!(!kept(&sandbox));
    // Its worker dies three times.
    let (sandbox, outcome) = run(&format!("{write}; kill -9 $PPID; sleep 60"), 1, &[]);
    assert_eq!(outcome.job("t/p")["attempts"], 3);
    assert!(!kept(&sandbox));
    let (sandbox, _) = run(write, 0, &["--keep"]);
    let path = staging(&sandbox).join("%~scratch/0.1/d/x");
    assert_eq!(fs::read_to_string(&path).unwrap(), "one");
    assert!(sandbox.staged("b", "p/B01.tif").exists());
    // The next run begins with none.
    sandbox.coord().serve().args(["--fresh"]).expect(0);
    assert!(!kept(&sandbox));
}

#[test]
fn with_keep_the_whole_run_must_fit() {
    let sandbox = sandbox(TASK);
    let run: Outcome = limited(&sandbox, "24MiB").args(["--keep"]).expect(1);
    assert!(
        run.stderr.contains("with --keep nothing is removed"),
        "{run}"
    );
    assert_eq!(run.count("/jobs/done"), 3, "{run}");
    let sandbox = self::sandbox(TASK);
    let watch = Watch::over(&staging(&sandbox));
    limited(&sandbox, "140MiB").args(["--keep"]).expect(0);
    within(&watch, 140 * MIB);
    assert!(sandbox.staged("b", "p00/B01.tif").exists());
}
