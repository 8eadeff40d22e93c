//! Making a table and attaching to one.

use std::path::Path;

use crate::sys::clock::now_ns;
use crate::sys::mapping::Mapping;
use crate::sys::proc;
use crate::sys::sync::Ordering;
use crate::values::{Limits, Owner, Role};

use super::error::{Result, TableError};
use super::handle::Table;
use super::layout::{self, Layout, MAGIC, VERSION, header};
use super::mem::Mem;
use super::process;

impl Table {
    /// Makes an empty table that lives as long as a process has it mapped or open. The caller
    /// becomes its coordinator.
    pub fn create(limits: Limits) -> Result<Table> {
        let layout = Layout::new(limits)?;
        let map = Mapping::create("cotec-table", layout.total)?;
        let mem = Mem::new(map, layout);
        mem.take(0, layout.fixed, "header")?;
        let set = |offset: u64, value: u64| -> Result<()> {
            mem.word(offset)?.store(value, Ordering::Relaxed);
            Ok(())
        };
        for (i, word) in layout::limits_to_words(&limits).into_iter().enumerate() {
            set(header::LIMITS + i as u64 * 8, word)?;
        }
        // The seed keeps chosen keys from piling up in one bucket.
        let seed = now_ns() ^ u64::from(proc::id()).rotate_left(32);
        set(header::SEED, seed)?;
        set(header::VERSION, VERSION)?;
        set(header::SIGNATURE, layout.signature())?;
        set(header::TOTAL, layout.total)?;
        set(header::CREATED_NS, now_ns())?;
        set(header::WANTED_LOW, u64::MAX)?;
        let coordinator = process::identity_of_this_process()?;
        set(header::COORDINATOR, coordinator)?;
        // The magic last: before it, this is no table.
        mem.word(header::MAGIC)?.store(MAGIC, Ordering::Release);
        let table = Table {
            mem,
            me: Owner::NONE,
            role: Role::Coordinator,
            seed,
            coordinator,
            details: false,
        };
        table.join(Role::Coordinator)
    }

    /// Attaches to the table at `path` (the value of `COTEC_TABLE`). A read-only attachment can
    /// look and cannot move or wait-with-a-mark.
    pub fn attach(path: &Path, writable: bool) -> Result<Table> {
        let map = Mapping::attach(path, writable)?;
        let not = |why: String| TableError::NotATable { why };
        let read = |offset: u64| {
            map.word(offset)
                .map(|w| w.load(Ordering::Acquire))
                .ok_or_else(|| not(format!("only {} bytes long", map.len())))
        };
        if read(header::MAGIC)? != MAGIC {
            return Err(not("it does not start with the table's mark".into()));
        }
        let version = read(header::VERSION)?;
        if version != VERSION {
            return Err(not(format!(
                "it has version {version}, and this program reads version {VERSION}"
            )));
        }
        let mut words = [0; 7];
        for (i, word) in words.iter_mut().enumerate() {
            *word = read(header::LIMITS + i as u64 * 8)?;
        }
        let limits = layout::limits_from_words(words)
            .ok_or_else(|| not("its limits make no sense".into()))?;
        let layout = Layout::new(limits)?;
        if read(header::SIGNATURE)? != layout.signature() {
            return Err(not("its layout is another one than this program's".into()));
        }
        if map.len() != layout.total || read(header::TOTAL)? != layout.total {
            return Err(not(format!(
                "{} bytes long instead of {}",
                map.len(),
                layout.total
            )));
        }
        let (seed, coordinator) = (read(header::SEED)?, read(header::COORDINATOR)?);
        let details = read(header::DETAILS)? != 0;
        let mem = Mem::new(map, layout);
        Ok(Table {
            mem,
            me: Owner::NONE,
            role: Role::Stranger,
            seed,
            coordinator,
            details,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::Limits;

    fn small() -> Table {
        Table::create(Limits::for_objects(64)).unwrap()
    }

    #[test]
    fn another_version_signature_or_length_is_refused_by_name() {
        let table = small();
        let path = table.path();
        let attach = || {
            Table::attach(Path::new(&path), true)
                .map(|_| ())
                .unwrap_err()
                .to_string()
        };
        assert!(Table::attach(Path::new(&path), false).is_ok());
        for (offset, says) in [
            (header::VERSION, "version"),
            (header::SIGNATURE, "layout"),
            (header::MAGIC, "mark"),
            (header::LIMITS, "layout"),
            (header::TOTAL, "bytes long"),
        ] {
            let word = table.mem.word(offset).unwrap();
            let good = word.load(Ordering::SeqCst);
            word.store(good + 1, Ordering::SeqCst);
            assert!(attach().contains(says), "{says}: {}", attach());
            word.store(good, Ordering::SeqCst);
        }
        assert!(Table::attach(Path::new(&path), true).is_ok());
    }

    #[test]
    fn a_short_file_is_no_table() {
        let map = Mapping::create("short", 4096).unwrap();
        let error = Table::attach(Path::new(&map.path()), true)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, TableError::NotATable { .. }), "{error}");
    }
}
