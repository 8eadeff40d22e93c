//! A workload from what `cotec-coord --json` has printed: the listing, when jobs were registered,
//! what each took, and how fast bytes came.

use std::collections::HashMap;

use cotec::schedule::replay::{Observed, fit};
use cotec::schedule::simulate::{Job, Setup, Workload};
use serde_json::Value;

/// A recorded run.
pub struct Recorded {
    pub workload: Workload,
    /// With the network and the workers of that run.
    pub setup: Setup,
    /// Seconds from the first registered job until the last was done.
    pub makespan: f64,
    /// Jobs that were not done, and are left out.
    pub left_out: usize,
}

#[derive(Default)]
struct Seen {
    registered: f64,
    inputs: Vec<u32>,
    running: f64,
    seconds: Option<f64>,
}

/// Reads the records of a run; `None` if no job was done in it.
pub fn read(text: &str, connections: usize) -> Option<Recorded> {
    let mut slots: HashMap<String, u32> = HashMap::new();
    let mut observed = Observed::default();
    let mut names: Vec<String> = Vec::new();
    let mut jobs: HashMap<String, Seen> = HashMap::new();
    observed.workers = 1;
    observed.connections = Some(connections);
    let (mut first_fetch, mut last_ready) = (f64::INFINITY, 0.0_f64);
    for line in text.lines() {
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let t = record["t"].as_f64().unwrap_or(0.0);
        let name = || record["job"].as_str().unwrap_or_default().to_owned();
        match record["event"].as_str().unwrap_or_default() {
            "run-started" => observed.workers = record["workers"].as_u64().unwrap_or(1) as usize,
            "object-wanted" => {
                let key = record["key"].as_str().unwrap_or_default();
                let next = observed.objects.len() as u32;
                if !slots.contains_key(key) {
                    slots.insert(key.to_owned(), next);
                    observed.objects.push(record["size"].as_u64().unwrap_or(0));
                }
            }
            "object-fetching" => first_fetch = first_fetch.min(t),
            "object-ready" => {
                let key = record["key"].as_str().unwrap_or_default();
                let slot = slots.get(key).map(|slot| *slot as usize);
                if let Some(bytes) = slot.and_then(|slot| observed.objects.get_mut(slot)) {
                    // What was in staging did not come.
                    *bytes = record["fetched"].as_u64().unwrap_or(*bytes);
                }
                last_ready = last_ready.max(t);
            }
            "job-waiting" => {
                let Some(inputs) = record["inputs"].as_array() else {
                    continue;
                };
                let slot = |key: &Value| slots.get(key.as_str()?).copied();
                names.push(name());
                let seen = jobs.entry(name()).or_default();
                seen.registered = t;
                seen.inputs = inputs.iter().filter_map(slot).collect();
            }
            "job-running" => jobs.entry(name()).or_default().running = t,
            "job-done" => {
                let seen = jobs.entry(name()).or_default();
                seen.seconds = Some(t - seen.running);
                observed.ended = observed.ended.max(t);
            }
            _ => {}
        }
    }
    let begun = jobs.get(names.first()?)?.registered;
    let mut tasks: Vec<&str> = Vec::new();
    let mut left_out = 0;
    for name in &names {
        let seen = &jobs[name];
        let Some(seconds) = seen.seconds else {
            left_out += 1;
            continue;
        };
        let task = name.split('/').next().unwrap_or_default();
        let known = tasks.iter().position(|other| *other == task);
        let number = known.unwrap_or_else(|| {
            tasks.push(task);
            tasks.len() - 1
        });
        observed.jobs.push(Job {
            task: number as u32,
            inputs: seen.inputs.clone(),
            seconds,
            registered: seen.registered,
        });
    }
    observed.downloading = last_ready - first_fetch;
    let (workload, setup, _) = fit(&observed)?;
    Some(Recorded {
        setup,
        makespan: observed.ended - begun,
        left_out,
        workload,
    })
}
