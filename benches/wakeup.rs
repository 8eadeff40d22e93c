//! How long a sleeper in another process takes to wake: the table beside a bare futex and beside
//! what else one might use.
//!
//! ```text
//! cargo bench --no-default-features --bench wakeup
//! ```
//!
//! For each way a child sleeps, the parent lets it sleep for a while, notes the time, wakes it,
//! and the child notes the time when it runs again. All ways take turns in one run, and the
//! ratios are those of the same run. The Python row needs `python3` and is left out without it.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use cotec::sys::clock::now_ns;
use cotec::sys::fork::fork;
use cotec::sys::futex;
use cotec::sys::mapping::Mapping;
use cotec::sys::sync::{AtomicU64, Ordering};
use cotec::table::{ObjectClaim, ObjectSpec, SlotId, Table};
use cotec::values::{Limits, Role};

/// Idle times before each wake-up, and how many wake-ups are measured after each.
const IDLE: [(Duration, usize); 3] = [
    (Duration::from_micros(50), 4000),
    (Duration::from_millis(1), 2000),
    (Duration::from_millis(10), 300),
];
/// The ways take turns in this many blocks.
const BLOCKS: usize = 10;
/// Sleepers on one slot.
const CROWD: usize = 1000;

// Words of the page that parent and child share.
const READY: u64 = 0;
const WOKEN: u64 = 64;
const FUTEX: u64 = 128;
const COUNT: u64 = 192;

/// One way to sleep and to wake.
trait Way {
    fn sleep(&mut self, round: usize);
    fn wake(&mut self, round: usize);
}

struct BareFutex<'a>(&'a AtomicU64);

impl Way for BareFutex<'_> {
    fn sleep(&mut self, round: usize) {
        while self.0.load(Ordering::Acquire) <= round as u64 {
            futex::wait(self.0, round as u32, None);
        }
    }
    fn wake(&mut self, round: usize) {
        self.0.store(round as u64 + 1, Ordering::Release);
        futex::wake(self.0, 1);
    }
}

struct InTable<'a> {
    table: &'a Table,
    claims: &'a [ObjectClaim],
}

impl Way for InTable<'_> {
    fn sleep(&mut self, round: usize) {
        self.table.wait(self.claims[round].slot, None).unwrap();
    }
    fn wake(&mut self, round: usize) {
        assert!(self.table.publish_object(self.claims[round], 1).unwrap());
    }
}

struct Pipe<R, W>(R, W);

impl<R: Read, W: Write> Way for Pipe<R, W> {
    fn sleep(&mut self, _: usize) {
        self.0.read_exact(&mut [0; 1]).unwrap();
    }
    fn wake(&mut self, _: usize) {
        self.1.write_all(&[1]).unwrap();
    }
}

struct EventFd(rustix::fd::OwnedFd);

impl Way for EventFd {
    fn sleep(&mut self, _: usize) {
        rustix::io::read(self.0.as_fd(), &mut [0u8; 8]).unwrap();
    }
    fn wake(&mut self, _: usize) {
        rustix::io::write(self.0.as_fd(), &1u64.to_ne_bytes()).unwrap();
    }
}

struct RawSync(Box<dyn raw_sync::events::EventImpl>);

impl Way for RawSync {
    fn sleep(&mut self, _: usize) {
        self.0.wait(raw_sync::Timeout::Infinite).unwrap();
    }
    fn wake(&mut self, _: usize) {
        self.0.set(raw_sync::events::EventState::Signaled).unwrap();
    }
}

fn main() {
    common::heading("cargo bench --no-default-features --bench wakeup");
    for (idle, rounds) in IDLE {
        compare(idle, rounds);
    }
    crowd();
    python();
}

fn compare(idle: Duration, rounds: usize) {
    let per_block = rounds / BLOCKS;
    let mut all: Vec<(&str, Vec<u64>)> = [
        "bare futex",
        "cotec table",
        "eventfd",
        "pipe",
        "Unix socket",
        "raw_sync event",
    ]
    .map(|name| (name, Vec::new()))
    .into();
    for block in 0..=BLOCKS {
        for (name, times) in &mut all {
            let measured = one_block(name, idle, per_block);
            // The first block warms everything up.
            if block > 0 {
                times.extend(measured);
            }
        }
    }
    println!("idle {idle:?}, {rounds} wake-ups each:");
    let bare = quantiles(&mut all[0].1);
    for (name, times) in &mut all {
        let (p50, p99) = quantiles(times);
        println!(
            "  {name:<16} p50 {:>7.1} us  p99 {:>7.1} us   / bare futex {:.2} {:.2}",
            p50 / 1e3,
            p99 / 1e3,
            p50 / bare.0,
            p99 / bare.1
        );
    }
}

fn quantiles(times: &mut [u64]) -> (f64, f64) {
    times.sort_unstable();
    (
        times[times.len() / 2] as f64,
        times[times.len() * 99 / 100] as f64,
    )
}

fn one_block(name: &str, idle: Duration, rounds: usize) -> Vec<u64> {
    let page = Mapping::create("wakeup", 4096).unwrap();
    match name {
        "bare futex" => measure(&page, idle, rounds, BareFutex(page.word(FUTEX).unwrap())),
        "cotec table" => {
            let table = Table::create(Limits::for_objects(8192))
                .unwrap()
                .join(Role::Downloader)
                .unwrap();
            let claims: Vec<ObjectClaim> = (0..rounds)
                .map(|n| {
                    let key = format!("k{n}");
                    let spec = ObjectSpec {
                        key: &key,
                        size: 1,
                        etag: None,
                    };
                    let slot = table.register_object(&spec).unwrap();
                    table.claim_object(slot).unwrap().unwrap()
                })
                .collect();
            measure(
                &page,
                idle,
                rounds,
                InTable {
                    table: &table,
                    claims: &claims,
                },
            )
        }
        "eventfd" => {
            let fd = rustix::event::eventfd(0, rustix::event::EventfdFlags::empty()).unwrap();
            measure(&page, idle, rounds, EventFd(fd))
        }
        "pipe" => {
            let (reader, writer) = std::io::pipe().unwrap();
            measure(&page, idle, rounds, Pipe(reader, writer))
        }
        "Unix socket" => {
            let (reader, writer) = UnixStream::pair().unwrap();
            measure(&page, idle, rounds, Pipe(reader, writer))
        }
        _ => {
            let memory = page.word(1024).unwrap();
            let at = std::ptr::from_ref(memory).cast_mut().cast::<u8>();
            // SAFETY: 3 kB of a shared, zeroed page that nothing else uses.
            let (event, _) = unsafe {
                <raw_sync::events::Event as raw_sync::events::EventInit>::new(at, true).unwrap()
            };
            measure(&page, idle, rounds, RawSync(event))
        }
    }
}

/// Forks a sleeper, wakes it `rounds` times, and returns how long each took in nanoseconds.
fn measure(page: &Mapping, idle: Duration, rounds: usize, mut way: impl Way) -> Vec<u64> {
    let ready = page.word(READY).unwrap();
    let woken = page.word(WOKEN).unwrap();
    ready.store(0, Ordering::SeqCst);
    woken.store(0, Ordering::SeqCst);
    let way = &mut way;
    let child = fork(|| {
        for round in 0..rounds {
            ready.store(round as u64 + 1, Ordering::SeqCst);
            way.sleep(round);
            woken.store(now_ns(), Ordering::SeqCst);
        }
        0
    })
    .unwrap();
    let mut times = Vec::with_capacity(rounds);
    for round in 0..rounds {
        while ready.load(Ordering::SeqCst) != round as u64 + 1 {
            std::hint::spin_loop();
        }
        std::thread::sleep(idle);
        let begun = now_ns();
        way.wake(round);
        loop {
            let at = woken.load(Ordering::SeqCst);
            if at >= begun {
                times.push(at - begun);
                break;
            }
            std::hint::spin_loop();
        }
    }
    while child.ended().unwrap().is_none() {
        std::thread::yield_now();
    }
    times
}

/// Many processes on one slot: the time until the last is awake.
fn crowd() {
    let mut ratios = Vec::new();
    let (mut bare_all, mut table_all) = (Vec::new(), Vec::new());
    for turn in 0..=7 {
        let page = Mapping::create("crowd", 4096).unwrap();
        let word = page.word(FUTEX).unwrap();
        let bare = gather(
            &page,
            || {
                while word.load(Ordering::Acquire) == 0 {
                    futex::wait(word, 0, None);
                }
            },
            || {
                word.store(1, Ordering::Release);
                futex::wake(word, u32::MAX);
            },
        );
        let table = Table::create(Limits::for_objects(64))
            .unwrap()
            .join(Role::Downloader)
            .unwrap();
        let slot: SlotId = table
            .register_object(&ObjectSpec {
                key: "k",
                size: 1,
                etag: None,
            })
            .unwrap();
        let claim = table.claim_object(slot).unwrap().unwrap();
        let page = Mapping::create("crowd", 4096).unwrap();
        let ours = gather(
            &page,
            || {
                table.wait(slot, None).unwrap();
            },
            || {
                table.publish_object(claim, 1).unwrap();
            },
        );
        if turn > 0 {
            ratios.push(ours / bare);
            bare_all.push(bare);
            table_all.push(ours);
        }
    }
    for values in [&mut ratios, &mut bare_all, &mut table_all] {
        values.sort_by(f64::total_cmp);
    }
    let middle = ratios.len() / 2;
    println!(
        "{CROWD} waiters on one slot, last one awake: {:.1} ms, bare futex {:.1} ms, ratio {:.2} (goal 1.2)",
        table_all[middle] / 1e6,
        bare_all[middle] / 1e6,
        ratios[middle]
    );
}

fn gather(page: &Mapping, sleep: impl Fn(), wake: impl Fn()) -> f64 {
    let ready = page.word(READY).unwrap();
    let woken = page.word(WOKEN).unwrap();
    let count = page.word(COUNT).unwrap();
    let children: Vec<_> = (0..CROWD)
        .map(|_| {
            fork(|| {
                ready.fetch_add(1, Ordering::SeqCst);
                sleep();
                woken.fetch_max(now_ns(), Ordering::SeqCst);
                count.fetch_add(1, Ordering::SeqCst);
                0
            })
            .unwrap()
        })
        .collect();
    while ready.load(Ordering::SeqCst) < CROWD as u64 {
        std::thread::sleep(Duration::from_millis(1));
    }
    // All have said that they go to sleep; the last ones get time to do so.
    std::thread::sleep(Duration::from_millis(50));
    let begun = now_ns();
    wake();
    while count.load(Ordering::SeqCst) < CROWD as u64 {
        std::thread::sleep(Duration::from_micros(100));
    }
    let last = woken.load(Ordering::SeqCst);
    for child in children {
        while child.ended().unwrap().is_none() {
            std::thread::yield_now();
        }
    }
    (last - begun) as f64
}

/// The way of the system that cotec grew from: a shared dictionary behind a server process,
/// looked at once a second.
const POLLED: &str = r#"
import multiprocessing, time
def sleeper(shared, result):
    while True:
        if shared.get("object") == "ready":
            result.put(time.monotonic()); return
        time.sleep(1)
if __name__ == "__main__":
    manager = multiprocessing.Manager()
    times = []
    for i in range(6):
        shared, result = manager.dict(), multiprocessing.Queue()
        child = multiprocessing.Process(target=sleeper, args=(shared, result)); child.start()
        time.sleep(0.3 + 0.17 * i)
        begun = time.monotonic(); shared["object"] = "ready"
        times.append(result.get() - begun); child.join()
    times.sort(); print(times[len(times) // 2] * 1e6, times[-1] * 1e6)
"#;

fn python() {
    let output = Command::new("python3").args(["-c", POLLED]).output();
    match output {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let mut figures = text
                .split_whitespace()
                .filter_map(|f| f.parse::<f64>().ok());
            println!(
                "Python Manager dict, polled once a second: p50 {:.0} us, longest {:.0} us (6 wake-ups)",
                figures.next().unwrap_or(f64::NAN),
                figures.next().unwrap_or(f64::NAN)
            );
        }
        _ => println!("Python Manager dict: skipped, no python3 that runs it"),
    }
}
