//! A network simulator: a long, narrow or moody line on loopback, without privileges.
//!
//! ```text
//! cargo build --release --example wan
//! target/release/examples/wan --rtt 80ms --total 1Gbit --upstream 127.0.0.1:9000
//! target/release/examples/wan --rtt 20ms --each 20MB --cap 4 --cap-answer 429 \
//!     --list large=20x256MiB --list small=100000x256KiB~
//! cotec --endpoint http://127.0.0.1:PORT --anonymous get s3://wan/small/ DIR
//! ```
//!
//! It stands in front of an HTTP server (`--upstream`), or serves synthetic objects itself. The
//! first line of its output is the address that it listens on; at SIGINT, SIGTERM or the end of
//! `--seconds` it prints what it saw as one line of JSON. `--help` lists the options. `--script
//! FILE` changes them while it runs: lines of `SECOND OPTION VALUE`.

#[path = "wan/mod.rs"]
mod wan;

use std::net::TcpListener;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use wan::{Change, HELP, Options, Stats, serve};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("wan: {message}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), String> {
    let mut options = Options::default();
    let (mut listen, mut seconds, mut script) = ("127.0.0.1:0".to_owned(), None, Vec::new());
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        if flag == "--help" {
            println!("{HELP}");
            return Ok(());
        }
        let name = flag
            .strip_prefix("--")
            .ok_or(format!("{flag:?} is no option; --help lists them"))?;
        let value = arguments.next().ok_or(format!("--{name} needs a value"))?;
        match name {
            "listen" => listen = value,
            "seconds" => seconds = Some(number(&value)?),
            "script" => script = read_script(&value)?,
            _ => options.set(name, &value)?,
        }
    }
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGINT);
    mask.add(Signal::SIGTERM);
    mask.thread_block().map_err(|e| e.to_string())?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|e| e.to_string())?;
    let listener = TcpListener::bind(&listen).map_err(|e| format!("{listen}: {e}"))?;
    println!("{}", listener.local_addr().map_err(|e| e.to_string())?);
    let begun = Instant::now();
    let stop = || {
        let over = seconds.is_some_and(|s: f64| begun.elapsed() > Duration::from_secs_f64(s));
        over || matches!(signals.read_signal(), Ok(Some(_)))
    };
    let stats: Stats = serve(listener, options, script, stop).map_err(|e| e.to_string())?;
    println!("{}", stats.json());
    Ok(())
}

fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|n: &f64| n.is_finite() && *n >= 0.0)
        .ok_or(format!("{text:?} is no number of seconds"))
}

fn read_script(path: &str) -> Result<Vec<Change>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{path}: {e}"))?;
    let lines = text
        .lines()
        .map(|l| l.split('#').next().unwrap_or_default());
    lines
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let &[second, option, value] = words.as_slice() else {
                return Err(format!("{path}: {line:?} is not SECOND OPTION VALUE"));
            };
            Ok(Change {
                after: Duration::from_secs_f64(number(second)?),
                option: option.to_owned(),
                value: value.to_owned(),
            })
        })
        .collect()
}
