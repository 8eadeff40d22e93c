//! One object on its way: its claim, its landing file, and what is missing.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use reqwest::header::HeaderMap;

use crate::store::Sum;
use crate::sys::death;
use crate::table::{ObjectClaim, Table, TableError};
use crate::values::{ByteRange, Fault, FaultCode, Verified, staged};

use super::error::FetchError;
use super::integrity::{Expectation, Said};
use super::landed::Landed;
use super::landing::{Landing, Landings};
use super::parts::Gaps;
use super::staging;

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
    /// What the answers of this download said of its bytes.
    said: RefCell<Said>,
    /// The sum of its bytes when they were wrong last.
    pub found: Cell<Option<Sum>>,
    /// How often it was downloaded, this time included.
    pub downloads: Cell<u32>,
}

/// What became of a claim.
pub(super) enum Begun {
    /// There are parts to fetch, or all of them have landed earlier.
    Landing(Rc<Object>),
    /// It was in staging and is published, or it failed.
    Ended,
}

impl Object {
    /// Looks at a claimed object: is it in staging, has some of it landed, what is missing?
    pub fn begin(
        table: &Table,
        root: &Path,
        tree: &staged::Tree,
        (landed, landings): (&Landed, &mut Landings),
        claim: ObjectClaim,
    ) -> Result<Begun, TableError> {
        let (key, size) = (table.key(claim.slot)?, table.size(claim.slot)?);
        let etag = table.etag(claim.slot)?;
        let target = tree.path(root, &key);
        let there = staged::find(root, target.clone());
        if let Some(verified) = landed.holds(&key, size, etag.as_deref(), &there) {
            // What kept it from its own place may have gone.
            if there != target {
                let _ = staging::place(root, &there, &target);
            }
            table.publish_verified(claim, 0, verified)?;
            return Ok(Begun::Ended);
        }
        let landing = match landings.take(claim, &key, size, etag.as_deref()) {
            Ok(landing) => landing,
            Err(source) => {
                let error = FetchError::Staging {
                    path: target,
                    source,
                };
                say(table, &key, &error)?;
                table.fail_object(claim, error.fault(1))?;
                return Ok(Begun::Ended);
            }
        };
        if landing.adopted {
            for range in &landing.ranges {
                table.publish_range(claim, *range)?;
            }
        } else {
            table.forget_landed(claim)?;
        }
        let gaps = Gaps::new(size, &table.ranges_ready(claim.slot)?);
        Ok(Begun::Landing(Rc::new(Object {
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
            said: RefCell::new(Said::new(landings.bucket())),
            found: Cell::new(None),
            downloads: Cell::new(1),
        })))
    }

    /// Gives the next part out.
    pub fn cut(&self, bytes: u64) -> Option<ByteRange> {
        let part = self.gaps.borrow_mut().cut(bytes)?;
        self.given.set(self.given.get() + 1);
        Some(part)
    }

    /// The share of it that is neither landed nor given out.
    pub fn left(&self) -> f64 {
        self.gaps.borrow().bytes() as f64 / self.size.max(1) as f64
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

    /// Takes in what the answer for a range said.
    pub fn answered(&self, range: ByteRange, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        self.said.borrow_mut().hear(range, self.size, text);
    }

    /// What its bytes have to be, given what its product's manifest says, and whether ETags are
    /// known to be no MD5s.
    pub fn expectation(&self, manifest: Option<Sum>, opaque: bool) -> Expectation {
        let etag = self.etag.as_deref().filter(|_| !opaque);
        Expectation::of(etag, &self.said.borrow(), manifest)
    }

    /// Forgets all that has landed: it is fetched once more.
    pub fn fetch_again(&self, table: &Table) -> Result<(), TableError> {
        self.landing.forget();
        table.forget_landed(self.claim)?;
        self.gaps.replace(Gaps::new(self.size, &[]));
        self.said.borrow_mut().forget();
        self.downloads.set(self.downloads.get() + 1);
        Ok(())
    }

    /// Ends the object: to its final place and ready, or failed.
    pub fn complete(
        &self,
        table: &Table,
        landed: &mut Landed,
        verified: Verified,
    ) -> Result<(), TableError> {
        if self.fault.get().is_none() {
            let (etag, target) = (self.etag.as_deref(), &self.target);
            // The record first: if we die in between, the landing file is still known.
            let placed = landed
                .add(&self.key, self.size, etag, &self.landing.file, verified)
                .map_err(FetchError::staging(target))
                .and_then(|()| staging::place(&self.root, &self.landing.path, target));
            if let Err(error) = placed {
                self.fault.set(Some(error.fault(1)));
                say(table, &self.key, &error)?;
            }
        }
        match self.fault.get() {
            None => {
                death::point("object-placed");
                self.landing.placed();
                table.publish_verified(self.claim, self.fetched.get(), verified)?
            }
            Some(fault) => {
                // What was not to be had now may be to be had by the next run.
                let keep = matches!(
                    fault.code,
                    FaultCode::Unreachable | FaultCode::Server | FaultCode::Refused
                );
                self.landing.leave(keep);
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
