//! `--metrics`: what is served is true and well formed, and neither clients nor the end of the
//! exporter concern the run.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use cotec::sys::proc;
use cotec::values::Role;
use nix::sys::signal::Signal;

use crate::common::processes::{no_scratch, none_left, of_role, send, table, until};
use crate::common::run::{Running, Sandbox};
use crate::exposition::{Scrape, parse};
use crate::gate::Gate;
use crate::watched::three_jobs;

const FLAGS: [&str; 5] = ["--json", "--workers", "2", "--metrics", "0"];

fn go(sandbox: &Sandbox) {
    fs::write(sandbox.path("go"), b"").unwrap();
}

/// Host and port at which a run with `--json` says that it serves metrics.
fn address(running: &mut Running) -> String {
    assert!(
        running.printed("metrics at http://"),
        "{}",
        running.stdout()
    );
    let said = running.stdout();
    let (_, rest) = said.split_once("metrics at http://").unwrap();
    rest.split('/').next().unwrap().to_owned()
}

/// Sends a request and reads all that comes, if something does.
fn ask(address: &str, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

fn get(address: &str, method: &str, path: &str) -> Option<String> {
    ask(
        address,
        &format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
    )
}

/// A scrape; nothing if nobody answers now.
fn scrape(address: &str) -> Option<Scrape> {
    let answer = get(address, "GET", "/metrics")?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    Some(parse(body).unwrap_or_else(|e| panic!("{e}\n{body}")))
}

/// The exporter: the child of the coordinator that lets others have the processor first.
fn exporter(running: &Running) -> Option<i32> {
    let children = proc::children(running.pid().unsigned_abs()).into_iter();
    let mut nice = children.filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        fields.split_ascii_whitespace().nth(16) == Some("10")
    });
    nice.next().map(u32::cast_signed)
}

#[test]
fn what_is_served_fits_the_records_of_the_run() {
    let sandbox = three_jobs();
    let mut running = sandbox.coord().serve().args(FLAGS).spawn();
    let address = address(&mut running);
    let seen = until("two jobs to end", || {
        let seen = scrape(&address)?;
        let ended = |how: &str| seen.value(&format!("cotec_jobs_ended_total{{outcome=\"{how}\"}}"));
        (ended("done") == 1.0 && ended("failed") == 1.0).then_some(seen)
    });
    // One job still runs, and nothing else happens any more.
    for (sample, value) in [
        ("cotec_run_phase{phase=\"planned\"}", 1.0),
        ("cotec_run_phase{phase=\"planning\"}", 0.0),
        ("cotec_jobs{state=\"running\"}", 1.0),
        ("cotec_jobs{state=\"done\"}", 1.0),
        ("cotec_jobs{state=\"failed\"}", 1.0),
        ("cotec_workers{state=\"running\"}", 1.0),
        ("cotec_workers{state=\"waiting\"}", 1.0),
        ("cotec_objects{state=\"ready\"}", 3.0),
        ("cotec_object_bytes{state=\"ready\"}", 3000.0),
        ("cotec_staging_bytes", 3000.0),
        ("cotec_retries_total", 0.0),
        ("cotec_faults_total{what=\"job\",fault=\"processor\"}", 1.0),
        ("cotec_job_duration_seconds_count", 2.0),
    ] {
        assert_eq!(seen.value(sample), value, "{sample}");
    }
    go(&sandbox);
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let events = outcome.events();
    let end = events.last().unwrap();
    let of_end = |pointer: &str| end.pointer(pointer).unwrap().as_f64().unwrap();
    assert_eq!(
        seen.value("cotec_fetched_bytes_total"),
        of_end("/objects/bytes_fetched")
    );
    assert_eq!(
        seen.value("cotec_requests_total"),
        of_end("/objects/requests")
    );
    assert_eq!(
        seen.value("cotec_jobs_ended_total{outcome=\"failed\"}"),
        of_end("/jobs/failed")
    );
    let seconds = end["results"].as_array().unwrap().iter();
    let seconds = seconds.filter(|job| job["job"] != "t/wait");
    let seconds: f64 = seconds.map(|job| job["seconds"].as_f64().unwrap()).sum();
    assert!((seen.value("cotec_job_duration_seconds_sum") - seconds).abs() < 1e-9);
    none_left(&sandbox);
    assert!(TcpStream::connect(&address).is_err(), "it still listens");
}

#[test]
fn each_metric_is_documented_with_its_type() {
    let sandbox = three_jobs();
    let limited = [
        "--staging-limit",
        "1GiB",
        "--limit",
        "connections=4",
        "--limit",
        "bytes_per_month=1000000",
    ];
    let coord = sandbox.coord().serve().args(FLAGS).args(limited);
    let mut running = coord.spawn();
    let address = address(&mut running);
    let seen = until("a job to fail", || {
        let seen = scrape(&address)?;
        seen.types
            .contains_key("cotec_faults_total")
            .then_some(seen)
    });
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = fs::read_to_string(page).unwrap();
    let rows = page.lines().filter(|line| line.starts_with("| `cotec_"));
    let documented = rows.map(|row| {
        let mut cells = row.split('|').map(|cell| cell.trim().trim_matches('`'));
        cells.next();
        let (name, kind) = (cells.next().unwrap(), cells.next().unwrap());
        (name.to_owned(), kind.to_owned())
    });
    assert_eq!(seen.types, documented.collect());
    go(&sandbox);
    assert_eq!(running.wait().code, Some(1));
}

#[test]
fn other_requests_have_their_answers() {
    let sandbox = three_jobs();
    let mut running = sandbox.coord().serve().args(FLAGS).spawn();
    let address = address(&mut running);
    let index = get(&address, "GET", "/").unwrap();
    assert!(index.contains("href=\"/metrics\""), "{index}");
    let none = get(&address, "GET", "/other").unwrap();
    assert!(none.starts_with("HTTP/1.1 404 "), "{none}");
    let post = get(&address, "POST", "/metrics").unwrap();
    assert!(
        post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD"),
        "{post}"
    );
    let head = get(&address, "HEAD", "/metrics").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    go(&sandbox);
    assert_eq!(running.wait().code, Some(1));
}

#[test]
fn whatever_clients_do_the_run_ends_well() {
    let sandbox = three_jobs();
    let mut running = sandbox.coord().serve().args(FLAGS).spawn();
    let address = address(&mut running);
    for garbage in [
        "\0\u{1}\u{2}\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}TLS".repeat(100),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1 << 20)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(100_000)),
        "GET /metrics HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\n".to_owned(),
    ] {
        // It may be refused, or hung up on.
        if let Some(answer) = ask(&address, &garbage) {
            assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        }
    }
    // Connected and silent, in the middle of a head, and gone without reading.
    let silent: Vec<TcpStream> = (0..100)
        .map(|n| {
            let mut stream = TcpStream::connect(&address).unwrap();
            if n % 2 == 0 {
                stream.write_all(b"GET /metrics HT").unwrap();
            }
            stream
        })
        .collect();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(&address).unwrap();
        // It may be hung up on already.
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n");
    }
    until("an answer beside them all", || scrape(&address));
    go(&sandbox);
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(outcome.count("/jobs/done"), 2);
    none_left(&sandbox);
    no_scratch(&sandbox);
    drop(silent);
}

#[test]
fn a_port_in_use_is_said_before_anything_begins() {
    let sandbox = three_jobs();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let coord = sandbox.coord().serve().args(["--metrics", &address]);
    let outcome = coord.expect(2);
    assert!(
        outcome
            .stderr
            .starts_with("error: metrics cannot be served at"),
        "{outcome}"
    );
    for part in [address.as_str(), "in use", "port"] {
        assert!(outcome.stderr.contains(part), "{outcome}");
    }
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    assert!(!sandbox.path("out").exists() && !sandbox.path(".cotec").exists());
}

#[test]
fn an_exporter_that_is_killed_is_replaced_and_the_run_goes_on() {
    let sandbox = three_jobs();
    let mut running = sandbox.coord().serve().args(FLAGS).spawn();
    let address = address(&mut running);
    until("the first scrape", || scrape(&address));
    let pid = exporter(&running).unwrap();
    send(pid, Signal::SIGKILL);
    until("another exporter", || {
        let other = exporter(&running).filter(|other| *other != pid);
        other.and_then(|_| scrape(&address))
    });
    go(&sandbox);
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(outcome.count("/jobs/done"), 2);
    let died: Vec<_> = outcome
        .events()
        .into_iter()
        .filter(|event| event["event"] == "process-died")
        .collect();
    assert_eq!(died.len(), 1, "{outcome}");
    assert_eq!(
        (&died[0]["role"], &died[0]["pid"]),
        (&"exporter".into(), &pid.into())
    );
    none_left(&sandbox);
}

#[test]
fn an_exporter_that_ends_again_and_again_is_given_up_and_the_run_goes_on() {
    let sandbox = three_jobs();
    let mut running = sandbox.coord().serve().args(FLAGS).spawn();
    let address = address(&mut running);
    until("it to be given up", || {
        if let Some(pid) = exporter(&running) {
            // It may have ended since.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGKILL);
        }
        running
            .stdout()
            .contains("ends again and again")
            .then_some(())
    });
    assert!(TcpStream::connect(&address).is_err(), "clients would wait");
    go(&sandbox);
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert_eq!(outcome.count("/jobs/done"), 2);
    none_left(&sandbox);
}

#[test]
fn counters_do_not_go_down_when_a_downloader_dies() {
    let sandbox = three_jobs();
    go(&sandbox);
    let gate = Gate::new(&sandbox.path("served"), &["GET /b/wait/x"]);
    let mut running = gate.use_by(sandbox.coord()).args(FLAGS).spawn();
    let address = address(&mut running);
    let fetched = |seen: &Scrape| seen.value("cotec_fetched_bytes_total");
    let before = until("two objects to be fetched", || {
        scrape(&address).filter(|seen| fetched(seen) == 2000.0)
    });
    gate.wait_until_held();
    send(of_role(&table(&running), Role::Downloader), Signal::SIGKILL);
    assert!(running.printed("\"process-died\""), "{}", running.stdout());
    // A scrape may show a look from before.
    let mut all = vec![before];
    all.extend((0..20).filter_map(|_| scrape(&address)));
    gate.open();
    while let Some(seen) = scrape(&address) {
        all.push(seen);
    }
    for pair in all.windows(2) {
        for (sample, value) in &pair[0].samples {
            let family = sample.split('{').next().unwrap();
            if pair[0]
                .types
                .get(family)
                .is_some_and(|kind| kind == "counter")
            {
                assert!(pair[1].value(sample) >= *value, "{sample} was {value}");
            }
        }
    }
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(1), "{outcome}");
    // What the first downloader fetched counts.
    assert_eq!(outcome.count("/objects/bytes_fetched"), 3000);
}

#[test]
fn what_is_malformed_is_found() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"y\\\"\"} 1\n";
    assert_eq!(parse(good).unwrap().samples.len(), 1);
    for bad in [
        "a 1\n",
        good.trim_end(),
        &good.replace("a_total{", "b_total{"),
        &good.replace("counter", "gauge"),
        &good.replace("y\\\"", "y\""),
        &good.replace("} 1", "} one"),
        &good.replace("} 1", "} -1"),
        &format!("{good}{good}"),
        &good.replace("# HELP a_total A.\n", ""),
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
}
