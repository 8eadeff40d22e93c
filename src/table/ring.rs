//! The ring of events: the last things that happened, for whoever reports them.
//!
//! A writer takes a ticket, empties the ticket's record, writes it, and stamps it with the
//! ticket last. A reader believes a record only if the stamp is its ticket before and after. A
//! writer that dies in between leaves a record without a stamp, which the reader gives up on.
//! A writer that is stopped in between, until others have come round to the same record, writes
//! into theirs: so the stamp also holds a check of what the record says.

use crate::sys::clock::now_ns;
use crate::sys::death;
use crate::sys::seeded::Seed;
use crate::sys::sync::{Ordering, fence, seeded};
use crate::values::{Event, EventKind, Role};

use super::error::Result;
use super::handle::Table;
use super::layout::{EVENT, header};
use super::mem::TextRef;

/// How long a reader waits for a record that was begun and not finished.
const PATIENCE_NS: u64 = 500_000_000;
/// The longest text of a note in bytes.
const NOTE_BYTES: usize = 1 << 20;
/// Bits of a stamp that check the record; the ticket plus one stands above them.
const CHECK_BITS: u32 = 24;

/// The stamp of a whole record.
fn stamp_of(ticket: u64, record: [u64; 3]) -> u64 {
    let mixed = record.into_iter().fold(ticket, |mixed, word: u64| {
        (mixed ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
    });
    ticket.wrapping_add(1) << CHECK_BITS | mixed >> (64 - CHECK_BITS)
}

impl Table {
    /// Appends an event to the ring.
    pub(crate) fn emit(&self, kind: EventKind, id: u32, value: u64) -> Result<()> {
        self.emit_all(kind, &[(id, value)])
    }

    /// Appends events of one kind, each with its id and value.
    pub(crate) fn emit_all(&self, kind: EventKind, events: &[(u32, u64)]) -> Result<()> {
        self.mem.writable()?;
        let first = self
            .mem
            .word(header::EVENTS_HEAD)?
            .fetch_add(events.len() as u64, Ordering::AcqRel);
        let now = now_ns();
        for (n, (id, value)) in events.iter().enumerate() {
            let what = u64::from(*id)
                | u64::from(self.me.index()) << 32
                | (self.role as u64) << 48
                | (kind as u64) << 56;
            self.write_event(first.wrapping_add(n as u64), [now, what, *value])?;
        }
        Ok(())
    }

    fn write_event(&self, ticket: u64, record: [u64; 3]) -> Result<()> {
        let base = self.event_at(ticket);
        self.mem.word(base)?.store(0, Ordering::Release);
        fence(Ordering::Release);
        for (offset, word) in (base + 8..).step_by(8).zip(record) {
            self.mem.word(offset)?.store(word, Ordering::Relaxed);
        }
        let last = match seeded(Seed::StampRelaxed) {
            true => Ordering::Relaxed,
            false => Ordering::Release,
        };
        self.mem.word(base)?.store(stamp_of(ticket, record), last);
        Ok(())
    }

    fn event_at(&self, ticket: u64) -> u64 {
        let events = u64::from(self.mem.layout.limits.events);
        self.mem.layout.events.offset + (ticket % events) * EVENT
    }

    /// Says something to the user of the run: it appears in the coordinator's output.
    pub fn note(&self, text: &str) -> Result<()> {
        self.say(text, false)
    }

    /// Says why something failed; shown as an error.
    pub fn complain(&self, text: &str) -> Result<()> {
        self.say(text, true)
    }

    fn say(&self, text: &str, error: bool) -> Result<()> {
        self.mem.writable()?;
        // What a reader would refuse as too long is cut, not lost.
        let text = &text[..text.floor_char_boundary(NOTE_BYTES)];
        let text = self.mem.put_text(text.as_bytes())?;
        self.emit(EventKind::Note, error.into(), text.pack())
    }

    /// Says that everything is registered: no more jobs will come.
    pub fn planned(&self, products: u64) -> Result<()> {
        let jobs = self.jobs_len()?;
        self.emit(
            EventKind::Planned,
            u32::try_from(products).unwrap_or(u32::MAX),
            jobs.into(),
        )?;
        death::point("all-registered");
        self.set_phase(super::Phase::Planned)?;
        death::point("planned");
        Ok(())
    }

    /// The text of a [`EventKind::Note`].
    pub fn note_text(&self, event: &Event) -> Result<String> {
        let text = self.mem.text(TextRef::unpack(event.value), NOTE_BYTES)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Notes that a request for a slot is tried again.
    pub fn retried(&self, slot: super::SlotId, fault: crate::values::Fault) -> Result<()> {
        self.count_retry()?;
        self.emit(EventKind::Retry, slot.0, fault.to_bits().into())
    }
}

/// Reads the ring from the first event on.
#[derive(Debug, Default)]
pub struct EventReader {
    next: u64,
    /// How far the tickets had come at the last look. Writers change that word all the time, so
    /// it is looked at again only when all before it was read.
    head: u64,
    lost: u64,
    /// Since when the next record is awaited, and how far the tickets had come then.
    stuck: Option<(u64, u64)>,
    /// Records before this ticket were begun long ago.
    hopeless: u64,
}

impl EventReader {
    /// Events that were overwritten before they were read, or never finished.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// The next event, if there is one.
    pub fn next(&mut self, table: &Table) -> Result<Option<Event>> {
        let mem = &table.mem;
        let events = u64::from(mem.layout.limits.events);
        loop {
            if self.next >= self.head {
                self.head = mem.word(header::EVENTS_HEAD)?.load(Ordering::Acquire);
            }
            if self.next >= self.head {
                return Ok(None);
            }
            if self.head - self.next > events {
                self.lost += self.head - self.next - events;
                self.next = self.head - events;
            }
            let base = table.event_at(self.next);
            let stamp = mem.word(base)?.load(Ordering::Acquire);
            let ticket = stamp >> CHECK_BITS;
            if ticket == self.next + 1 {
                let at_ns = mem.word(base + 8)?.load(Ordering::Relaxed);
                let what = mem.word(base + 16)?.load(Ordering::Relaxed);
                let value = mem.word(base + 24)?.load(Ordering::Relaxed);
                fence(Ordering::Acquire);
                let whole = mem.word(base)?.load(Ordering::Relaxed) == stamp
                    && (stamp == stamp_of(self.next, [at_ns, what, value])
                        || seeded(Seed::StampUnchecked));
                self.stuck = None;
                self.next += 1;
                let event = decode(at_ns, what, value);
                match event {
                    Some(event) if whole => return Ok(Some(event)),
                    _ => self.lost += 1,
                }
                continue;
            }
            self.head = mem.word(header::EVENTS_HEAD)?.load(Ordering::Acquire);
            // Overwritten since we looked (the next turn counts what else was), or never finished.
            if ticket <= self.next + 1 && !self.is_hopeless(self.head) {
                return Ok(None);
            }
            self.lost += 1;
            self.next += 1;
        }
    }

    /// Whether the next record, which is not whole, will never be. A writer may die with several
    /// begun, and the patience for one is enough for all that were begun with it.
    fn is_hopeless(&mut self, head: u64) -> bool {
        if self.next < self.hopeless {
            return true;
        }
        let now = now_ns();
        let (since, begun) = *self.stuck.get_or_insert((now, head));
        if now.saturating_sub(since) <= PATIENCE_NS {
            return false;
        }
        self.stuck = None;
        self.hopeless = begun;
        true
    }
}

fn decode(at_ns: u64, what: u64, value: u64) -> Option<Event> {
    Some(Event {
        at_ns,
        kind: EventKind::from_bits((what >> 56) as u8)?,
        role: Role::from_bits((what >> 48) as u8)?,
        process: (what >> 32) as u16,
        id: what as u32,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Limits;

    #[test]
    fn events_come_in_order_and_overruns_are_counted() {
        let limits = Limits {
            events: 16,
            ..Limits::for_objects(64)
        };
        let table = Table::create(limits).unwrap();
        let mut reader = EventReader::default();
        table.emit(EventKind::JobDone, 3, 4).unwrap();
        table.note("hello – there").unwrap();
        let one = reader.next(&table).unwrap().unwrap();
        assert_eq!((one.kind, one.id, one.value), (EventKind::JobDone, 3, 4));
        let two = reader.next(&table).unwrap().unwrap();
        assert_eq!(table.note_text(&two).unwrap(), "hello – there");
        assert!(reader.next(&table).unwrap().is_none());
        for i in 0..20 {
            table.emit(EventKind::JobReady, i, 0).unwrap();
        }
        assert_eq!(reader.next(&table).unwrap().unwrap().id, 4);
        assert_eq!(reader.lost(), 4);
    }
}
