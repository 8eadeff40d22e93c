//! A formula that works while its bands are landing, beside one that waits for them.
//!
//! ```console
//! $ cargo bench --bench at_once
//! ```
//!
//! NDVI of one product whose two bands are COGs, over a line of 200 Mbit/s and 20 ms
//! (`tools/wan` before the embedded server): with `start = "at-once"` and with the ordinary
//! start, in turns, each in new directories. The first round does not count. Of a job that waits
//! for its inputs the first rows are at best as early as the job itself, which is what is printed.
//! The results of both are compared byte for byte.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "../tools/wan/mod.rs"]
mod wan;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use cotec::raster::{SampleSpec, write_sample};
use cotec::store::embedded;
use serde_json::Value;

const ROUNDS: usize = 5;
const SIZE: u32 = 8000;
const LINE: [(&str, &str); 2] = [("total", "200Mbit"), ("rtt", "20ms")];
const ACCESS: &str = "access";
const SECRET: &str = "secret";

/// Seconds since the run began.
struct Times {
    job: f64,
    first_rows: f64,
    inputs: f64,
    done: f64,
}

fn main() {
    common::heading("cargo bench --bench at_once");
    let home = tempfile::tempdir().unwrap();
    let bytes = served(&home.path().join("served/bucket/p"));
    println!("# bands of {SIZE} x {SIZE} pixels, {bytes} bytes together; {LINE:?}; 1 worker");
    let url = line(&home.path().join("served"));
    let mut kept: Option<Vec<u8>> = None;
    let mut all = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        for (times, start) in all.iter_mut().zip(["ready", "at-once"]) {
            let dir = home.path().join(format!("{start}-{round}"));
            let (these, result) = run(&dir, &url, start);
            assert!(*kept.get_or_insert_with(|| result.clone()) == result);
            fs::remove_dir_all(&dir).unwrap();
            if round > 0 {
                times.push(these);
            }
        }
    }
    println!("seconds from the start of the run, median of {ROUNDS} [least, most]");
    for (times, start) in all.iter().zip(["ready", "at-once"]) {
        let of = |pick: fn(&Times) -> f64| {
            let mut values: Vec<f64> = times.iter().map(pick).collect();
            values.sort_by(f64::total_cmp);
            let (least, most) = (values[0], values[values.len() - 1]);
            format!("{:.2} [{least:.2}, {most:.2}]", values[values.len() / 2])
        };
        println!(
            "start = {start:?}: the job begins {}, first rows {}, inputs complete {}, result {}",
            of(|t| t.job),
            of(|t| t.first_rows),
            of(|t| t.inputs),
            of(|t| t.done)
        );
    }
}

/// Makes the two bands; how many bytes they are.
fn served(to: &Path) -> u64 {
    let sample = tempfile::tempdir().unwrap();
    let spec = SampleSpec {
        products: 1,
        size: SIZE,
    };
    let product = write_sample(sample.path(), &spec).unwrap().remove(0);
    fs::create_dir_all(to).unwrap();
    let mut bytes = 0;
    for band in ["B04", "B08"] {
        let mut files = product.files.iter();
        let is_it = |f: &&std::path::PathBuf| f.to_string_lossy().contains(&format!("_{band}_10m"));
        let file = sample.path().join(files.find(is_it).unwrap());
        bytes += fs::copy(file, to.join(format!("{band}.tif"))).unwrap();
    }
    bytes
}

/// The embedded server behind a line, both in threads that end with the program.
fn line(root: &Path) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = server.local_addr().unwrap().to_string();
    let root = root.to_owned();
    std::thread::spawn(move || embedded::serve(&root, server, ACCESS, SECRET, None).unwrap());
    let mut options = wan::Options::default();
    assert!(wan::HELP.contains("upstream"));
    options.set("upstream", &upstream).unwrap();
    for (name, value) in LINE {
        options.set(name, value).unwrap();
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let script: Vec<wan::Change> = Vec::new();
        let carried: wan::Stats = wan::serve(listener, options, script, || false).unwrap();
        eprintln!("the line has ended: {}", carried.json());
    });
    url
}

fn run(dir: &Path, url: &str, start: &str) -> (Times, Vec<u8>) {
    fs::create_dir_all(dir).unwrap();
    let file = format!(
        "workers = 1\n[store]\nbucket = \"bucket\"\n[products]\nprefix = \"\"\n[[task]]\nname = \"ndvi\"\nexpr = \"(B08 - B04) / (B08 + B04)\"\nstart = \"{start}\"\n"
    );
    fs::write(dir.join("cotec.toml"), file).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_cotec-coord"))
        .args(["--json", "--endpoint", url, "--region", "us-east-1"])
        .env("AWS_ACCESS_KEY_ID", ACCESS)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let events: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let last = |name: &str| events.iter().rfind(|e| e["event"] == name).unwrap();
    let at = |event: &Value| event["t"].as_f64().unwrap();
    let (running, done) = (last("job-running"), last("job-done"));
    let times = Times {
        job: at(running),
        first_rows: at(running) + done["first_rows_seconds"].as_f64().unwrap_or(0.0),
        inputs: at(last("object-ready")),
        done: at(done),
    };
    (times, fs::read(dir.join("out/p/ndvi.tif")).unwrap())
}
