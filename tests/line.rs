//! Downloads over a simulated line (`tools/wan`), and the simulator itself.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../tools/wan/mod.rs"]
mod wan;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wan::{Change, HELP, Options, Stats, serve};

/// A line in use.
struct Line {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: JoinHandle<std::io::Result<Stats>>,
}

impl Line {
    fn with(options: &[(&str, &str)]) -> Line {
        Line::that_changes(options, Vec::new())
    }

    fn that_changes(options: &[(&str, &str)], script: Vec<Change>) -> Line {
        let mut chosen = Options::default();
        for (name, value) in options {
            chosen.set(name, value).unwrap();
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let stop = move || stop.load(Ordering::SeqCst);
        let thread = std::thread::spawn(move || serve(listener, chosen, script, stop));
        Line {
            address,
            over,
            thread,
        }
    }

    fn end(self) -> Stats {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap().unwrap()
    }

    /// What comes back on a connection of its own, up to its end or reset.
    fn ask(&self, target: &str, header: &str) -> Vec<u8> {
        let mut socket = TcpStream::connect(self.address).unwrap();
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: wan\r\nConnection: close\r\n{header}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A reset is an end like another.
        let _ = socket.read_to_end(&mut answer);
        answer
    }

    fn body(&self, target: &str, header: &str) -> Vec<u8> {
        let answer = self.ask(target, header);
        let head = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        answer[head..].to_vec()
    }

    fn get(&self, prefix: &str, to: &Path) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_cotec"))
            .args(["--endpoint", &format!("http://{}", self.address)])
            .args(["--anonymous", "get", &format!("s3://any/{prefix}/")])
            .arg(to)
            .env_clear()
            .env("HOME", to)
            .output()
            .unwrap()
    }
}

#[test]
fn a_range_has_the_bytes_of_its_object() {
    let line = Line::with(&[]);
    let whole = line.body("/any/3000000/name", "");
    assert_eq!(whole.len(), 3_000_000);
    let range = line.body("/any/3000000/name", "Range: bytes=1000000-2100000\r\n");
    assert!(range == whole[1_000_000..=2_100_000]);
    assert!(line.body("/any/3000000/other", "") != whole);
    assert_eq!(line.end().requests, 3);
}

#[test]
fn the_same_seed_gives_the_same_faults() {
    let faults = |seed| {
        let line = Line::with(&[("resets", "0.5"), ("reset-at", "500"), ("seed", seed)]);
        let lengths: Vec<usize> = (0..40)
            .map(|n| line.ask(&format!("/any/100000/{n}"), "").len())
            .collect();
        line.end();
        lengths
    };
    let first = faults("1");
    assert_eq!(first, faults("1"));
    assert_ne!(first, faults("2"));
    let broken = first.iter().filter(|length| **length <= 500).count();
    assert!((5..35).contains(&broken), "{first:?}");
}

#[test]
fn a_request_beyond_the_budget_is_told_to_wait() {
    // A change at second 0 is made before the first request.
    let script = vec![Change {
        after: Duration::ZERO,
        option: "rpm".to_owned(),
        value: "1".to_owned(),
    }];
    let line = Line::that_changes(&[("rpm", "unlimited")], script);
    assert!(line.ask("/any/1/x", "").starts_with(b"HTTP/1.1 200 "));
    let second = String::from_utf8(line.ask("/any/1/x", "")).unwrap();
    assert!(second.starts_with("HTTP/1.1 429 ") && second.contains("\r\nRetry-After: "));
    assert_eq!(line.end().beyond_budget, 1);
}

#[test]
fn every_option_is_in_the_help_and_in_no_other_way() {
    let named: Vec<&str> = HELP
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    assert!(named.len() > 15);
    for name in named {
        let known = match Options::default().set(name, "no such value") {
            Ok(()) => true,
            Err(error) => !error.contains("is no option"),
        };
        // These are the command's own.
        let own = ["listen", "seconds", "script"].contains(&name);
        assert!(known != own, "{name}");
    }
}

/// All objects arrive as they are, over a line that lets four connections in; how often it had to
/// refuse one.
fn refused_while_fetching(answer: &str) -> u64 {
    let line = Line::with(&[
        ("cap", "4"),
        ("cap-answer", answer),
        ("rtt", "5ms"),
        ("list", "few=3x20MiB"),
        ("list", "many=500x64KiB~"),
    ]);
    let place = tempfile::tempdir().unwrap();
    for prefix in ["few", "many"] {
        let got = line.get(prefix, &place.path().join(prefix));
        assert!(got.status.success(), "{got:?}");
    }
    let mut count = 0;
    for prefix in ["few", "many"] {
        for size in fs::read_dir(place.path().join(prefix)).unwrap() {
            let size = size.unwrap();
            for file in fs::read_dir(size.path()).unwrap() {
                let (file, size) = (file.unwrap(), size.file_name());
                let (size, name) = (size.to_str().unwrap(), file.file_name());
                let target = format!("/any/{prefix}/{size}/{}", name.to_str().unwrap());
                let bytes = fs::read(file.path()).unwrap();
                assert_eq!(bytes.len().to_string(), size, "{target}");
                // Each a little, all of the large ones.
                if prefix == "few" || count % 50 == 0 {
                    assert!(bytes == line.body(&target, ""), "{target} has other bytes");
                }
                count += 1;
            }
        }
    }
    assert_eq!(count, 503);
    let stats = line.end();
    assert_eq!(stats.most_open, 4);
    println!("{}", stats.json());
    stats.refused
}

/// A fixed number above the cap would be refused hundreds of times.
#[test]
fn a_cap_on_connections_is_not_exceeded_by_trying_again() {
    for answer in ["refuse", "429", "503"] {
        let refused = refused_while_fetching(answer);
        assert!(refused <= 24, "{answer}: refused {refused} times");
    }
}
