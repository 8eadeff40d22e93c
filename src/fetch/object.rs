//! One object on its way: its claim, its landing file, and what is missing.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use reqwest::header::HeaderMap;

use crate::sys::death;
use crate::table::{ObjectClaim, Table, TableError};
use crate::values::{ByteRange, Fault, staged};

use super::error::FetchError;
use super::landed::Landed;
use super::parts::Gaps;
use super::staging::{self, Landing};

/// An object that this process has claimed.
#[derive(Debug)]
pub(super) struct Object {
    pub claim: ObjectClaim,
    pub key: String,
    pub size: u64,
    pub etag: Option<String>,
    pub landing: Landing,
    pub target: PathBuf,
    /// The staging directory.
    root: PathBuf,
    /// Neither landed nor given out.
    gaps: RefCell<Gaps>,
    /// Parts given out that are neither landed nor given up.
    given: Cell<usize>,
    /// Bytes that came from the store for this claim.
    fetched: Cell<u64>,
    /// Why it cannot be completed.
    fault: Cell<Option<Fault>>,
    /// The fields of the first good answer, which may tell checksums.
    answer: RefCell<Option<HeaderMap>>,
}

/// What became of a claim.
pub(super) enum Begun {
    /// There are parts to fetch.
    Parts(Rc<Object>),
    /// Nothing to fetch: it is published already.
    Complete,
    /// It failed.
    Failed,
}

impl Object {
    /// Looks at a claimed object: is it in staging, has some of it landed, what is missing?
    pub fn begin(
        table: &Table,
        root: &Path,
        tree: &staged::Tree,
        landed: &mut Landed,
        claim: ObjectClaim,
    ) -> Result<Begun, TableError> {
        let (key, size) = (table.key(claim.slot)?, table.size(claim.slot)?);
        let etag = table.etag(claim.slot)?;
        let target = tree.path(root, &key);
        let there = staged::find(root, target.clone());
        if landed.holds(&key, size, etag.as_deref(), &there) {
            // What kept it from its own place may have gone.
            if there != target {
                let _ = staging::place(root, &there, &target);
            }
            table.publish_object(claim, 0)?;
            return Ok(Begun::Complete);
        }
        let landing = match staging::open_landing(root, claim.slot.0, claim.attempt, size) {
            Ok(landing) => landing,
            Err(source) => {
                let error = FetchError::Staging {
                    path: target,
                    source,
                };
                let _ = fs::remove_file(staged::landing_path(root, claim.slot.0, claim.attempt));
                say(table, &key, &error)?;
                table.fail_object(claim, error.fault(1))?;
                return Ok(Begun::Failed);
            }
        };
        if !landing.adopted {
            table.forget_landed(claim)?;
        }
        let gaps = Gaps::new(size, &table.ranges_ready(claim.slot)?);
        let whole = gaps.is_empty();
        let object = Object {
            claim,
            key,
            size,
            etag,
            landing,
            target,
            root: root.to_owned(),
            gaps: RefCell::new(gaps),
            given: Cell::new(0),
            fetched: Cell::new(0),
            fault: Cell::new(None),
            answer: RefCell::new(None),
        };
        if whole {
            object.complete(table, landed)?;
            return Ok(Begun::Complete);
        }
        Ok(Begun::Parts(Rc::new(object)))
    }

    /// Gives the next part out.
    pub fn cut(&self, bytes: u64) -> Option<ByteRange> {
        let part = self.gaps.borrow_mut().cut(bytes)?;
        self.given.set(self.given.get() + 1);
        Some(part)
    }

    /// Whether there is more to give out.
    pub fn has_more(&self) -> bool {
        !self.gaps.borrow().is_empty()
    }

    /// A part that was given out has landed, or will not.
    pub fn taken_back(&self) {
        self.given.set(self.given.get().saturating_sub(1));
    }

    /// Whether nothing is left to do but to end it.
    pub fn over(&self) -> bool {
        self.given.get() == 0 && !self.has_more()
    }

    /// It cannot be completed; the first reason is kept. False if there was one before.
    pub fn give_up(&self, fault: Fault) -> bool {
        self.gaps.borrow_mut().clear();
        let first = self.fault.get().is_none();
        if first {
            self.fault.set(Some(fault));
        }
        first
    }

    pub fn given_up(&self) -> bool {
        self.fault.get().is_some()
    }

    pub fn came(&self, bytes: u64) {
        self.fetched.set(self.fetched.get() + bytes);
    }

    /// Keeps the fields of its first good answer.
    pub fn answered(&self, headers: HeaderMap) {
        self.answer.borrow_mut().get_or_insert(headers);
    }

    /// Ends the object: to its final place and ready, or failed.
    pub fn complete(&self, table: &Table, landed: &mut Landed) -> Result<(), TableError> {
        if self.fault.get().is_none() {
            let (etag, target) = (self.etag.as_deref(), &self.target);
            let placed = staging::place(&self.root, &self.landing.path, target).and_then(|at| {
                let added = landed.add(&self.key, self.size, etag, &at);
                added.map_err(FetchError::staging(&at))
            });
            if let Err(error) = placed {
                self.fault.set(Some(error.fault(1)));
                say(table, &self.key, &error)?;
            }
        }
        match self.fault.get() {
            None => {
                death::point("object-placed");
                table.publish_object(self.claim, self.fetched.get())?
            }
            Some(fault) => {
                let _ = fs::remove_file(&self.landing.path);
                table.fail_object(self.claim, fault)?
            }
        };
        Ok(())
    }
}

/// Tells the user why an object failed, in full.
pub(super) fn say(table: &Table, key: &str, error: &FetchError) -> Result<(), TableError> {
    table.complain(&format!("object {key:?} failed: {error}"))
}
