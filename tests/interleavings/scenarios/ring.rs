//! The ring of events: what a reader believes was written as it is.

use super::{deadly, fine, scenario};
use crate::model;
use crate::table::{EventReader, Table};
use crate::values::Limits;
use crate::world::{LIMITS, Scenario, World};

pub const SCENARIOS: &[Scenario] = &[
    fine("a writer laps a reader", writer_laps_reader),
    scenario("two writers and a reader", two_writers),
    fine("a stopped writer is lapped", stopped_writer),
    deadly("a writer of events dies", writer_dies),
];

const ROUND: u32 = 16;

/// A ring that is soon full, with notes "0", "1", ... in it.
fn small_ring(w: &mut World, filled: u32) {
    let events = ROUND;
    w.with_limits(Limits { events, ..LIMITS });
    for n in 0..filled {
        w.table.note(&n.to_string()).unwrap();
    }
}

/// Reads all there is: numbers, each once and each in the place of its writing.
fn read(reader: &mut EventReader, t: &Table) -> Vec<u32> {
    let mut numbers: Vec<u32> = Vec::new();
    while let Some(event) = reader.next(t).unwrap() {
        let text = t.note_text(&event).unwrap();
        let number = text.parse().unwrap();
        let later = numbers.last().is_none_or(|last| *last < number);
        assert!(later && event.id == 0, "a torn event: {event:?} {text:?}");
        numbers.push(number);
    }
    numbers
}

fn writer_laps_reader(w: &mut World) {
    small_ring(w, ROUND - 1);
    w.process("writer", |t| {
        for n in ROUND - 1..ROUND + 1 {
            t.note(&n.to_string()).unwrap();
        }
    });
    w.process("reader", |t| {
        let mut reader = EventReader::default();
        let read = read(&mut reader, &t);
        assert!(read.len() as u64 + reader.lost() <= u64::from(ROUND) + 1);
    });
    w.race();
}

fn two_writers(w: &mut World) {
    w.process("writer a", |t| t.note("1").unwrap());
    w.process("writer b", |t| t.note("1").unwrap());
    w.process("reader", |t| while_reading(&t));
    w.race();
    let mut reader = EventReader::default();
    for _ in 0..2 {
        assert!(reader.next(&w.table).unwrap().is_some());
    }
    assert_eq!(reader.lost(), 0);
}

fn while_reading(t: &Table) {
    let mut reader = EventReader::default();
    while let Some(event) = reader.next(t).unwrap() {
        assert_eq!(t.note_text(&event).unwrap(), "1");
    }
}

/// A writer that is stopped while others fill the ring anew must not be believed in their place.
fn stopped_writer(w: &mut World) {
    small_ring(w, 0);
    w.process("writer a", |t| {
        t.retried(crate::table::SlotId(7), FAULT).unwrap()
    });
    w.process("writer b", |t| {
        model::pass_time(1);
        // In one go: only the stopped writer and the reader matter.
        model::unseen(|| {
            for n in 0..ROUND {
                t.note(&n.to_string()).unwrap();
            }
        });
    });
    w.process("reader", |t| {
        let mut reader = EventReader::default();
        while let Some(event) = reader.next(&t).unwrap() {
            let retry = event.kind == crate::values::EventKind::Retry;
            let own = retry && event.id == 7 && event.value == FAULT.to_bits().into();
            assert!(
                own || !retry && t.note_text(&event).is_ok(),
                "a torn event: {event:?}"
            );
            assert!(own || event.id == 0, "a torn event: {event:?}");
        }
    });
    w.race();
}

const FAULT: crate::values::Fault = crate::values::Fault {
    code: crate::values::FaultCode::Server,
    detail: 503,
};

/// The event that a dead writer began is given up, and the ones after it are read.
fn writer_dies(w: &mut World) {
    let first = w.mortal("writer a", |t| t.note("1").unwrap());
    w.process("writer b", move |t| {
        model::await_end(first);
        t.note("2").unwrap();
    });
    w.race();
    let mut reader = EventReader::default();
    let mut got = read(&mut reader, &w.table);
    model::pass_time(1_000_000_000);
    got.extend(read(&mut reader, &w.table));
    assert!(got.contains(&2), "the event after a death is lost");
}
