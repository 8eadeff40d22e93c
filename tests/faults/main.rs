//! The fault matrix: a store that misbehaves in each way, the real commands against it, and what
//! became of it. `cargo test --test faults -- --nocapture matrix` prints the table.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answer;
mod bucket;
mod judge;
#[path = "../common/listener.rs"]
mod listener;
mod program;
mod row;
mod rows;
mod server;
mod table;

use std::collections::VecDeque;
use std::sync::Mutex;

/// Rows at a time: most of them wait.
const AT_A_TIME: usize = 12;

#[test]
fn matrix() {
    let rows = rows::all();
    let queue = Mutex::new(rows.iter().enumerate().collect::<VecDeque<_>>());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some((number, row)) = queue.lock().unwrap().pop_front() else {
                        return;
                    };
                    let happened = row.run();
                    done.lock().unwrap().push((number, happened));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(number, _)| *number);
    let lines: Vec<_> = done
        .into_iter()
        .flat_map(|(_, happened)| happened)
        .collect();
    table::print(&lines);
    let wrong: Vec<_> = lines.iter().filter(|line| !line.wrong.is_empty()).collect();
    let told: Vec<String> = wrong.iter().map(|line| line.tell()).collect();
    assert!(wrong.is_empty(), "{}", told.join("\n"));
}
