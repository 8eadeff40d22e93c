//! The downloader process: connections that take parts in the order of the jobs.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::store::S3Store;
use crate::sys::death;
use crate::table::{Phase, Table, TableError};
use crate::values::staged::Tree;
use crate::values::{ByteRange, Limits};

use super::error::FetchError;
use super::landed::Landed;
use super::object::{Begun, Object, say};
use super::retry;
use super::verify::{self, Expected};

/// How long the bell's thread sleeps before it looks whether the run still goes on.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a downloader needs besides the table and the store.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// The staging directory, absolute; the run holds its lock.
    pub staging: PathBuf,
    /// Which path in it an object gets.
    pub tree: Tree,
    /// Connections at a time, at least 1.
    pub connections: usize,
    /// End when everything is registered and nothing is wanted any more, instead of when all
    /// jobs have ended.
    pub until_idle: bool,
}

struct Shared {
    table: Table,
    store: S3Store,
    config: FetchConfig,
    queue: RefCell<Queue>,
    work: Notify,
    over: AtomicBool,
    /// Why a connection could not go on: the table is damaged or full.
    broken: RefCell<Option<TableError>>,
}

struct Queue {
    cursor: u32,
    /// Objects with parts to give out or under way, in order.
    active: VecDeque<Rc<RefCell<Object>>>,
    landed: Landed,
}

type Part = (Rc<RefCell<Object>>, ByteRange);

/// Fetches wanted objects until the run is over. `table` must have joined. Starts one thread
/// and a tokio runtime, so the process must not fork afterwards.
///
/// # Errors
/// The table's; failures of objects are in the table and do not end the downloader.
pub fn run(table: &Table, store: S3Store, config: FetchConfig) -> Result<(), TableError> {
    let landed =
        Landed::open(&config.staging, store.bucket()).map_err(|source| TableError::NoMemory {
            what: "the record of landed objects",
            source,
        })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| TableError::NoMemory {
            what: "the downloader's runtime",
            source,
        })?;
    let connections = config.connections.max(1);
    let shared = Rc::new(Shared {
        table: table.clone(),
        store,
        config,
        queue: RefCell::new(Queue {
            cursor: 0,
            active: VecDeque::new(),
            landed,
        }),
        work: Notify::new(),
        over: AtomicBool::new(false),
        broken: RefCell::new(None),
    });
    let bell = Arc::new(Bell {
        rung: Notify::new(),
        stop: AtomicBool::new(false),
    });
    // Before anybody looks for wanted objects.
    let rings = table.wanted_rings()?;
    let listener = listen(table.clone(), Arc::clone(&bell), rings);
    let local = tokio::task::LocalSet::new();
    let outcome = local.block_on(&runtime, async {
        let tasks: Vec<_> = (0..connections)
            .map(|_| tokio::task::spawn_local(connection(Rc::clone(&shared))))
            .collect();
        let outcome = watch(&shared, &bell).await;
        let outcome = shared.broken.take().map_or(outcome, Err);
        shared.over.store(true, Ordering::SeqCst);
        shared.work.notify_waiters();
        for task in &tasks {
            task.abort();
        }
        outcome
    });
    bell.stop.store(true, Ordering::SeqCst);
    let _ = table.ring_all();
    let _ = listener.join();
    outcome?;
    // Whatever was under way can be claimed by the next downloader, with what has landed.
    for object in shared.queue.borrow().active.iter() {
        table.release_object(object.borrow().claim)?;
    }
    Ok(())
}

struct Bell {
    rung: Notify,
    stop: AtomicBool,
}

/// Sleeps on the table's bell, which a tokio task cannot, and passes each ring on.
fn listen(table: Table, bell: Arc<Bell>, mut rings: u64) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        while !bell.stop.load(Ordering::SeqCst) {
            let awake = || Ok(bell.stop.load(Ordering::SeqCst) || table.wanted_rings()? != rings);
            let slept = table.sleep_until_wanted(LOOK_AGAIN, awake);
            match slept.and_then(|()| table.wanted_rings()) {
                Ok(now) => rings = now,
                Err(_) => return,
            }
            bell.rung.notify_one();
        }
    })
}

/// Wakes connections when something is wanted; returns when the run is over.
async fn watch(shared: &Shared, bell: &Bell) -> Result<(), TableError> {
    loop {
        let table = &shared.table;
        let phase = table.phase()?;
        if phase == Phase::Stopping || !table.coordinator_lives() {
            return Ok(());
        }
        let over = match shared.config.until_idle {
            true => phase == Phase::Planned && shared.idle()?,
            false => table.finished()?,
        };
        if over {
            return Ok(());
        }
        // All of them: one ring may stand for many objects.
        shared.work.notify_waiters();
        bell.rung.notified().await;
    }
}

async fn connection(shared: Rc<Shared>) {
    while !shared.over.load(Ordering::SeqCst) {
        // Listening begins before the look, so nothing slips in between.
        let rung = shared.work.notified();
        let outcome = match shared.next_part() {
            Ok(Some((object, range))) => shared.fetch(&object, range).await,
            Ok(None) => {
                rung.await;
                Ok(())
            }
            Err(error) => Err(error),
        };
        // Ends the process at the watch's next look.
        if let Err(error) = outcome {
            shared.broken.borrow_mut().get_or_insert(error);
            shared.over.store(true, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn idle(&self) -> Result<bool, TableError> {
        let mut queue = self.queue.borrow_mut();
        let mut cursor = queue.cursor;
        let wanted = self.table.next_wanted(&mut cursor)?.is_some();
        // Looking takes the mark of an earlier slot away, so the cursor that it gave is kept.
        queue.cursor = queue.cursor.min(cursor.saturating_sub(u32::from(wanted)));
        Ok(!wanted && queue.active.is_empty())
    }

    /// The next part to fetch: of an object that is under way, else of the next wanted one.
    fn next_part(&self) -> Result<Option<Part>, TableError> {
        let mut queue = self.queue.borrow_mut();
        for shared in &queue.active {
            let mut object = shared.borrow_mut();
            if object.fault.is_none()
                && let Some(range) = object.pending.pop_front()
            {
                object.in_flight += 1;
                return Ok(Some((Rc::clone(shared), range)));
            }
        }
        let Queue {
            cursor,
            active,
            landed,
        } = &mut *queue;
        while let Some(slot) = self.table.next_wanted(cursor)? {
            let Some(claim) = self.table.claim_object(slot)? else {
                continue;
            };
            let (root, tree) = (&self.config.staging, &self.config.tree);
            if let Begun::Parts(mut object) = Object::begin(&self.table, root, tree, landed, claim)?
            {
                let range = object.pending.pop_front();
                object.in_flight += 1;
                if !object.pending.is_empty() {
                    self.work.notify_waiters();
                }
                let object = Rc::new(RefCell::new(object));
                active.push_back(Rc::clone(&object));
                return Ok(range.map(|range| (object, range)));
            }
        }
        Ok(None)
    }

    /// Fetches one part, with as many requests as it takes, and ends its object if it was the
    /// last.
    async fn fetch(
        &self,
        object: &Rc<RefCell<Object>>,
        range: ByteRange,
    ) -> Result<(), TableError> {
        let outcome = self.fetch_part(object, range).await;
        let mut this = object.borrow_mut();
        this.in_flight -= 1;
        if let Err((error, attempts)) = outcome
            && this.fault.is_none()
        {
            this.fault = Some(error.fault(attempts));
            say(&self.table, &this.key, &error)?;
        }
        if this.over() {
            let mut queue = self.queue.borrow_mut();
            queue.active.retain(|other| !Rc::ptr_eq(other, object));
            this.complete(&self.table, &mut queue.landed)?;
            if self.config.until_idle {
                drop(queue);
                self.table.ring_all()?;
            }
        }
        Ok(())
    }

    async fn fetch_part(
        &self,
        object: &Rc<RefCell<Object>>,
        range: ByteRange,
    ) -> Result<(), (FetchError, u32)> {
        let mut from = range.start;
        let mut attempt = 1;
        loop {
            let left = ByteRange::new(from, range.end);
            let Err((error, reached)) = self.request(object, left).await else {
                break;
            };
            if !retry::worth_it(&error) || attempt >= retry::ATTEMPTS {
                return Err((error, attempt));
            }
            let claim = object.borrow().claim;
            let _ = self.table.retried(claim.slot, error.fault(attempt));
            tracing::debug!(%error, attempt, "request tried again");
            attempt += 1;
            tokio::time::sleep(retry::pause(&error, attempt, random())).await;
            // Bytes that came are kept: the next request asks for the rest. A connection that
            // breaks often but brings something is not given up.
            if reached - from >= 1 << Limits::GRAIN_SHIFT {
                attempt = 1;
            }
            from = reached;
        }
        let claim = object.borrow().claim;
        // A claim that was taken away is noticed when the object ends.
        death::point("part-landed");
        let _ = self.table.publish_range(claim, range);
        Ok(())
    }

    /// One request; on failure says how far its bytes came.
    async fn request(
        &self,
        object: &Rc<RefCell<Object>>,
        range: ByteRange,
    ) -> Result<(), (FetchError, u64)> {
        let (key, size, etag, path, file) = {
            let object = object.borrow();
            let file = Rc::clone(&object.landing.file);
            (
                object.key.clone(),
                object.size,
                object.etag.clone(),
                object.landing.path.clone(),
                file,
            )
        };
        let mut expected = Expected::new(range);
        let fail = |error: FetchError, expected: &Expected| (error, expected.reached());
        let mut response = self
            .store
            .get_range(&key, range.start..range.end, etag.as_deref())
            .await
            .map_err(|error| fail(error.into(), &expected))?;
        let _ = self.table.add_figures(0, 1, 0);
        verify::same_object(response.headers(), &key, size, etag.as_deref())
            .map_err(|error| fail(error, &expected))?;
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => break,
                // All bytes came, and only the end of the answer was lost.
                Err(_) if expected.complete().is_ok() => break,
                // A broken connection and a body that ended early are the same to us.
                Err(_) => {
                    let missing = range.end - expected.reached();
                    return Err(fail(FetchError::Short { range, missing }, &expected));
                }
            };
            let begun = Instant::now();
            let reached = expected.reached();
            // Nothing is kept of an answer that is too long: who knows what it was.
            let at = expected
                .take(chunk.len())
                .map_err(|error| (error, range.start))?;
            file.write_all_at(&chunk, at)
                .map_err(FetchError::staging(&path))
                .map_err(|error| (error, reached))?;
            let bytes = chunk.len() as u64;
            object.borrow_mut().fetched += bytes;
            let writing = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let _ = self.table.add_figures(bytes, 0, writing);
        }
        expected.complete().map_err(|error| fail(error, &expected))
    }
}

/// A number from 0 to 1 that differs from call to call and process to process; it spreads
/// pauses and needs no better.
fn random() -> f64 {
    let seed = crate::sys::clock::now_ns().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (seed >> 11) as f64 / (1u64 << 53) as f64
}
