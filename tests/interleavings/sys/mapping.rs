//! A mapping of words on the heap, which knows what memory was taken for it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64 as Plain, Ordering::SeqCst};
use std::sync::{Arc, Mutex, OnceLock, Weak};

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
    /// Pages, each made at the first look at it.
    pages: Vec<OnceLock<Box<[AtomicU64]>>>,
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
            pages: (0..pages).map(|_| OnceLock::new()).collect(),
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
        self.words.pages.len() as u64 * PAGE
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
        let page = offset / PAGE;
        let words = self.words.pages.get(usize::try_from(page).ok()?)?;
        let make = || (0..PAGE / 8).map(|_| AtomicU64::default()).collect();
        let word = &words.get_or_init(make)[(offset % PAGE / 8) as usize];
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
