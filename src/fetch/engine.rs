//! The engine: lines that take parts, one after the other, and what becomes of each request.
//!
//! A line is a connection at work. There are as many as there is work, the setting allows, and the
//! endpoint's budget has for this process; one that finds nothing to do leaves its connection
//! behind for the next. When the setting falls, or another process waits for a connection, lines
//! end after their part.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::Notify;

use crate::store::{Lease, S3Store};
use crate::sys::clock::{jitter, now_ns};
use crate::table::{Table, TableError};
use crate::values::lanes::Lanes;

use super::backoff::Backoff;
use super::bell::Bell;
use super::config::FetchConfig;
use super::control::{Control, Setting};
use super::doubts::Doubts;
use super::error::FetchError;
use super::integrity::Verifier;
use super::manifests::Manifests;
use super::object::say;
use super::part::{CalledOff, Flight, Part};
use super::queue::{Next, Queue};
use super::request::{self, Surroundings};
use super::retry::{self, Class};
use super::wire::{Connection, Wire};

/// How long a connection without work is kept. Servers close theirs after some time, and one that
/// is closed while it is used costs another.
const KEPT_IDLE: Duration = Duration::from_secs(15);
/// How long a line sleeps at most before it asks the budget again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Objects under way at most, but for those that wait for a manifest: each has its file open twice
/// while it is compared.
const UNDER_WAY: usize = 256;

/// Objects that need no request are begun so many at a time: others are to get their turn.
const AT_ONCE: usize = 256;

/// Everything of a downloader; one for each process, used by one thread.
pub(super) struct Engine {
    pub table: Table,
    pub store: S3Store,
    pub wire: Wire,
    pub config: FetchConfig,
    pub queue: RefCell<Queue>,
    pub control: RefCell<Control>,
    pub backoff: RefCell<Backoff>,
    pub flights: RefCell<Vec<Rc<Flight>>>,
    /// Connections without work.
    idle: RefCell<Vec<Idle>>,
    /// The next part, while no connection is to be had for it.
    pub waiting: RefCell<Option<Rc<Part>>>,
    /// Lines at work, and their numbers.
    pub busy: Cell<usize>,
    numbers: RefCell<Lanes>,
    /// There was nothing to give out at some time since the last look.
    pub starved: Cell<bool>,
    /// Bytes that have come, and requests that were answered well.
    pub bytes: Cell<u64>,
    /// The setting that was noted last.
    pub noted: Cell<Option<Setting>>,
    pub answers: Cell<u64>,
    /// Rung when a line begins to work.
    pub at_work: Notify,
    pub verifier: Verifier,
    pub manifests: RefCell<Manifests>,
    pub doubts: RefCell<Doubts>,
    /// No object is begun until one has ended.
    pub held_up: Cell<bool>,
    pub bell: Arc<Bell>,
    pub over: Cell<bool>,
    /// Why the downloader cannot go on: the table is damaged or full.
    pub broken: RefCell<Option<TableError>>,
    /// What somebody panicked with.
    pub panic: RefCell<Option<Box<dyn Any + Send>>>,
}

/// The place of a line: a connection, once it is made, and the right to it.
struct Seat {
    connection: Option<Connection>,
    lease: Lease,
}

/// A connection without work. It is closed before the right to it is given back.
struct Idle {
    connection: Connection,
    lease: Lease,
    since: Instant,
}

/// How a line ended.
enum End {
    /// Another process waits for its connection.
    GivenBack,
    Other,
}

/// How a request ended that did not bring what was left of its part.
enum Ended {
    Failed(FetchError),
    CalledOff(CalledOff),
}

impl Engine {
    pub fn new(
        table: Table,
        store: S3Store,
        wire: Wire,
        config: FetchConfig,
        queue: Queue,
        verifier: Verifier,
        bell: Arc<Bell>,
    ) -> Engine {
        let control = Control::new(config.connections);
        Engine {
            table,
            store,
            wire,
            config,
            queue: RefCell::new(queue),
            control: RefCell::new(control),
            backoff: RefCell::new(Backoff::new(Instant::now())),
            flights: RefCell::default(),
            idle: RefCell::default(),
            waiting: RefCell::new(None),
            busy: Cell::new(0),
            numbers: RefCell::default(),
            starved: Cell::new(false),
            bytes: Cell::new(0),
            noted: Cell::new(None),
            answers: Cell::new(0),
            at_work: Notify::new(),
            verifier,
            manifests: RefCell::default(),
            doubts: RefCell::default(),
            held_up: Cell::new(false),
            bell,
            over: Cell::new(false),
            broken: RefCell::new(None),
            panic: RefCell::new(None),
        }
    }

    pub fn setting(&self) -> Setting {
        self.control.borrow().setting()
    }

    /// Connections that are open, at work or not.
    pub fn open(&self) -> usize {
        self.busy.get() + self.idle.borrow().len()
    }

    /// Starts lines as long as there is work and the setting allows.
    pub fn pump(self: &Rc<Self>) -> Result<(), TableError> {
        while !self.over.get() && self.busy.get() < self.setting().connections {
            let Some(part) = self.next_part()? else {
                break;
            };
            if let Some(part) = self.start_line(part) {
                self.waiting.replace(Some(part));
                break;
            }
        }
        Ok(())
    }

    /// A place for one more line, if the endpoint's budget has one.
    fn seat(&self) -> Option<Seat> {
        if let Some(idle) = self.idle.borrow_mut().pop() {
            let connection = Some(idle.connection);
            let lease = idle.lease;
            return Some(Seat { connection, lease });
        }
        let lease = self.store.budget().connection()?;
        Some(Seat {
            connection: None,
            lease,
        })
    }

    /// Asks for a part on one more line; gives it back where no connection is to be had.
    pub fn start_line(self: &Rc<Self>, part: Rc<Part>) -> Option<Rc<Part>> {
        let Some(seat) = self.seat() else {
            return Some(part);
        };
        self.busy.set(self.busy.get() + 1);
        if self.busy.get() == 1 {
            self.at_work.notify_one();
        }
        let engine = Rc::clone(self);
        let (number, _) = self.numbers.borrow_mut().take();
        self.spawn(async move {
            let ended = engine.line(part, seat, number as u16).await;
            engine.numbers.borrow_mut().give(number);
            engine.busy.set(engine.busy.get().saturating_sub(1));
            // Whoever has given a connection back asks for another one.
            ended.and_then(|ended| match ended {
                End::GivenBack => engine.pump(),
                End::Other => Ok(()),
            })
        });
        None
    }

    /// Runs something beside everything else. When it fails or panics, the engine is over, and
    /// does not wait for what will never happen.
    pub fn spawn(self: &Rc<Self>, work: impl Future<Output = Result<(), TableError>> + 'static) {
        let engine = Rc::clone(self);
        tokio::task::spawn_local(async move {
            match AssertUnwindSafe(work).catch_unwind().await {
                Ok(Ok(())) => return,
                Ok(Err(error)) => {
                    engine.broken.borrow_mut().get_or_insert(error);
                }
                Err(panic) => {
                    engine.panic.borrow_mut().get_or_insert(panic);
                }
            }
            // The watch looks now.
            engine.over.set(true);
            engine.bell.rung.notify_one();
        });
    }

    async fn line(
        self: &Rc<Self>,
        first: Rc<Part>,
        seat: Seat,
        number: u16,
    ) -> Result<End, TableError> {
        // In this order: the connection is closed before the right to it is given back.
        let lease = seat.lease;
        let mut connection = seat.connection;
        let mut next = Some(first);
        while let Some(part) = next.take() {
            self.may_ask().await;
            // Nobody needs it any more.
            if part.over.get() || part.object.given_up() {
                self.part_over(&part)?;
                next = self.next_part()?;
                continue;
            }
            let flight = self.depart(part, number)?;
            let ended = tokio::select! {
                biased;
                why = flight.called_off() => Err(Ended::CalledOff(why)),
                done = request::run(&**self, &mut connection, &lease, &flight) => {
                    done.map_err(Ended::Failed)
                }
            };
            self.arrive(flight, ended)?;
            let setting = self.setting();
            if self.over.get() || self.busy.get() > setting.connections {
                return Ok(End::Other);
            }
            if lease.wanted_back(now_ns()) {
                return Ok(End::GivenBack);
            }
            next = self.next_part()?;
            if next.is_some() && self.busy.get() < setting.connections {
                self.pump()?;
            }
        }
        if let Some(connection) = connection
            && self.open() <= self.setting().connections
        {
            self.idle.borrow_mut().push(Idle {
                connection,
                lease,
                since: Instant::now(),
            });
        }
        Ok(End::Other)
    }

    /// Returns when the endpoint's budget has a request.
    async fn may_ask(&self) {
        while let Err(wait) = self.store.budget().request(now_ns()) {
            tokio::time::sleep(Duration::from_nanos(wait).min(LONGEST_WAIT)).await;
        }
    }

    /// Closes connections that had no work for long, those beyond the setting, and those that
    /// another process waits for.
    pub fn close_idle(&self, now: Instant) {
        let most = self.setting().connections.saturating_sub(self.busy.get());
        let mut idle = self.idle.borrow_mut();
        idle.retain(|kept| {
            let fresh = now.saturating_duration_since(kept.since) < KEPT_IDLE;
            fresh && !kept.lease.wanted_back(now_ns())
        });
        let beyond = idle.len().saturating_sub(most);
        idle.drain(..beyond);
    }

    /// The next part to ask for, if one may be asked for now.
    fn next_part(&self) -> Result<Option<Rc<Part>>, TableError> {
        let now = Instant::now();
        if !self.backoff.borrow().open(now) {
            return Ok(None);
        }
        if let Some(part) = self.waiting.take() {
            return Ok(Some(part));
        }
        let mut at_once = Vec::new();
        let part = self.take_part(now, &mut at_once)?;
        for next in at_once {
            match next {
                Next::Landed(object) => self.landed(&object)?,
                Next::Ended(slot) => self.ended(slot)?,
                Next::Begun | Next::Nothing => {}
            }
        }
        if part.is_some() {
            self.backoff.borrow_mut().begins(now);
        }
        Ok(part)
    }

    /// `at_once` gets the objects that have nothing to be fetched.
    fn take_part(
        &self,
        now: Instant,
        at_once: &mut Vec<Next>,
    ) -> Result<Option<Rc<Part>>, TableError> {
        let mut queue = self.queue.borrow_mut();
        let part = queue.due(now, || self.backoff.borrow_mut().retry(now));
        if part.is_some() {
            return Ok(part);
        }
        let setting = self.setting();
        let requests_count = self.store.budget().profile().requests_per_minute.is_some();
        loop {
            let (usual, connections) = (setting.part_bytes, setting.connections);
            let bytes = match requests_count {
                true => usual,
                false => queue.upcoming.part_bytes(&self.table, usual, connections)?,
            };
            let gathers = queue.upcoming.gathers() && queue.len() < UNDER_WAY;
            if !gathers && let Some(part) = queue.cut(bytes) {
                return Ok(Some(part));
            }
            if queue
                .len()
                .saturating_sub(self.manifests.borrow().waiting())
                >= UNDER_WAY
            {
                self.held_up.set(true);
                return Ok(None);
            }
            let (root, tree) = (&self.config.staging, &self.config.tree);
            match queue.begin_next(&self.table, root, tree)? {
                Next::Begun => {}
                Next::Nothing if queue.upcoming.stop_gathering() => {}
                Next::Nothing => {
                    self.starved.set(true);
                    self.bell.hungry();
                    return Ok(None);
                }
                other => {
                    at_once.push(other);
                    if at_once.len() >= AT_ONCE {
                        self.bell.rung.notify_one();
                        return Ok(None);
                    }
                }
            }
        }
    }

    fn depart(&self, part: Rc<Part>, line: u16) -> Result<Rc<Flight>, TableError> {
        let (slot, bytes) = (part.object.claim.slot, part.left().len());
        self.table.part_begun(slot, line, bytes)?;
        let flight = Rc::new(Flight::new(part, line));
        self.flights.borrow_mut().push(Rc::clone(&flight));
        Ok(flight)
    }

    /// Draws the consequences of a request's end.
    fn arrive(&self, flight: Rc<Flight>, ended: Result<(), Ended>) -> Result<(), TableError> {
        let mut flights = self.flights.borrow_mut();
        if let Some(at) = flights.iter().position(|other| Rc::ptr_eq(other, &flight)) {
            flights.swap_remove(at);
        }
        drop(flights);
        let (part, begun) = (Rc::clone(&flight.part), flight.begun);
        let bytes = flight.at.get().saturating_sub(flight.from);
        (self.table).part_ended(part.object.claim.slot, flight.line, bytes)?;
        drop(flight);
        let error = match ended {
            Ok(()) => return self.part_over(&part),
            Err(Ended::CalledOff(CalledOff::NotNeeded)) if part.object.given_up() => {
                return self.part_over(&part);
            }
            Err(Ended::CalledOff(CalledOff::NotNeeded)) => return Ok(()),
            Err(Ended::CalledOff(CalledOff::Silent(after))) => {
                part.silences.set(part.silences.get() + 1);
                let what = format!("no byte came for {after:.0?}");
                FetchError::Silent(self.store.unreachable(&part.object.key, &what))
            }
            Err(Ended::Failed(error)) => error,
        };
        let class = Class::of(&error);
        if let Some(sign) = class.sign() {
            let busy = self.busy.get();
            self.control.borrow_mut().sign(now_ns(), sign, busy);
        }
        let (now, asked) = (Instant::now(), retry::asked(&error));
        if class.concerns_all() {
            let mut backoff = self.backoff.borrow_mut();
            backoff.trouble(now, begun, asked, jitter());
        }
        if part.over.get() {
            return Ok(());
        }
        let failures = part.failed();
        // Another request for the same part goes on.
        if part.flights.get() > 0 {
            let slot = part.object.claim.slot;
            return self.table.retried(slot, error.fault(failures));
        }
        let hopeless = class.concerns_all() && self.backoff.borrow().hopeless(now);
        if class.worth_it(failures) && !hopeless && !part.object.given_up() {
            let slot = part.object.claim.slot;
            self.table.retried(slot, error.fault(failures))?;
            tracing::debug!(key = part.object.key, %error, failures, "request tried again");
            let pause = retry::pause(&error, failures, jitter());
            self.queue.borrow_mut().park(part, now + pause);
            return Ok(());
        }
        if part.object.give_up(error.fault(failures)) {
            say(&self.table, &part.object.key, &error)?;
            self.call_off(|other| Rc::ptr_eq(&other.part.object, &part.object));
            let parked = self.queue.borrow_mut().unpark(&part.object);
            for part in parked {
                self.part_over(&part)?;
            }
        }
        self.part_over(&part)
    }

    fn call_off(&self, which: impl Fn(&Flight) -> bool) {
        for flight in self.flights.borrow().iter().filter(|flight| which(flight)) {
            flight.call_off(CalledOff::NotNeeded);
        }
    }

    /// A part has landed, or nobody needs it any more.
    fn part_over(&self, part: &Rc<Part>) -> Result<(), TableError> {
        if part.over.replace(true) {
            return Ok(());
        }
        if part.flights.get() > 0 {
            self.call_off(|other| Rc::ptr_eq(&other.part, part));
        }
        part.object.taken_back();
        if part.object.over() {
            self.landed(&part.object)?;
        }
        Ok(())
    }
}

impl Surroundings for Engine {
    fn wire(&self) -> &Wire {
        &self.wire
    }

    fn store(&self) -> &S3Store {
        &self.store
    }

    fn table(&self) -> &Table {
        &self.table
    }

    fn answered(&self, flight: &Flight) {
        self.answers.set(self.answers.get() + 1);
        self.backoff.borrow_mut().answered(flight.begun);
        let _ = self.table.add_figures(0, 1, 0);
        let _ = (self.table).part_answered(flight.part.object.claim.slot, flight.line);
    }

    fn came(&self, flight: &Flight, bytes: u64) {
        self.bytes.set(self.bytes.get() + bytes);
        flight.part.object.came(bytes);
        let writing = self.wire.writing_ns();
        let _ = self.table.add_figures(bytes, 0, writing);
    }
}
