//! A mapping of words on the heap, which knows what memory was taken for it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64 as Plain, Ordering::SeqCst};
use std::sync::{Arc, Mutex, Weak};

use super::sync::AtomicU64;
use crate::model;

const PAGE: u64 = 4096;

/// Why there is no mapping.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// No mapping of this name.
    #[error("no such mapping")]
    Missing,
}

struct Words {
    words: Vec<AtomicU64>,
    /// A bit for each page that has memory.
    backed: Vec<Plain>,
    number: u64,
}

/// Heap words in the place of a sealed memfd; attaching shares them.
pub struct Mapping {
    words: Arc<Words>,
    writable: bool,
}

static ALL: Mutex<Vec<Weak<Words>>> = Mutex::new(Vec::new());
static NEXT: Plain = Plain::new(0);

impl Mapping {
    pub fn create(_: &str, len: u64) -> Result<Mapping, MapError> {
        let pages = len.div_ceil(PAGE);
        let words = Arc::new(Words {
            words: (0..len / 8).map(|_| AtomicU64::default()).collect(),
            backed: (0..pages.div_ceil(64)).map(|_| Plain::default()).collect(),
            number: NEXT.fetch_add(1, SeqCst),
        });
        if !model::present() {
            let mut all = ALL.lock().unwrap();
            all.retain(|words| words.strong_count() > 0);
            all.push(Arc::downgrade(&words));
        }
        Ok(Mapping {
            words,
            writable: true,
        })
    }

    pub fn attach(path: &Path, writable: bool) -> Result<Mapping, MapError> {
        let all = ALL.lock().unwrap();
        let found = all.iter().filter_map(Weak::upgrade);
        let words = found
            .into_iter()
            .find(|words| Path::new(&name(words)) == path)
            .ok_or(MapError::Missing)?;
        Ok(Mapping { words, writable })
    }

    pub fn len(&self) -> u64 {
        self.words.words.len() as u64 * 8
    }

    pub fn writable(&self) -> bool {
        self.writable
    }

    pub fn path(&self) -> String {
        name(&self.words)
    }

    /// The word at byte `offset`. Touching one that has no memory would be a SIGBUS on a machine
    /// that has none left, so it fails the scenario.
    pub fn word(&self, offset: u64) -> Option<&AtomicU64> {
        if !offset.is_multiple_of(8) {
            return None;
        }
        let word = self.words.words.get(usize::try_from(offset / 8).ok()?)?;
        let page = offset / PAGE;
        let bits = self.words.backed[(page / 64) as usize].load(SeqCst);
        if model::present() && bits & 1 << (page % 64) == 0 {
            model::fail(format!("byte {offset} touched before memory was taken"));
        }
        Some(word)
    }

    pub fn back(&self, offset: u64, len: u64) -> io::Result<()> {
        for page in offset / PAGE..(offset + len).div_ceil(PAGE) {
            self.words.backed[(page / 64) as usize].fetch_or(1 << (page % 64), SeqCst);
        }
        Ok(())
    }
}

fn name(words: &Words) -> String {
    format!("/heap/{}", words.number)
}
