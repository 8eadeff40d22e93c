//! What comparing bytes with checksums costs.
//!
//! ```console
//! $ cargo bench --bench verify
//! ```
//!
//! First the rate of each algorithm over a file in the page cache, read as the verifier reads it,
//! per second of one core's time. Then `cotec get` of 1 GiB in 64 MiB objects from a server in this
//! program that sends 125 MB/s (1 Gbit/s) in total, over all connections: once with ETags that are
//! MD5s, and are compared, and once with ETags that are not. The rounds are interleaved, the first
//! is thrown away, and the medians of wall time and of CPU time are compared.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cotec::store::{Algorithm, Summer};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::time::{ClockId, clock_gettime};

const OBJECT: usize = 64 << 20;
const OBJECTS: usize = 16;
const PER_SECOND: f64 = 125e6;
const PIECE: usize = 256 << 10;
const ROUNDS: usize = 5;

fn main() {
    common::heading("cargo bench --bench verify");
    let bytes = contents();
    rates(&bytes);
    downloads(bytes);
}

fn contents() -> Vec<u8> {
    let word = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    (0..OBJECT as u64 / 8).flat_map(word).collect()
}

fn rates(bytes: &[u8]) {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    println!("one core, MB/s, median of {ROUNDS}:");
    for algorithm in [
        Algorithm::Md5,
        Algorithm::Sha3,
        Algorithm::Sha1,
        Algorithm::Sha256,
        Algorithm::Crc32,
        Algorithm::Crc32c,
        Algorithm::Crc64Nvme,
    ] {
        let rates = (0..ROUNDS).map(|_| OBJECT as f64 / 1e6 / seconds_of(&file, algorithm));
        println!("  {:10} {:8.0}", algorithm.name(), median(rates.collect()));
    }
}

/// CPU seconds of reading and summing up a file.
fn seconds_of(file: &File, algorithm: Algorithm) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let begun = now();
    let mut summer = Summer::new(algorithm);
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    while let n @ 1.. = file.read_at(&mut piece, at).unwrap() {
        summer.add(&piece[..n]);
        at += n as u64;
    }
    std::hint::black_box(summer.take());
    now() - begun
}

fn downloads(bytes: Vec<u8>) {
    let md5 = Summer::of(Algorithm::Md5, &bytes).to_string();
    let md5 = md5.trim_start_matches("MD5 ").to_owned();
    let other = format!("{md5}-x");
    let bytes = Arc::new(bytes);
    let compared = server(Arc::clone(&bytes), md5);
    let not = server(bytes, other);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let (one, two) = (get(&compared), get(&not));
        println!("  round {round}: compared {one:?}, not compared {two:?}");
        if round > 0 {
            with.push(one);
            without.push(two);
        }
    }
    let gigabytes = (OBJECTS * OBJECT) as f64 / 1e9;
    let both = |of: fn(&Spent) -> f64| {
        let of = |all: &[Spent]| median(all.iter().map(of).collect());
        (of(&with), of(&without))
    };
    let (wall_with, wall_without) = both(|s| s.wall);
    let (cpu_with, cpu_without) = both(|s| s.cpu);
    println!("cotec get at 125 MB/s, compared with MD5 / not compared:");
    println!(
        "  {:.1} / {:.1} MB/s, ratio {:.3}; CPU {:.2} / {:.2} s/GB",
        gigabytes * 1e3 / wall_with,
        gigabytes * 1e3 / wall_without,
        wall_without / wall_with,
        cpu_with / gigabytes,
        cpu_without / gigabytes,
    );
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    wall: f64,
    cpu: f64,
}

fn get(url: &str) -> Spent {
    let cpu = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64 / 1e6
    };
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let (begun, before) = (Instant::now(), cpu());
    let ended = Command::new(env!("CARGO_BIN_EXE_cotec"))
        .args(["--endpoint", url, "--anonymous", "get", "s3://bucket/o/"])
        .arg(dir.path())
        .env_clear()
        .stderr(Stdio::null())
        .status();
    assert!(ended.unwrap().success());
    Spent {
        wall: begun.elapsed().as_secs_f64(),
        cpu: cpu() - before,
    }
}

fn server(bytes: Arc<Vec<u8>>, etag: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let next = Arc::new(Mutex::new(Instant::now()));
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (bytes, etag, next) = (Arc::clone(&bytes), etag.clone(), Arc::clone(&next));
            // The client may go at any time.
            std::thread::spawn(move || serve(socket, &bytes, &etag, &next));
        }
    });
    url
}

fn serve(
    mut socket: TcpStream,
    bytes: &[u8],
    etag: &str,
    next: &Mutex<Instant>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while socket.read(&mut byte)? == 1 {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).to_lowercase();
        head.clear();
        let range = text.lines().find_map(|line| {
            let (from, to) = line.strip_prefix("range: bytes=")?.split_once('-')?;
            Some((from.parse::<usize>().ok()?, to.parse::<usize>().ok()? + 1))
        });
        if text.contains("list-type=2") {
            let body = listing(etag);
            let length = body.len();
            write!(
                socket,
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
            continue;
        }
        let (from, to) = range.unwrap_or((0, bytes.len()));
        write!(
            socket,
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nETag: \"{etag}\"\r\n\
             Content-Range: bytes {from}-{}/{}\r\n\r\n",
            to - from,
            to - 1,
            bytes.len()
        )?;
        for piece in bytes[from..to].chunks(PIECE) {
            let mut next = next.lock().unwrap();
            let due = (*next).max(Instant::now());
            *next = due + Duration::from_secs_f64(piece.len() as f64 / PER_SECOND);
            drop(next);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            socket.write_all(piece)?;
        }
    }
    Ok(())
}

fn listing(etag: &str) -> String {
    let objects: String = (0..OBJECTS)
        .map(|n| {
            format!("<Contents><Key>o/{n:02}</Key><Size>{OBJECT}</Size><ETag>\"{etag}\"</ETag></Contents>")
        })
        .collect();
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>")
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
