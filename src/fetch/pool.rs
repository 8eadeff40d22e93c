//! The downloader process: the engine from the first wanted object to the end of the run.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;

use crate::store::S3Store;
use crate::table::{Phase, Table, TableError};

use super::agenda::Upcoming;
use super::bell::Bell;
use super::config::FetchConfig;
use super::engine::Engine;
use super::integrity::{Checked, Verifier};
use super::landed::Landed;
use super::landing::Landings;
use super::pace;
use super::queue::Queue;
use super::wire::Wire;

/// Threads that compare landed files with what they have to be.
const VERIFIERS: usize = 2;

/// Fetches wanted objects until the run is over. `table` must have joined. Starts one thread
/// and a tokio runtime, so the process must not fork afterwards.
///
/// # Errors
/// The table's; failures of objects are in the table and do not end the downloader.
///
/// # Panics
/// Where anything that it runs does, so that nobody waits for it.
pub fn run(table: &Table, store: S3Store, config: FetchConfig) -> Result<(), TableError> {
    let no_memory = |what| move |source| TableError::NoMemory { what, source };
    let mut landed = Landed::open(&config.staging, store.bucket(), &config.tree)
        .map_err(no_memory("the record of landed objects"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(no_memory("the downloader's runtime"))?;
    let wire = Wire::new(&store.get_url(""), || Ok(store.tls()))
        .map_err(|what| no_memory("connections")(std::io::Error::other(what)))?;
    let bell = Arc::new(Bell::default());
    // Before anybody looks for wanted objects.
    let listener = bell.listen(table)?;
    let landings = Landings::open(&config.staging, store.bucket());
    let upcoming = Upcoming::new(table, &config, store.bucket(), &mut landed)?;
    let queue = Queue::new(upcoming, landed, landings);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (verifier, checked) = Verifier::start(cores.min(VERIFIERS));
    let engine = Engine::new(
        table.clone(),
        store,
        wire,
        config,
        queue,
        verifier,
        Arc::clone(&bell),
    );
    let engine = Rc::new(engine);
    let local = tokio::task::LocalSet::new();
    let outcome = local.block_on(&runtime, async {
        engine.spawn(pace::keep(Rc::clone(&engine)));
        engine.spawn(conclude(Rc::clone(&engine), checked));
        let outcome = watch(&engine).await;
        engine.over.set(true);
        engine.broken.take().map_or(outcome, Err)
    });
    // Ends what is under way.
    drop(local);
    bell.stop(table);
    let _ = listener.join();
    if let Some(panic) = engine.panic.take() {
        std::panic::resume_unwind(panic);
    }
    outcome?;
    // What the last jobs leave.
    engine.queue.borrow_mut().recycle(table)?;
    // It can be claimed by the next downloader, with what has landed.
    for object in engine.queue.borrow().active() {
        table.release_object(object.claim)?;
    }
    Ok(())
}

/// Takes what the verifier found.
async fn conclude(
    engine: Rc<Engine>,
    mut checked: UnboundedReceiver<Checked>,
) -> Result<(), TableError> {
    while let Some(checked) = checked.recv().await {
        engine.checked(checked)?;
    }
    Ok(())
}

/// Sets the engine to work when something is wanted; returns when the run is over.
async fn watch(engine: &Rc<Engine>) -> Result<(), TableError> {
    let table = &engine.table;
    while !engine.over.get() {
        let phase = table.phase()?;
        if phase == Phase::Stopping || !table.coordinator_lives() {
            return Ok(());
        }
        let over = match engine.config.until_idle {
            true => phase == Phase::Planned && engine.queue.borrow_mut().is_idle(table)?,
            false => table.finished()?,
        };
        if over {
            return Ok(());
        }
        engine.pump()?;
        engine.bell.rung.notified().await;
    }
    Ok(())
}
