//! Looks on while a run goes on, as a stranger who may only read: all events of the ring, and how
//! long the kernel let each process of the run wait for a processor.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use cotec::sys::clock::now_ns;
use cotec::table::{EventReader, Table};
use cotec::values::{Event, Role};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// Looks between two searches for new processes.
const SEARCH: u32 = 10;

/// What the kernel says of a process at one time: `/proc/PID/schedstat`.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    pub at_ns: u64,
    /// How long it has waited for a processor while it could have run, up to its last turn.
    pub waited_ns: u64,
    /// How often it has got one.
    pub turns: u64,
}

/// A process of the run, by the number that its events carry.
#[derive(Debug)]
pub struct Process {
    pub role: Role,
    /// When it was first seen.
    pub since_ns: u64,
    pub samples: Vec<Sample>,
}

/// All that was seen of a run.
#[derive(Debug, Default)]
pub struct Watched {
    /// In order of time.
    pub events: Vec<Event>,
    pub processes: BTreeMap<u16, Process>,
    /// When, and how long the machine has been without its processors until then, as a virtual one
    /// may be.
    pub stolen: Vec<(u64, u64)>,
    /// Events that were overwritten before they were read.
    pub lost: u64,
}

/// Looks on until `over` says that the run has ended.
pub fn watch(table: &Table, mut over: impl FnMut() -> bool) -> Watched {
    let mut watched = Watched::default();
    let mut reader = EventReader::default();
    let mut files: Vec<(u16, File)> = Vec::new();
    let mut looks = 0;
    loop {
        // Asked first, so that the last events are read after the end.
        let last = over();
        while let Ok(Some(event)) = reader.next(table) {
            watched.events.push(event);
        }
        if last {
            break;
        }
        if looks % SEARCH == 0 {
            search(table, &mut watched, &mut files);
            watched.stolen.extend(stolen().map(|ns| (now_ns(), ns)));
        }
        looks += 1;
        for (number, file) in &files {
            if let Some(process) = watched.processes.get_mut(number)
                && let Some(sample) = sample(file)
            {
                process.samples.push(sample);
            }
        }
        std::thread::sleep(LOOK);
    }
    watched.lost = reader.lost();
    watched.events.sort_by_key(|event| event.at_ns);
    watched
}

fn search(table: &Table, watched: &mut Watched, files: &mut Vec<(u16, File)>) {
    for process in table.processes().unwrap_or_default() {
        let number = process.owner.index() as u16;
        if watched.processes.contains_key(&number) {
            continue;
        }
        let Ok(file) = File::open(format!("/proc/{}/schedstat", process.pid)) else {
            continue;
        };
        let new = Process {
            role: process.role,
            since_ns: now_ns(),
            samples: Vec::new(),
        };
        watched.processes.insert(number, new);
        files.push((number, file));
    }
}

/// From the first line of `/proc/stat`, in its hundredths of a second.
fn stolen() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let hundredths: u64 = stat.split_whitespace().nth(8)?.parse().ok()?;
    Some(hundredths * 10_000_000)
}

fn sample(file: &File) -> Option<Sample> {
    let mut bytes = [0; 96];
    let at_ns = now_ns();
    let read = file.read_at(&mut bytes, 0).ok()?;
    let text = std::str::from_utf8(bytes.get(..read)?).ok()?;
    let mut numbers = text.split_whitespace().map(str::parse);
    let (_ran, waited_ns, turns) = (numbers.next()?, numbers.next()?, numbers.next()?);
    Some(Sample {
        at_ns,
        waited_ns: waited_ns.ok()?,
        turns: turns.ok()?,
    })
}
