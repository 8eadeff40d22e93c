//! Children of a case.

use std::time::Duration;

use cotec::sys::fork::fork;
use cotec::sys::pidfd::{Child, Ended};

/// Forks; the child succeeds if `body` gives true.
pub fn child(body: impl FnOnce() -> bool) -> Child {
    fork(|| i32::from(!body())).unwrap()
}

pub fn end(child: &Child) -> Ended {
    loop {
        if let Some(ended) = child.ended().unwrap() {
            return ended;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn well(child: Child) {
    assert_eq!(end(&child), Ended::Exited(0));
}

pub fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
