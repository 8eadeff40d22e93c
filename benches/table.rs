//! Size and speed of the table beside the barest thing that could do the same.
//!
//! ```text
//! cargo bench --no-default-features --bench table            # everything
//! cargo bench --no-default-features --bench table -- 1000000 # with fewer objects
//! ```
//!
//! Every figure is a ratio of two measurements of one run, taken in turns; the median of the
//! turns counts. The first turn is thrown away.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use cotec::table::{JobSpec, ObjectSpec, SlotId, Table};
use cotec::values::Limits;
use xxhash_rust::xxh3::xxh3_64_with_seed;

const KEY_BYTES: usize = 64;
const TURNS: usize = 5;
/// Objects of a page of a listing, which is what planners register at once.
const PAGE: usize = 1000;

fn main() {
    let objects = std::env::args()
        .skip(1)
        .find_map(|arg| arg.parse::<u32>().ok())
        .unwrap_or(10_000_000);
    common::heading(&format!(
        "cargo bench --no-default-features --bench table -- {objects}"
    ));
    registering(objects);
    attaching();
    jobs();
}

/// The n-th key: 64 bytes, different in its last part, as keys of a listing are.
fn key(n: u32, buffer: &mut [u8; KEY_BYTES]) -> &str {
    buffer.copy_from_slice(b"Sentinel-2/MSI/L2A/2023/07/10/S2A_MSIL2A_T31TCJ/IMG_DAT/00000000");
    let mut rest = n;
    for digit in buffer.iter_mut().rev().take(8) {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    std::str::from_utf8(buffer.as_slice()).unwrap()
}

/// Open addressing with nothing around it: the same bytes for bucket, record and key.
struct Bare {
    buckets: Vec<u64>,
    records: Vec<[u64; 8]>,
    keys: Vec<u8>,
}

impl Bare {
    fn new(objects: usize) -> Bare {
        Bare {
            buckets: vec![0; objects * 2],
            records: Vec::with_capacity(objects),
            keys: Vec::with_capacity(objects * KEY_BYTES),
        }
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        let hash = xxh3_64_with_seed(key.as_bytes(), 7);
        let n = self.buckets.len();
        let mut at = ((u128::from(hash) * n as u128) >> 64) as usize;
        loop {
            match self.buckets[at] {
                0 => return Err(at),
                seen if seen >> 32 == hash & 0xffff_ffff => {
                    let record = (seen as u32 - 1) as usize;
                    let start = self.records[record][2] as usize;
                    if &self.keys[start..start + KEY_BYTES] == key.as_bytes() {
                        return Ok(record);
                    }
                }
                _ => {}
            }
            at = (at + 1) % n;
        }
    }

    fn insert(&mut self, key: &str, size: u64) -> usize {
        match self.find(key) {
            Ok(record) => record,
            Err(at) => {
                let record = self.records.len();
                let start = self.keys.len() as u64;
                self.keys.extend_from_slice(key.as_bytes());
                self.records.push([1, 0, start, size, 0, 0, 0, 0]);
                let hash = xxh3_64_with_seed(key.as_bytes(), 7);
                self.buckets[at] = hash << 32 | (record as u64 + 1);
                record
            }
        }
    }
}

fn registering(objects: u32) {
    let limits = Limits {
        objects,
        text_bytes: u64::from(objects) * 72,
        ..Limits::for_objects(objects)
    };
    let (mut singles, mut inserts, mut lookups) = (Vec::new(), Vec::new(), Vec::new());
    let mut bytes = 0.0;
    for turn in 0..=TURNS {
        let mut bare = Bare::new(objects as usize);
        let bare_insert = per_item(objects, |n, buffer| {
            black_box(bare.insert(key(n, buffer), 7));
        });
        let bare_lookup = per_item(objects, |n, buffer| {
            black_box(bare.find(key(scatter(n, objects), buffer)).unwrap());
        });
        drop(bare);
        let table = Table::create(limits).unwrap();
        let single = per_item(objects, |n, buffer| {
            black_box(table.register_object(&spec(key(n, buffer))).unwrap());
        });
        drop(table);
        let table = Table::create(limits).unwrap();
        let empty = resident();
        let insert = per_page(objects, &table);
        bytes = (resident() - empty) / f64::from(objects);
        let lookup = per_item(objects, |n, buffer| {
            black_box(
                table
                    .find_object(key(scatter(n, objects), buffer))
                    .unwrap()
                    .unwrap(),
            );
        });
        println!(
            "turn {turn}: insert {insert:.0} ns, one by one {single:.0} ns, bare {bare_insert:.0} ns; look-up {lookup:.0} ns, bare {bare_lookup:.0} ns"
        );
        if turn > 0 {
            inserts.push(insert / bare_insert);
            singles.push(single / bare_insert);
            lookups.push(lookup / bare_lookup);
        }
    }
    println!(
        "register {objects} objects by pages of {PAGE} / bare insert: {:.2} (goal 1.5)",
        median(&mut inserts)
    );
    println!(
        "register {objects} objects one by one / bare insert: {:.2}",
        median(&mut singles)
    );
    println!(
        "look up {objects} objects / bare look-up: {:.2} (goal 1.3)",
        median(&mut lookups)
    );
    println!(
        "bytes per object without its key: {:.1} (goal 88)",
        bytes - KEY_BYTES as f64
    );
}

fn spec(key: &str) -> ObjectSpec<'_> {
    ObjectSpec {
        key,
        size: 7,
        etag: None,
    }
}

/// Nanoseconds an object, registered page by page.
fn per_page(objects: u32, table: &Table) -> f64 {
    let mut keys = vec![[0; KEY_BYTES]; PAGE];
    let mut slots = Vec::with_capacity(PAGE);
    let begun = Instant::now();
    let mut next = 0;
    while next < objects {
        let specs: Vec<ObjectSpec<'_>> = (next..objects)
            .zip(&mut keys)
            .map(|(n, buffer)| spec(key(n, buffer)))
            .collect();
        slots.clear();
        table.register_objects(&specs, &mut slots).unwrap();
        next += specs.len() as u32;
    }
    begun.elapsed().as_nanos() as f64 / f64::from(objects)
}

/// A different order from that of insertion.
fn scatter(n: u32, of: u32) -> u32 {
    ((u64::from(n) * 2_654_435_761) % u64::from(of)) as u32
}

fn per_item(count: u32, mut work: impl FnMut(u32, &mut [u8; KEY_BYTES])) -> f64 {
    let mut buffer = [0; KEY_BYTES];
    let begun = Instant::now();
    for n in 0..count {
        work(n, &mut buffer);
    }
    begun.elapsed().as_secs_f64() * 1e9 / f64::from(count)
}

/// Bytes of shared memory that this process has mapped and touched, from the kernel.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("RssShmem:")).unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        * 1024.0
}

fn attaching() {
    for objects in [1_000, 10_000_000] {
        let table = Table::create(Limits::for_objects(objects)).unwrap();
        let path = table.path();
        let mut times: Vec<f64> = (0..100)
            .map(|_| {
                let begun = Instant::now();
                black_box(Table::attach(Path::new(&path), true).unwrap());
                begun.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        println!(
            "attach, limits for {objects} objects: {:.0} us (goal 1000)",
            median(&mut times)
        );
    }
}

fn jobs() {
    let mut per_input = Vec::new();
    for count in [1_000u32, 10_000, 100_000, 1_000_000] {
        let limits = Limits {
            text_bytes: 1 << 32,
            ..Limits::for_objects(count * 3)
        };
        let table = Table::create(limits).unwrap();
        let slots: Vec<SlotId> = (0..count * 3)
            .map(|n| {
                let mut buffer = [0; KEY_BYTES];
                let spec = ObjectSpec {
                    key: key(n, &mut buffer),
                    size: 7,
                    etag: None,
                };
                table.register_object(&spec).unwrap()
            })
            .collect();
        for n in 0..count {
            let inputs = &slots[n as usize * 3..][..3];
            let name = format!("task/{n}");
            table
                .register_job(&JobSpec {
                    name: &name,
                    task: 0,
                    inputs,
                    payload: b"{}",
                })
                .unwrap();
        }
        let mut claiming = Duration::ZERO;
        for &slot in &slots {
            let begun = Instant::now();
            let claim = table.claim_object(slot).unwrap().unwrap();
            claiming += begun.elapsed();
            black_box(claim);
            let begun = Instant::now();
            table.publish_object(claim, 7).unwrap();
            per_input.push((count, begun.elapsed()));
        }
        let begun = Instant::now();
        let mut claimed = 0;
        while let Some(claim) = table.claim_job().unwrap() {
            black_box(claim);
            claimed += 1;
        }
        assert_eq!(claimed, count);
        let claim = begun.elapsed().as_secs_f64() * 1e9 / f64::from(count);
        let ready: Duration = per_input
            .iter()
            .filter(|(c, _)| *c == count)
            .map(|(_, d)| *d)
            .sum();
        let ready = ready.as_secs_f64() * 1e9 / f64::from(count * 3);
        println!(
            "{count} jobs of 3 inputs: an input becomes ready in {ready:.0} ns; claiming a job {claim:.0} ns (goal 1000)"
        );
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
