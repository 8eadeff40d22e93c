//! A populated table, the image to which it goes back after each case, and the processes that
//! use it.

use std::ops::Range;
use std::path::{Path, PathBuf};

use cotec::sys::mapping::Mapping;
use cotec::sys::sync::Ordering;
use cotec::table::{JobClaim, JobId, JobSpec, ObjectClaim, ObjectSpec, SlotId, Table};
use cotec::values::{ByteRange, Fault, FaultCode, Limits, Role};

/// The header's word that says how keys are hashed. It is made the same for all arenas, so that
/// a case finds the same words in the same buckets.
const SEED_AT: u64 = 32;

pub struct Arena {
    pub name: &'static str,
    raw: Mapping,
    image: Vec<u64>,
    places: Vec<(&'static str, Range<u64>)>,
    /// Words of each place up to the last that is not zero.
    used: Vec<u64>,
    pub path: PathBuf,
    /// The coordinator, a worker, one that has not joined, one that only reads.
    pub handles: Vec<Table>,
    /// Claims that the worker held when the image was taken.
    pub objects: Vec<ObjectClaim>,
    pub jobs: Vec<JobClaim>,
    /// The creator's handle keeps the path alive.
    _creator: Table,
}

const M: u64 = 1 << 20;

impl Arena {
    /// A table with room to spare, one that is full, and one that is empty.
    pub fn all() -> Vec<Arena> {
        let roomy = Limits {
            objects: 40,
            jobs: 40,
            inputs: 130,
            text_bytes: 8 << 10,
            grain_words: 60,
            processes: 6,
            events: 32,
        };
        let full = Limits {
            objects: 26,
            jobs: 24,
            inputs: 70,
            text_bytes: 3 << 10,
            grain_words: 16,
            processes: 4,
            events: 16,
        };
        vec![
            Arena::new("roomy", roomy, true),
            Arena::new("full", full, true),
            Arena::new("empty", roomy, false),
        ]
    }

    fn new(name: &'static str, limits: Limits, populate: bool) -> Arena {
        let creator = Table::create(limits).unwrap();
        let path = PathBuf::from(creator.path());
        let raw = Mapping::attach(&path, true).unwrap();
        raw.word(SEED_AT).unwrap().store(0x5eed, Ordering::SeqCst);
        let attach = |writable| Table::attach(&path, writable).unwrap();
        let worker = attach(true).join(Role::Worker).unwrap();
        let (objects, jobs) = if populate {
            fill(&worker)
        } else {
            (Vec::new(), Vec::new())
        };
        let coordinator = attach(true).join(Role::Coordinator).unwrap();
        let handles = vec![coordinator, worker, attach(true), attach(false)];
        let image: Vec<u64> = (0..raw.len())
            .step_by(8)
            .map(|at| raw.word(at).unwrap().load(Ordering::SeqCst))
            .collect();
        let places = creator.places();
        let used = places
            .iter()
            .map(|(_, range)| {
                let words = &image[(range.start / 8) as usize..(range.end / 8) as usize];
                words
                    .iter()
                    .rposition(|w| *w != 0)
                    .map_or(1, |last| last as u64 + 2)
            })
            .collect();
        Arena {
            name,
            raw,
            image,
            places,
            used,
            path,
            handles,
            objects,
            jobs,
            _creator: creator,
        }
    }

    pub fn places(&self) -> &[(&'static str, Range<u64>)] {
        &self.places
    }

    /// Words at the start of a place where something stands.
    pub fn used(&self, place: &str) -> u64 {
        let at = self.places.iter().position(|(name, _)| *name == place);
        at.map_or(1, |i| self.used[i])
    }

    pub fn get(&self, at: u64) -> u64 {
        self.raw
            .word(at)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    pub fn set(&self, at: u64, value: u64) {
        if let Some(word) = self.raw.word(at) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Puts everything back.
    pub fn restore(&self) {
        for (_, range) in &self.places {
            for at in range.clone().step_by(8) {
                let before = self.image[(at / 8) as usize];
                if self.get(at) != before {
                    self.set(at, before);
                }
            }
        }
    }

    /// After [`Arena::restore`]: the first byte outside of all places that has changed.
    pub fn stray_write(&self) -> Option<u64> {
        (0..self.raw.len())
            .step_by(8)
            .find(|at| self.get(*at) != self.image[(*at / 8) as usize])
    }

    /// A second way to the same table.
    pub fn attach(&self, writable: bool) -> Result<Table, cotec::table::TableError> {
        Table::attach(Path::new(&self.path), writable)
    }
}

/// Objects and jobs in every state, some with large files, shared inputs and long texts.
fn fill(t: &Table) -> (Vec<ObjectClaim>, Vec<JobClaim>) {
    let mut claims = Vec::new();
    let slots: Vec<SlotId> = (0..26u64)
        .map(|i| {
            let key = format!("tiles/29/T/NF/2026/11/{i}/B{i:02}.jp2");
            let (size, etag) = match i % 5 {
                0 => (70 * M + i, Some("d41d8cd98f00b204e9800998ecf8427e-9")),
                1 => (5 * M, Some("a text \u{1f6f0}")),
                2 => (0, None),
                _ => (M + i, Some("d41d8cd98f00b204e9800998ecf8427e")),
            };
            t.register_object(&ObjectSpec {
                key: &key,
                size: if i < 20 { size } else { M },
                etag,
            })
            .unwrap()
        })
        .collect();
    let mut jobs = Vec::new();
    for i in 0..24usize {
        let inputs: Vec<SlotId> = match i {
            0 => Vec::new(),
            1 => vec![slots[3]; 4],
            _ => (0..3).map(|k| slots[(i + k * 5) % slots.len()]).collect(),
        };
        let name = format!("ndvi/product-{i}");
        let spec = JobSpec {
            name: &name,
            task: i as u32,
            inputs: &inputs[..inputs.len().min(68 - 2 * i)],
            payload: b"{\"a\":1}",
        };
        jobs.push(t.register_job(&spec).unwrap());
    }
    for (i, slot) in slots.iter().enumerate() {
        if i % 7 == 6 {
            continue;
        }
        let claim = t.claim_object(*slot).unwrap().unwrap();
        t.publish_range(claim, ByteRange::new(M, 40 * M)).unwrap();
        match i % 7 {
            0 => claims.push(claim),
            1 if i > 10 => {
                t.fail_object(claim, Fault::new(FaultCode::NotFound, 404))
                    .unwrap();
            }
            _ => {
                t.publish_object(claim, 7).unwrap();
            }
        }
    }
    t.evict(slots[4]).unwrap();
    t.note("everything is registered").unwrap();
    let mut running = Vec::new();
    while let Some(claim) = t.claim_job().unwrap() {
        running.push(claim);
        if running.len() == 4 {
            break;
        }
    }
    let done = running.remove(0);
    t.set_job_result(done, b"{\"width\":1}").unwrap();
    t.finish_job(done, Ok(())).unwrap();
    assert!(!claims.is_empty() && !running.is_empty() && jobs.contains(&JobId(0)));
    (claims, running)
}
