//! The ring of events: what a reader believes was written as it is.

use super::{deadly, scenario};
use crate::model;
use crate::table::EventReader;
use crate::values::Limits;
use crate::world::{LIMITS, Scenario, World};

pub const SCENARIOS: &[Scenario] = &[
    scenario("a writer laps a reader", writer_laps_reader),
    scenario("two writers and a reader", two_writers),
    deadly("a writer of events dies", writer_dies),
];

/// Reads all there is; each note must read as it was written.
fn read(reader: &mut EventReader, t: &crate::table::Table) -> usize {
    let mut notes = 0;
    while let Some(event) = reader.next(t).unwrap() {
        let text = t.note_text(&event).unwrap();
        let written = matches!(text.as_str(), "aa" | "bb" | "filling") && event.id == 0;
        assert!(written, "a torn event: {event:?} {text:?}");
        notes += 1;
    }
    notes
}

fn writer_laps_reader(w: &mut World) {
    w.with_limits(Limits {
        events: 16,
        ..LIMITS
    });
    for _ in 0..15 {
        w.table.note("filling").unwrap();
    }
    w.process("writer", |t| {
        for _ in 0..2 {
            t.note("aa").unwrap();
        }
    });
    w.process("reader", |t| {
        let mut reader = EventReader::default();
        let got = read(&mut reader, &t);
        assert!(got <= 17);
    });
    w.race();
}

fn two_writers(w: &mut World) {
    w.process("writer a", |t| t.note("aa").unwrap());
    w.process("writer b", |t| t.note("bb").unwrap());
    w.process("reader", |t| {
        read(&mut EventReader::default(), &t);
    });
    w.race();
    let mut reader = EventReader::default();
    assert_eq!(read(&mut reader, &w.table), 2);
    assert_eq!(reader.lost(), 0);
}

/// The event that a dead writer began is given up, and the ones after it are read.
fn writer_dies(w: &mut World) {
    let first = w.mortal("writer a", |t| t.note("aa").unwrap());
    w.process("writer b", move |t| {
        model::await_end(first);
        t.note("bb").unwrap();
    });
    w.race();
    let mut reader = EventReader::default();
    let mut got = read(&mut reader, &w.table);
    model::pass_time(1_000_000_000);
    got += read(&mut reader, &w.table);
    assert!(got >= 1, "the event after a death is lost");
}
