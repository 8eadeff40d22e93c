//! One object on its way: its claim, its landing file, and the parts still to fetch.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;

use crate::sys::death;
use crate::table::{ObjectClaim, Table, TableError};
use crate::values::{ByteRange, Fault, staged};

use super::error::FetchError;
use super::landed::Landed;
use super::parts;
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
    /// Not given to a connection yet.
    pub pending: VecDeque<ByteRange>,
    /// Given to a connection.
    pub in_flight: usize,
    /// Bytes that came from the store for this claim.
    pub fetched: u64,
    /// Why it cannot be completed.
    pub fault: Option<Fault>,
}

/// What became of a claim.
pub(super) enum Begun {
    /// There are parts to fetch.
    Parts(Object),
    /// Nothing to fetch: it is published already.
    Complete,
    /// It failed.
    Failed,
}

impl Object {
    /// Looks at a claimed object: is it in staging, has some of it landed, what is missing?
    pub fn begin(
        table: &Table,
        root: &std::path::Path,
        tree: &staged::Tree,
        landed: &mut Landed,
        claim: ObjectClaim,
    ) -> Result<Begun, TableError> {
        let (key, size) = (table.key(claim.slot)?, table.size(claim.slot)?);
        let etag = table.etag(claim.slot)?;
        let target = tree.path(root, &key);
        if landed.holds(&key, size, etag.as_deref(), &target) {
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
                give_up(table, claim, &key, &error, 1)?;
                return Ok(Begun::Failed);
            }
        };
        if !landing.adopted {
            table.forget_landed(claim)?;
        }
        let pending = parts::missing(size, &table.ranges_ready(claim.slot)?);
        let mut object = Object {
            claim,
            key,
            size,
            etag,
            landing,
            target,
            pending,
            in_flight: 0,
            fetched: 0,
            fault: None,
        };
        if object.pending.is_empty() {
            object.complete(table, landed)?;
            return Ok(Begun::Complete);
        }
        Ok(Begun::Parts(object))
    }

    /// Whether nothing is left to do but to end it.
    pub fn over(&self) -> bool {
        self.in_flight == 0 && (self.pending.is_empty() || self.fault.is_some())
    }

    /// Ends the object: to its final place and ready, or failed.
    pub fn complete(&mut self, table: &Table, landed: &mut Landed) -> Result<(), TableError> {
        if self.fault.is_none() {
            let (etag, target) = (self.etag.as_deref(), &self.target);
            let placed = staging::place(&self.landing.path, target).and_then(|()| {
                let added = landed.add(&self.key, self.size, etag, target);
                added.map_err(FetchError::staging(target))
            });
            if let Err(error) = placed {
                self.fault = Some(error.fault(1));
                say(table, &self.key, &error)?;
            }
        }
        match self.fault {
            None => {
                death::point("object-placed");
                table.publish_object(self.claim, self.fetched)?
            }
            Some(fault) => {
                let _ = fs::remove_file(&self.landing.path);
                table.fail_object(self.claim, fault)?
            }
        };
        Ok(())
    }
}

fn give_up(
    table: &Table,
    claim: ObjectClaim,
    key: &str,
    error: &FetchError,
    attempts: u32,
) -> Result<(), TableError> {
    say(table, key, error)?;
    table.fail_object(claim, error.fault(attempts))?;
    Ok(())
}

/// Tells the user why an object failed, in full.
pub(super) fn say(table: &Table, key: &str, error: &FetchError) -> Result<(), TableError> {
    table.complain(&format!("object {key:?} failed: {error}"))
}
