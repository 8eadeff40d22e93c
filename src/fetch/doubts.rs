//! Are this store's ETags MD5s, where they look like it?
//!
//! Some stores have 32 hexadecimal digits that are no MD5, and say so nowhere. An object that came
//! twice with the same bytes, of which the ETag is not the MD5, is either damaged in the store, or
//! its ETag never was one. Other objects tell: one whose ETag is its MD5 shows that they are; two
//! doubtful ones, and none that fits, that they are not.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::error::FetchError;
use super::object::Object;

/// Doubtful objects that show, together, that ETags are no MD5s here.
const ENOUGH: usize = 2;
/// How long a doubtful object waits for others where more may be registered.
const PATIENCE: Duration = Duration::from_secs(3);

/// Objects that were found to have one of two reasons.
pub(super) type Doubtful = Vec<(Rc<Object>, FetchError)>;

#[derive(Debug, Default)]
enum Etags {
    #[default]
    Unknown,
    Md5,
    Opaque,
}

/// What is known of this store's ETags.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    etags: Etags,
    doubtful: Doubtful,
    since: Option<Instant>,
}

impl Doubts {
    /// Whether ETags are known to be no MD5s.
    pub fn opaque(&self) -> bool {
        matches!(self.etags, Etags::Opaque)
    }

    pub fn is_empty(&self) -> bool {
        self.doubtful.is_empty()
    }

    /// An ETag was the MD5 of its object: those that were doubtful are damaged.
    pub fn fitted(&mut self) -> Doubtful {
        self.etags = Etags::Md5;
        std::mem::take(&mut self.doubtful)
    }

    /// An object came twice with the same bytes, and its ETag is not their MD5. Gives it back if
    /// it is damaged; else it waits.
    pub fn add(
        &mut self,
        object: Rc<Object>,
        error: FetchError,
    ) -> Option<(Rc<Object>, FetchError)> {
        if matches!(self.etags, Etags::Md5) {
            return Some((object, error));
        }
        self.since.get_or_insert_with(Instant::now);
        self.doubtful.push((object, error));
        None
    }

    /// The objects that are right after all, if there is enough to say that ETags are no MD5s.
    pub fn dispelled(&mut self) -> Doubtful {
        if self.doubtful.len() < ENOUGH {
            return Vec::new();
        }
        self.etags = Etags::Opaque;
        std::mem::take(&mut self.doubtful)
    }

    /// The doubtful objects that nobody will tell more of: of `active` objects they are all, and no
    /// more will be registered, or none was for a while.
    pub fn given_up(&mut self, active: usize, planned: bool) -> Doubtful {
        let waited = self.since.is_some_and(|since| since.elapsed() >= PATIENCE);
        if self.doubtful.len() < active || !(planned || waited) {
            return Vec::new();
        }
        self.since = None;
        std::mem::take(&mut self.doubtful)
    }
}
