//! Everywhere that a secret could get to in a run, as bytes to look through.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom as From};
use std::path::Path;

use rustix::fs::{SeekFrom, seek};

use super::world::World;
use crate::common::processes::until;
use crate::common::run::{Coord, Outcome};

/// A command that leaves its process id and the table's path, waits, and copies its input.
const HOLD: &str = "in=$1 out=$2; cd \"$HOME\"\n\
                    echo \"$COTEC_TABLE\" > table; echo $$ > pid.new; mv pid.new pid\n\
                    while [ ! -e go ]; do sleep 0.02; done; cp \"$in\" \"$out\"\n";

/// What could be read in each place, in the order of [`NAMES`].
pub struct Places {
    bytes: Vec<(&'static str, Vec<u8>)>,
    pub outcome: Outcome,
}

/// The places.
pub const NAMES: [&str; 6] = [
    "environment",
    "table",
    "staging",
    "output",
    "stdout",
    "stderr",
];

impl Places {
    /// Runs the world's job file to its end, its first command held until everything that is only
    /// there during a run has been read.
    pub fn of(world: &World, coord: Coord) -> Places {
        world.write("hold.sh", HOLD);
        let home = world.sandbox.path("");
        let mut running = coord.env("RUST_LOG", "trace").spawn();
        let pid = until("the command", || {
            let ended = running.child.try_wait().unwrap();
            assert_eq!(ended, None, "{}", running.stdout());
            fs::read_to_string(home.join("pid")).ok()
        });
        let environment = fs::read(format!("/proc/{}/environ", pid.trim())).unwrap();
        let path = fs::read_to_string(home.join("table")).unwrap();
        let table = written(path.trim().as_ref());
        let mut during = Vec::new();
        collect(&home.join("out"), &mut during);
        fs::write(home.join("go"), b"").unwrap();
        let outcome = running.wait();
        let (mut staging, mut output) = (Vec::new(), during);
        collect(&home.join(".cotec"), &mut staging);
        collect(&home.join("out"), &mut output);
        let (out, err) = (outcome.stdout.clone(), outcome.stderr.clone());
        let bytes = [environment, table, staging, output, out.into(), err.into()];
        Places {
            bytes: NAMES.into_iter().zip(bytes).collect(),
            outcome,
        }
    }

    /// Where `needle` is.
    pub fn with(&self, needle: &str) -> Vec<&'static str> {
        let holds = |bytes: &[u8]| {
            let mut windows = bytes.windows(needle.len());
            windows.any(|window| window == needle.as_bytes())
        };
        let there = self.bytes.iter().filter(|(_, bytes)| holds(bytes));
        there.map(|(name, _)| *name).collect()
    }
}

/// The bytes of a file with holes that have ever been written.
fn written(path: &Path) -> Vec<u8> {
    let mut file = File::open(path).unwrap();
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Ok(start) = seek(&file, SeekFrom::Data(at)) {
        let end = seek(&file, SeekFrom::Hole(start)).unwrap();
        file.seek(From::Start(start)).unwrap();
        (&file).take(end - start).read_to_end(&mut bytes).unwrap();
        at = end;
    }
    bytes
}

/// Names and contents of all files below a directory.
fn collect(directory: &Path, bytes: &mut Vec<u8>) {
    // What is only there for a moment may be gone.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        bytes.extend_from_slice(path.as_os_str().as_encoded_bytes());
        bytes.push(b'\n');
        if path.is_dir() {
            collect(&path, bytes);
        } else {
            bytes.extend(fs::read(&path).unwrap_or_default());
        }
    }
}
