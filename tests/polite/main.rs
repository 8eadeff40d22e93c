//! Runs of one user that use one endpoint at the same time: the limits of the endpoint hold for
//! all of them together, as the server counts.
#![cfg(all(feature = "cli", feature = "embedded"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod server;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use server::{SIZE, Server};
use tempfile::TempDir;

/// Nothing takes so long, even on a machine that does other things too.
const LIMIT: Duration = Duration::from_secs(120);

/// A `cotec get`, killed with this value if it has not ended.
struct Get(Child);

impl Get {
    fn start(server: &Server, who: &str, dir: &Path, limits: &[&str]) -> Get {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cotec"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("AWS_") {
                command.env_remove(name);
            }
        }
        for limit in limits {
            command.args(["--limit", limit]);
        }
        command
            .args(["--anonymous", "get", &format!("s3://bucket/{who}")])
            .arg(dir.join(who))
            .env("AWS_ENDPOINT_URL", &server.url)
            .env("HOME", dir)
            .env("XDG_STATE_HOME", dir.join("state"))
            .stdin(Stdio::null());
        Get(command.spawn().unwrap())
    }

    fn ended(&mut self) -> Option<i32> {
        self.0
            .try_wait()
            .unwrap()
            .map(|status| status.code().unwrap())
    }

    fn end(mut self) {
        until("a get ends", || self.ended().is_some());
        assert_eq!(self.ended(), Some(0));
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Get {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until `condition` holds.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < LIMIT, "it never happens that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn complete(dir: &Path, objects: usize) {
    let files: Vec<_> = std::fs::read_dir(dir).unwrap().flatten().collect();
    assert_eq!(files.len(), objects);
    assert!(
        files
            .iter()
            .all(|file| file.metadata().unwrap().len() == SIZE as u64)
    );
}

#[test]
fn two_runs_stay_within_one_profile_and_share_it() {
    let server = Server::start(400);
    let dir = TempDir::new().unwrap();
    let limits = ["connections=4"];
    let one = Get::start(&server, "one", dir.path(), &limits);
    until("one uses all connections", || server.open_of("one") >= 3);
    let two = Get::start(&server, "two", dir.path(), &limits);
    until("both are at work", || {
        server.open_of("one") > 0 && server.open_of("two") > 0
    });
    one.end();
    two.end();
    assert!(server.most() <= 4, "{} connections", server.most());
    complete(&dir.path().join("one"), 400);
    complete(&dir.path().join("two"), 400);
    // While both had something to fetch, neither got less than a fifth.
    let requests = server.objects();
    let begun = requests.iter().position(|r| r.who == "two").unwrap();
    let last = requests.iter().rposition(|r| r.who == "one").unwrap();
    let together = &requests[begun..=last];
    let twos = together.iter().filter(|r| r.who == "two").count();
    assert!(together.len() > 50, "{}", together.len());
    assert!(
        (together.len() / 5..=together.len() * 4 / 5).contains(&twos),
        "{twos} of {}",
        together.len()
    );
}

#[test]
fn killing_one_gives_its_share_to_the_other() {
    let server = Server::start(20_000);
    let dir = TempDir::new().unwrap();
    let limits = ["connections=4"];
    let mut one = Get::start(&server, "one", dir.path(), &limits);
    until("one uses connections", || server.open_of("one") >= 3);
    let _two = Get::start(&server, "two", dir.path(), &limits);
    until("two has its half", || server.open_of("two") == 2);
    one.kill();
    until("two has all", || server.open_of("two") == 4);
    assert!(server.most() <= 4, "{} connections", server.most());
}

#[test]
fn requests_of_two_runs_keep_the_pace_of_one_profile() {
    let server = Server::start(12);
    let dir = TempDir::new().unwrap();
    let limits = ["requests_per_minute=240"];
    let begun = Instant::now();
    let one = Get::start(&server, "one", dir.path(), &limits);
    let two = Get::start(&server, "two", dir.path(), &limits);
    one.end();
    two.end();
    // 12 may come at once, and the others 229 in a minute.
    let beyond = u32::try_from(server.requests() - 12).unwrap();
    assert!(beyond >= 14, "{beyond}");
    let least = Duration::from_secs(60) / 229 * (beyond - 1);
    assert!(
        begun.elapsed() >= least,
        "{:?} < {least:?}",
        begun.elapsed()
    );
    let requests = server.objects();
    assert!(requests.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[test]
fn bytes_of_two_runs_keep_the_rate_of_one_profile() {
    let server = Server::start(40);
    let dir = TempDir::new().unwrap();
    let limits = ["bytes_per_second=1000000"];
    let begun = Instant::now();
    let one = Get::start(&server, "one", dir.path(), &limits);
    let two = Get::start(&server, "two", dir.path(), &limits);
    one.end();
    two.end();
    // A tenth of a second is ahead, and each connection pauses after its bytes, not before.
    let bytes = 80 * SIZE as u64 - 64 * SIZE as u64 - 100_000;
    let least = Duration::from_micros(bytes);
    assert!(
        begun.elapsed() >= least,
        "{:?} < {least:?}",
        begun.elapsed()
    );
}

#[test]
fn a_month_that_is_used_up_says_so() {
    let server = Server::start(40);
    let dir = TempDir::new().unwrap();
    let get = |who: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cotec"));
        command
            .args(["--limit", "bytes_per_month=100000", "--anonymous"])
            .args(["get", &format!("s3://bucket/{who}")])
            .arg(dir.path().join(who))
            .env("AWS_ENDPOINT_URL", &server.url)
            .env("HOME", dir.path())
            .env("XDG_STATE_HOME", dir.path().join("state"));
        let output = command.output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, said) = get("one");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("bytes_per_month"), "{said}");
    let asked = server.objects().len();
    // Another run knows of it too.
    let (code, said) = get("two");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("bytes_per_month"), "{said}");
    assert_eq!(server.objects().len(), asked);
}

/// A run of one task over products with these names, with so many connections.
fn run(server: &Server, names: &[String], connections: usize) {
    let dir = TempDir::new().unwrap();
    let job = dir.path().join("job.toml");
    let text = format!(
        "out = \"{0}/out\"\nstaging = \"{0}/staging\"\nworkers = 1\n[store]\nendpoint = \"{1}\"\n\
         bucket = \"bucket\"\nanonymous = true\n[endpoint]\nconnections = {connections}\n\
         [products]\nnames = {names:?}\n\
         [[task]]\nname = \"touch\"\nlayout = \"objects\"\nobjects = [\"*\"]\nrun = [\"touch\", \"{{out}}\"]\n",
        dir.path().display(),
        server.url
    );
    std::fs::write(&job, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_cotec-coord"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    let run = command.arg(&job).env("HOME", dir.path()).output().unwrap();
    assert_eq!(run.status.code(), Some(0), "{run:?}");
}

#[test]
fn a_run_keeps_to_the_limits_of_its_job_file_with_all_its_processes() {
    let server = Server::start(60);
    run(&server, &["one", "two", "three"].map(str::to_owned), 2);
    assert_eq!(server.objects().len(), 180);
    assert!(server.most() <= 2, "{} connections", server.most());
}

#[test]
fn listings_take_few_connections_beside_downloads() {
    let server = Server::start(4);
    let names: Vec<String> = (0..400).map(|n| format!("product-{n}")).collect();
    run(&server, &names, 4);
    assert_eq!(server.objects().len(), 1600);
    assert!(server.most() <= 4, "{} connections", server.most());
    let (listings, connections) = server.listings();
    assert!(listings >= 400, "{listings}");
    // One that nobody needs for a moment is closed, and on a machine that does other things too
    // that happens now and then.
    assert!(connections <= listings / 4, "{connections} of {listings}");
}

#[test]
fn uploads_take_few_connections() {
    let server = Server::start(0);
    let dir = TempDir::new().unwrap();
    let files = dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    for n in 0..100 {
        std::fs::write(files.join(format!("{n}")), "small").unwrap();
    }
    for n in 0..3 {
        // Two parts, which other connections carry than what begins and ends them.
        let large = std::fs::File::create(files.join(format!("large-{n}"))).unwrap();
        large.set_len(20 << 20).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cotec"));
    command
        .args(["--limit", "connections=3", "--anonymous", "put"])
        .arg(&files)
        .arg("s3://bucket/one")
        .env("AWS_ENDPOINT_URL", &server.url)
        .env("HOME", dir.path())
        .env("XDG_STATE_HOME", dir.path().join("state"));
    let put = command.output().unwrap();
    assert_eq!(put.status.code(), Some(0), "{put:?}");
    assert!(server.most() <= 3, "{} connections", server.most());
    let (uploads, connections) = server.uploads();
    assert_eq!(uploads, 100 + 3 * 4);
    assert!(connections <= uploads / 2, "{connections} of {uploads}");
}
