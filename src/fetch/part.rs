//! A part that was given out, and the requests under way for it.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::sys::death;
use crate::table::Table;
use crate::values::{ByteRange, Limits};

use super::object::Object;

/// Failures after which a part is not asked for a second time.
const DOUBTFUL: u32 = 2;

/// A part until it has landed or is given up.
#[derive(Debug)]
pub(super) struct Part {
    pub object: Rc<Object>,
    pub range: ByteRange,
    /// Up to here its bytes have landed.
    reached: Cell<u64>,
    /// Up to here they are published.
    published: Cell<u64>,
    /// Where it was when the failures were last forgotten.
    failed_at: Cell<u64>,
    /// Requests that failed since then.
    failures: Cell<u32>,
    /// How often it was silent for too long.
    pub silences: Cell<u32>,
    /// Requests under way.
    pub flights: Cell<usize>,
    /// It has landed or was given up.
    pub over: Cell<bool>,
}

impl Part {
    pub fn new(object: Rc<Object>, range: ByteRange) -> Part {
        Part {
            object,
            range,
            reached: Cell::new(range.start),
            published: Cell::new(range.start),
            failed_at: Cell::new(range.start),
            failures: Cell::new(0),
            silences: Cell::new(0),
            flights: Cell::new(0),
            over: Cell::new(false),
        }
    }

    /// What has not landed of it.
    pub fn left(&self) -> ByteRange {
        ByteRange::new(self.reached.get(), self.range.end)
    }

    /// All bytes up to `at` have landed; whole grains are published.
    pub fn landed(&self, table: &Table, at: u64) {
        let at = at.min(self.range.end);
        if at <= self.reached.get() {
            return;
        }
        self.reached.set(at);
        let whole = match at == self.range.end {
            true => at,
            false => at >> Limits::GRAIN_SHIFT << Limits::GRAIN_SHIFT,
        };
        let from = self.published.get();
        if whole > from {
            self.published.set(whole);
            death::point("part-landed");
            let range = ByteRange::new(from, whole);
            self.object.landing.landed(range);
            // A claim that was taken away is noticed when the object ends.
            let _ = table.publish_range(self.object.claim, range);
        }
    }

    /// Whether it has failed so often that one request at a time is enough: two that take turns
    /// in failing would never come to an end.
    pub fn is_doubtful(&self) -> bool {
        self.failures.get() >= DOUBTFUL
    }

    /// Counts a failed request: how many there were since the last progress worth the name. A
    /// connection that breaks often but brings something is not given up.
    pub fn failed(&self) -> u32 {
        if self.reached.get() - self.failed_at.get() >= 1 << Limits::GRAIN_SHIFT {
            self.failures.set(0);
            self.failed_at.set(self.reached.get());
        }
        self.failures.set(self.failures.get() + 1);
        self.failures.get()
    }
}

/// Why a request was called off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CalledOff {
    /// No byte came for so long.
    Silent(Duration),
    /// The part is over without it.
    NotNeeded,
}

/// What a request is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    Connecting,
    /// Waiting for the answer's head.
    Asking,
    /// Landing the body.
    Landing,
    /// Not reading for a while, since the endpoint allows no more bytes a second.
    Pausing,
}

/// A request under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub part: Rc<Part>,
    /// The number of the line that it is on.
    pub line: u16,
    pub begun: Instant,
    /// The first byte that it asks for.
    pub from: u64,
    /// How far its bytes have come.
    pub at: Cell<u64>,
    pub doing: Cell<Doing>,
    /// When it was last seen to move, and at what.
    pub moved: Cell<(Instant, Doing, u64)>,
    call: Notify,
    called_off: Cell<Option<CalledOff>>,
}

impl Flight {
    pub fn new(part: Rc<Part>, line: u16) -> Flight {
        let (begun, from) = (Instant::now(), part.left().start);
        part.flights.set(part.flights.get() + 1);
        Flight {
            part,
            line,
            begun,
            from,
            at: Cell::new(from),
            doing: Cell::new(Doing::Connecting),
            moved: Cell::new((begun, Doing::Connecting, from)),
            call: Notify::new(),
            called_off: Cell::new(None),
        }
    }

    /// Ends it from outside.
    pub fn call_off(&self, why: CalledOff) {
        if self.called_off.get().is_none() {
            self.called_off.set(Some(why));
            self.call.notify_one();
        }
    }

    /// Returns when it is called off.
    pub async fn called_off(&self) -> CalledOff {
        loop {
            if let Some(why) = self.called_off.get() {
                return why;
            }
            self.call.notified().await;
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.part
            .flights
            .set(self.part.flights.get().saturating_sub(1));
    }
}
