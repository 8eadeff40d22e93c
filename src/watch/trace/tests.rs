//! The trace of many objects, and of a run that is cut off.

#[cfg(test)] // All of it, and nothing before.
use serde_json::Value;

use super::*;
use crate::table::{JobSpec, ObjectSpec};
use crate::values::Limits;
use crate::values::event::on_line;

const MANY: u32 = 100_000;

fn event(kind: EventKind, role: Role, id: u32, value: u64, at_ns: u64) -> Event {
    Event {
        at_ns,
        kind,
        role,
        process: role as u16,
        id,
        value,
    }
}

/// A table with objects, and a job for each.
fn table() -> Table {
    let table = Table::create(Limits::for_objects(MANY)).unwrap();
    for number in 0..MANY {
        let key = format!("products/tile/\"{number}\"/B04.tif");
        let object = ObjectSpec {
            key: &key,
            size: 1000,
            etag: None,
        };
        let slot = table.register_object(&object).unwrap();
        let name = format!("ndvi/{number}");
        let job = JobSpec {
            name: &name,
            task: 0,
            inputs: &[slot],
            payload: b"",
        };
        table.register_job(&job).unwrap();
    }
    table
}

#[test]
fn a_hundred_thousand_objects_make_a_file_that_can_be_read() {
    use EventKind::*;
    let table = table();
    let mut trace = Trace::new(Vec::new(), 0);
    let mut now = 0;
    let mut tell = |kind, role, id, value| {
        now += 1000;
        let event = event(kind, role, id, value, now);
        trace.event(&table, &event).unwrap();
    };
    for (role, pid) in [(Role::Downloader, 77), (Role::Worker, 78)] {
        tell(Joined, role, pid, 0);
    }
    for id in 0..MANY {
        tell(JobWaiting, Role::Planner, id, 1);
        tell(ObjectFetching, Role::Downloader, id, 1);
        tell(PartBegun, Role::Downloader, id, on_line(3, 1000));
        tell(PartAnswered, Role::Downloader, id, on_line(3, 0));
        tell(PartEnded, Role::Downloader, id, on_line(3, 1000));
        tell(ObjectReady, Role::Downloader, id, 1000);
        tell(JobRunning, Role::Worker, id, 1);
        tell(JobDone, Role::Worker, id, 0);
    }
    trace.end(&table, 0).unwrap();
    let text = trace.chrome.into_inner();
    // A thousand bytes for each object with its part and its job.
    assert!(text.len() < 100 << 20, "{} bytes", text.len());
    let events: Vec<Value> = serde_json::from_slice(&text).unwrap();
    for kind in ["object", "part", "job"] {
        let spans = events.iter().filter(|e| e["ph"] == "X" && e["cat"] == kind);
        assert_eq!(spans.count(), MANY as usize, "{kind}");
    }
    for (ph, pid) in [("s", 77), ("f", 78)] {
        let ends = events.iter().filter(|e| e["ph"] == ph && e["pid"] == pid);
        assert_eq!(ends.count(), MANY as usize, "{ph}");
    }
}

#[test]
fn what_is_under_way_at_the_end_is_cut_off_there() {
    use EventKind::*;
    let table = table();
    let mut trace = Trace::new(Vec::new(), 0);
    for (kind, role, value, at) in [
        (ObjectFetching, Role::Downloader, 1, 10),
        (PartBegun, Role::Downloader, on_line(0, 1000), 20),
        (JobRunning, Role::Worker, 1, 30),
    ] {
        let event = event(kind, role, 5, value, at * 1_000_000);
        trace.event(&table, &event).unwrap();
    }
    trace.end(&table, 0).unwrap();
    let text = trace.chrome.into_inner();
    let events: Vec<Value> = serde_json::from_slice(&text).unwrap();
    for (kind, microseconds) in [("object", 20_000.0), ("part", 10_000.0), ("job", 0.0)] {
        let mut spans = events.iter().filter(|e| e["cat"] == kind);
        let length = spans.next().unwrap()["dur"].as_f64();
        assert_eq!(length, Some(microseconds), "{kind}");
    }
}

#[test]
fn what_a_dead_downloader_held_ends_when_it_is_given_back() {
    use EventKind::*;
    let table = Table::create(Limits::for_objects(64)).unwrap();
    let mut trace = Trace::new(Vec::new(), 0);
    for (kind, role, id, value, at) in [
        (ObjectFetching, Role::Downloader, 1, 1, 10),
        (PartBegun, Role::Downloader, 1, on_line(0, 1000), 20),
        (ObjectWanted, Role::Coordinator, 1, 0, 50),
        (Joined, Role::Downloader, 99, 0, 1000),
    ] {
        let event = event(kind, role, id, value, at * 1000);
        trace.event(&table, &event).unwrap();
    }
    trace.end(&table, 7).unwrap();
    let text = trace.chrome.into_inner();
    let events: Vec<Value> = serde_json::from_slice(&text).unwrap();
    for (kind, microseconds) in [("object", 40.0), ("part", 30.0)] {
        let mut spans = events.iter().filter(|e| e["cat"] == kind);
        assert_eq!(spans.next().unwrap()["dur"].as_f64(), Some(microseconds));
    }
    let said = events.iter().filter(|e| e["ph"] == "i");
    let said: Vec<_> = said.map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(
        said,
        ["7 events were overwritten before they could be read"]
    );
}

#[test]
fn waits_of_several_threads_lie_beside_each_other() {
    let table = Table::create(Limits::for_objects(64)).unwrap();
    let mut trace = Trace::new(Vec::new(), 0);
    // Each is known when it is over.
    for (slot, ended, length) in [(1, 50, 30), (2, 60, 20), (3, 90, 30)] {
        let waited = event(EventKind::Waited, Role::Planner, slot, length, ended);
        trace.event(&table, &waited).unwrap();
    }
    trace.end(&table, 0).unwrap();
    let text = trace.chrome.into_inner();
    let events: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let spans = events.iter().filter(|e| e["ph"] == "X");
    let tracks: Vec<u64> = spans.map(|e| e["tid"].as_u64().unwrap()).collect();
    assert!(
        tracks[0] != tracks[1] && tracks[0] == tracks[2],
        "{tracks:?}"
    );
}
