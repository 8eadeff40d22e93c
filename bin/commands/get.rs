//! `cotec get s3://bucket/key-or-prefix DIR`
//!
//! The engine of a run without its jobs: a table, a downloader that fills a directory from it,
//! and a listing that registers objects while the first ones are already on their way.

use std::fs;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use cotec::coord::{ExitCode, move_line};
use cotec::fetch::{self, Bounds, FetchConfig, Staging, StagingError};
use cotec::store::{Address, ObjectInfo, S3Store, StoreConfig, StoreError};
use cotec::table::{EventReader, ObjectSpec, Phase, SlotId, Table, TableError};
use cotec::values::connections::Connections;
use cotec::values::human;
use cotec::values::order::Order;
use cotec::values::safe::{is_manifest, manifest_of};
use cotec::values::staged::{LANDED, LANDING, LOCK, Tree};
use cotec::values::{
    Event, EventKind, Fault, FaultCode, Limits, Role, Verified, verified, way_out,
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{complain, say};
use crate::Cli;

/// What is to be downloaded, and to where.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The object, or the prefix of all objects, written s3://BUCKET/KEY-OR-PREFIX
    address: Address,
    /// The directory to download to: an object gets its own name there, and what is below a
    /// prefix keeps the path that it has below it
    dir: PathBuf,
    /// Connections at the same time: a number, or auto, which finds out while downloading
    #[arg(long, value_name = "N|auto", default_value = "auto")]
    connections: Connections,
}

/// Objects of one product that are held back until its manifest comes; real products have some
/// hundred.
const MAX_UNFINISHED: usize = 5000;

/// So many objects that fail one after the other because of the store are enough.
const IN_A_ROW: u32 = 8;

/// Why nothing could be downloaded.
enum Stop {
    Store(StoreError),
    /// The local side.
    Local(String),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Stop {
        Stop::Store(error)
    }
}

impl From<TableError> for Stop {
    fn from(error: TableError) -> Stop {
        Stop::Local(error.to_string())
    }
}

/// Downloads, and gives the exit code: 1 where an object failed or nothing has that name.
pub fn run(args: &Args, cli: &Cli) -> Result<u8, StoreError> {
    match download(args, cli) {
        Ok(code) => Ok(code),
        Err(Stop::Store(error)) => Err(error),
        Err(Stop::Local(text)) => {
            complain(cli, text);
            Ok(ExitCode::Local as u8)
        }
    }
}

fn download(args: &Args, cli: &Cli) -> Result<u8, Stop> {
    let config = cli.config(&args.address)?;
    let staging = Staging::open(&args.dir).map_err(not_usable)?;
    let root = staging.root().to_owned();
    let table = Table::create(Limits::default())?.join(Role::Downloader)?;
    let store = S3Store::new(config.clone())?;
    let connections = Bounds::of(store.budget().profile(), args.connections.pinned());
    let fetch_config = FetchConfig {
        staging: root.clone(),
        tree: Tree::Below(args.address.key.clone()),
        connections,
        order: Order::AsGiven,
        workers: 1,
        space: None,
        until_idle: true,
    };
    let listed = std::thread::scope(|scope| {
        let lister = scope.spawn(|| {
            let listed = register(&table, config, &args.address.key);
            // Whatever came of it, nothing more will be registered.
            table.set_phase(Phase::Planned)?;
            listed
        });
        let reporter = scope.spawn(|| report(&table, cli));
        let stopping = Stopping(&table);
        let fetched = fetch::run(&table, store, fetch_config);
        drop(stopping);
        // It need not sleep to the end of its pause.
        reporter.thread().unpark();
        let listed = lister
            .join()
            .unwrap_or_else(|_| Err(Stop::Local("the listing failed".into())));
        let hopeless = reporter.join().unwrap_or(Ok(None));
        fetched?;
        Ok::<_, Stop>((listed?, hopeless?))
    })?;
    let (listed, hopeless) = listed;
    let counts = table.count_objects()?;
    if listed == 0 {
        let what = format!(
            "nothing has the name {}; look with `cotec ls`",
            args.address
        );
        complain(cli, what);
        tidy(&root);
        return Ok(ExitCode::SomeFailed as u8);
    }
    let verified = verified::in_words(&table.count_verified()?);
    if !cli.json && !cli.voice().quiet && !verified.is_empty() {
        say(cli, &format!("verified: {verified}"));
    }
    if counts.ready == listed {
        tidy(&root);
        return Ok(ExitCode::Done as u8);
    }
    let missing = listed - counts.ready;
    let code = match hopeless {
        None => ExitCode::SomeFailed,
        Some(Hopeless::Local) => ExitCode::Local,
        Some(Hopeless::Store) => {
            let way_out = FaultCode::Unreachable.way_out();
            let what = format!(
                "{IN_A_ROW} objects in a row failed because the store could not be reached or has \
                 a fault of its own: giving up; {way_out}"
            );
            complain(cli, what);
            ExitCode::Store
        }
    };
    let all = human::count(listed, "object");
    let what =
        format!("failed: {missing} of {all} not fetched; run again to fetch what is missing");
    say(cli, &what);
    Ok(code as u8)
}

/// Why the directory cannot be downloaded to.
fn not_usable(error: StagingError) -> Stop {
    Stop::Local(match error {
        StagingError::NotWritable { path, source } => format!(
            "the directory {} cannot be written: {source}; name another",
            path.display()
        ),
        StagingError::InUse { path } => format!(
            "another run works in the directory {}; wait for it, or name another",
            path.display()
        ),
        other => other.to_string(),
    })
}

/// Ends the run when it goes, whatever the reason.
struct Stopping<'a>(&'a Table);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        // Only a damaged table cannot be told, and then everybody else sees that too.
        let _ = self.0.set_phase(Phase::Stopping);
    }
}

/// Why it makes no sense to go on.
#[derive(Clone, Copy)]
enum Hopeless {
    /// The directory cannot be written.
    Local,
    /// One object after the other fails because of the store.
    Store,
}

/// What failures make it hopeless to go on.
#[derive(Default)]
struct Failures {
    in_a_row: u32,
}

impl Failures {
    fn look(&mut self, event: &Event) -> Option<Hopeless> {
        let fault =
            Fault::from_bits(event.value as u32).filter(|_| event.kind == EventKind::ObjectFailed);
        match fault.map(|fault| fault.code) {
            Some(FaultCode::Staging) => return Some(Hopeless::Local),
            Some(code) if code.is_the_stores() => self.in_a_row += 1,
            None if event.kind == EventKind::ObjectReady => self.in_a_row = 0,
            _ => {}
        }
        (self.in_a_row >= IN_A_ROW).then_some(Hopeless::Store)
    }
}

/// Registers the object of that name and those below it; how many there are.
fn register(table: &Table, config: StoreConfig, name: &str) -> Result<u64, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Stop::Local(format!("no runtime: {e}; {}", way_out::of_io(&e))))?;
    runtime.block_on(async {
        let store = S3Store::new(config)?;
        let mut pages = store.list_all(name, None);
        let (mut count, mut slots) = (0, Vec::new());
        let mut later = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page?;
            let mut objects = std::mem::take(&mut later);
            objects.extend(page.objects);
            objects.retain(|object| is_below(&object.key, name));
            later = unfinished_product(&mut objects, page.next.is_some());
            // The downloader compares a product's objects with its manifest.
            objects.sort_by_key(|object| !is_manifest(&object.key));
            let specs: Vec<ObjectSpec<'_>> = (objects.iter())
                .map(|object| ObjectSpec {
                    key: &object.key,
                    size: object.size,
                    etag: object.etag.as_deref(),
                })
                .collect();
            slots.clear();
            table.register_objects(&specs, &mut slots)?;
            count += slots.len() as u64;
            // Nobody would fetch what is on the next page.
            if table.phase()? == Phase::Stopping {
                break;
            }
        }
        Ok(count)
    })
}

/// Takes the objects of a SAFE product from the end of a listing so far, if its manifest may still
/// come: that is to be registered before them.
fn unfinished_product(objects: &mut Vec<ObjectInfo>, more: bool) -> Vec<ObjectInfo> {
    let last = objects.last().and_then(|object| manifest_of(&object.key));
    let Some((manifest, path)) = last.filter(|_| more) else {
        return Vec::new();
    };
    let prefix = &objects[objects.len() - 1].key;
    let prefix = prefix[..prefix.len() - path.len()].to_owned();
    let first = objects
        .iter()
        .rposition(|object| !object.key.starts_with(&prefix));
    let first = first.map_or(0, |at| at + 1);
    let came = objects.iter().any(|object| object.key == manifest);
    match came || objects.len() - first > MAX_UNFINISHED {
        true => Vec::new(),
        false => objects.split_off(first),
    }
}

/// `a/b` means the object `a/b` and those below `a/b/`, not `a/bc`.
fn is_below(key: &str, name: &str) -> bool {
    let rest = key.strip_prefix(name);
    name.is_empty()
        || name.ends_with('/')
        || rest.is_some_and(|r| r.is_empty() || r.starts_with('/'))
}

/// Shows what happens until the run is stopped, and stops it when there is no hope.
fn report(table: &Table, cli: &Cli) -> Result<Option<Hopeless>, TableError> {
    let (as_json, voice) = (cli.json, cli.voice());
    let begun_ns = table.created_ns()?;
    let bar = if as_json || voice.quiet || !stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new(0)
    };
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}")
    {
        bar.set_style(style);
    }
    let mut reader = EventReader::default();
    let (mut objects, mut bytes, mut ready) = (0u64, 0u64, 0u64);
    let (mut failures, mut hopeless) = (Failures::default(), None);
    loop {
        let last = table.phase()? == Phase::Stopping;
        while let Some(event) = reader.next(table)? {
            if hopeless.is_none() {
                hopeless = failures.look(&event);
                if hopeless.is_some() {
                    table.set_phase(Phase::Stopping)?;
                }
            }
            if voice.verbose
                && !as_json
                && let Some(line) = move_line(table, begun_ns, &event)?
            {
                bar.suspend(|| say(cli, &line));
            }
            match event.kind {
                EventKind::ObjectWanted => {
                    objects += 1;
                    bytes += event.value;
                }
                EventKind::ObjectReady => {
                    ready += 1;
                    if as_json {
                        let key = table.key(SlotId(event.id))?;
                        let size = table.size(SlotId(event.id))?;
                        let how = table.object_verified(SlotId(event.id))?;
                        let how = how.map(Verified::name);
                        let record =
                            json!({"schema": 1, "key": key, "size": size, "verified": how});
                        let _ = writeln!(stdout(), "{record}");
                    }
                }
                EventKind::Note => {
                    let text = table.note_text(&event)?;
                    match event.id {
                        0 if voice.quiet => {}
                        0 => bar.suspend(|| say(cli, &format!("note: {text}"))),
                        _ => bar.suspend(|| complain(cli, &text)),
                    }
                }
                _ => {}
            }
        }
        bar.set_length(bytes);
        bar.set_position(table.processes()?.iter().map(|p| p.bytes).sum());
        bar.set_message(format!("objects {ready}/{objects}"));
        if last {
            bar.finish_and_clear();
            return Ok(hopeless);
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Takes away what only an interrupted download needs.
fn tidy(root: &Path) {
    let _ = fs::remove_dir_all(root.join(LANDING));
    let _ = fs::remove_file(root.join(LANDED));
    let _ = fs::remove_file(root.join(LOCK));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_waits_for_its_manifest_across_pages() {
        let object = |key: &&str| ObjectInfo {
            key: (*key).to_owned(),
            size: 1,
            etag: None,
            last_modified: None,
        };
        let split = |keys: &[&str], more| {
            let mut now: Vec<ObjectInfo> = keys.iter().map(object).collect();
            let later = unfinished_product(&mut now, more);
            (now.len(), later.len())
        };
        let keys = ["a", "p/X.SAFE/G/1", "p/Y.SAFE/G/1", "p/Y.SAFE/MTD"];
        assert_eq!(split(&keys, true), (2, 2));
        assert_eq!(split(&keys, false), (4, 0));
        assert_eq!(split(&keys[..1], true), (1, 0));
        assert_eq!(split(&[], true), (0, 0));
        let keys = ["p/Y.SAFE/G/1", "p/Y.SAFE/manifest.safe", "p/Y.SAFE/rep"];
        assert_eq!(split(&keys, true), (3, 0));
    }

    #[test]
    fn names_are_paths_and_not_beginnings() {
        assert!(is_below("a/b", "a/b") && is_below("a/b/c", "a/b") && is_below("a/bc", "a/"));
        assert!(!is_below("a/bc", "a/b"));
        assert!(is_below("anything", ""));
    }
}
