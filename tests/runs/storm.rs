//! A short storm: random processes of whole runs are killed at random moments.

#[path = "../../tools/torture/storm.rs"]
mod torture;

use torture::{Plan, storm};

#[test]
fn fifty_kills_leave_the_results_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let seed = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    println!("seed {seed}");
    let plan = Plan {
        binary: env!("CARGO_BIN_EXE_cotec-coord").into(),
        dir: dir.path().to_owned(),
        kills: 50,
        seed,
        sample: (2, 256),
    };
    let report = storm(&plan).unwrap();
    println!("{}", report.text());
    assert!(report.killed() >= 50);
    assert!(report.faults.is_empty(), "seed {seed}\n{}", report.text());
}
