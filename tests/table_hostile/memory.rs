//! Memory that cannot be had is an error when it is asked for, and the table stays usable.

use std::path::Path;

use cotec::table::{JobSpec, ObjectSpec, SlotId, Table, TableError};
use cotec::values::Limits;
use nix::libc;

/// Lets every `fallocate` of this thread, and of no other, fail for want of space.
fn no_more_memory() -> bool {
    let load = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    let equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let answer = (libc::BPF_RET | libc::BPF_K) as u16;
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        // The number of the system call is the first word of what the filter sees.
        step(load, 0, 0, 0),
        step(equal, 0, 1, libc::SYS_fallocate as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSPC as u32),
        step(answer, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: both calls change this thread only; the filter is read during the call.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const filter,
            ) == 0
    }
}

fn object(table: &Table, i: u32) -> Result<SlotId, TableError> {
    // Long keys, so that each region is the first to run dry in one of the cases.
    let key = format!(
        "{i}/{}",
        "k".repeat(if i.is_multiple_of(2) { 4 } else { 900 })
    );
    table.register_object(&ObjectSpec {
        key: &key,
        size: u64::from(i) << 20,
        etag: None,
    })
}

#[test]
fn memory_that_cannot_be_had_is_an_error_and_nothing_is_lost() {
    let limits = Limits {
        objects: 1 << 20,
        jobs: 1 << 20,
        ..Limits::for_objects(1 << 20)
    };
    let table = Table::create(limits).unwrap();
    let path = table.path();
    let first: Vec<SlotId> = (0..100).map(|i| object(&table, i).unwrap()).collect();
    let spec = JobSpec {
        name: "first",
        task: 0,
        inputs: &first[..2],
        payload: b"{}",
    };
    let job = table.register_job(&spec).unwrap();
    let starved = table.clone();
    let registered = std::thread::spawn(move || {
        if !no_more_memory() {
            println!("skipped: this machine does not let a thread filter its system calls");
            return None;
        }
        let mut errors = 0;
        let before = starved.count_objects().unwrap().void;
        for i in 100..4000 {
            match object(&starved, i) {
                Ok(_) => {}
                Err(error @ TableError::NoMemory { .. }) => {
                    let text = error.to_string();
                    assert!(
                        text.contains("no memory for the table") && text.contains("space"),
                        "{text}"
                    );
                    errors += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(errors > 100, "memory ran out {errors} times");
        let counts = starved.count_objects().unwrap();
        assert!(
            counts.void <= before + 8,
            "errors used up {} slots",
            counts.void
        );
        let jobs = starved.jobs_len().unwrap();
        let long = vec![b'p'; 300 << 10];
        let spec = JobSpec {
            name: "second",
            task: 0,
            inputs: &[],
            payload: &long,
        };
        assert!(matches!(
            starved.register_job(&spec),
            Err(TableError::NoMemory { .. })
        ));
        assert_eq!(
            starved.jobs_len().unwrap(),
            jobs,
            "a refused job leaves nothing behind"
        );
        assert!(matches!(
            starved.note(&"n".repeat(600 << 10)),
            Err(TableError::NoMemory { .. })
        ));
        // A new table needs memory at once.
        assert!(matches!(
            Table::create(limits),
            Err(TableError::NoMemory { .. })
        ));
        // What is there can be used as ever.
        for (i, slot) in first.iter().enumerate() {
            assert_eq!(object(&starved, i as u32).unwrap(), *slot);
            let claim = starved.claim_object(*slot).unwrap().unwrap();
            assert!(starved.publish_object(claim, 1).unwrap());
        }
        let claim = starved.claim_job().unwrap().unwrap();
        assert_eq!(claim.job, job);
        assert!(starved.finish_job(claim, Ok(())).unwrap());
        starved.sweep(3).unwrap();
        Some(starved.objects_len().unwrap())
    })
    .join()
    .unwrap();
    let Some(registered) = registered else { return };
    // Whoever gets memory goes on where the other had to stop.
    let other = Table::attach(Path::new(&path), true).unwrap();
    for i in 0..4000 {
        object(&other, i).unwrap();
    }
    let counts = other.count_objects().unwrap();
    assert_eq!(counts.ready + counts.wanted, 4000);
    assert!(registered < 4000 && other.objects_len().unwrap() <= 4008);
}

/// Set for the half of the test below that runs under a limit.
const LIMITED: &str = "COTEC_TEST_FILE_LIMIT";

#[test]
fn a_limit_on_files_is_an_error_and_not_a_signal() {
    if std::env::var_os(LIMITED).is_some() {
        match Table::create(Limits::for_objects(1 << 16)) {
            Ok(_) => println!("made"),
            Err(error) => println!("refused: {error}"),
        }
        return;
    }
    let me = "memory::a_limit_on_files_is_an_error_and_not_a_signal";
    let out = std::process::Command::new("sh")
        .args([
            "-c",
            "ulimit -f 1024; exec \"$0\" --exact \"$1\" --nocapture",
        ])
        .arg(std::env::current_exe().unwrap())
        .arg(me)
        .env(LIMITED, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{:?}: {text}", out.status);
    assert!(
        text.contains("refused: ") && text.contains("ulimit -f"),
        "{text}"
    );
}
