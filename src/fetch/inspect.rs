//! Between "all bytes have landed" and "ready": are they the right ones?
//!
//! An object of a SAFE product waits for its product's manifest, if that is registered; then the
//! verifier's threads compare it with what is known. Wrong bytes are fetched again; the same ones
//! twice are what the store has.

use std::rc::Rc;

use crate::table::{Phase, SlotId, TableError};
use crate::values::Verified;

use super::doubts::Doubtful;
use super::engine::Engine;
use super::error::FetchError;
use super::integrity::{Checked, Expectation, Verdict};
use super::manifests::Told;
use super::object::{Object, say};

/// Downloads of an object whose bytes are wrong, each time others, before it is given up.
const DOWNLOADS: u32 = 3;

impl Engine {
    /// All parts of an object have landed, or it was given up.
    pub(super) fn landed(&self, object: &Rc<Object>) -> Result<(), TableError> {
        if object.given_up() || object.size == 0 {
            return self.end(object, Verified::Length);
        }
        let place = (self.config.staging.as_path(), &self.config.tree);
        let told = (self.manifests.borrow_mut()).ask(&self.table, place, &object.key)?;
        let sum = match told {
            Told::Sum(sum) => sum,
            Told::Later(slot) => {
                self.manifests.borrow_mut().wait(slot, Rc::clone(object));
                return Ok(());
            }
        };
        let expectation = object.expectation(sum, self.doubts.borrow().opaque());
        if expectation == Expectation::Nothing {
            return self.end(object, Verified::Length);
        }
        match object.landing.file.try_clone() {
            Ok(file) => {
                let id = object.claim.slot.0.into();
                self.verifier.give(id, file, object.size, expectation);
                Ok(())
            }
            Err(error) => self.unreadable(object, error),
        }
    }

    /// Draws the consequences of a comparison.
    pub(super) fn checked(self: &Rc<Self>, checked: Checked) -> Result<(), TableError> {
        let slot = SlotId(u32::try_from(checked.id).unwrap_or(u32::MAX));
        let Some(object) = self.queue.borrow().get(slot) else {
            return Ok(());
        };
        let (expected, found, by) = match checked.verdict {
            Ok(Verdict::Right(verified)) => {
                if verified == Verified::Md5 {
                    let damaged = self.doubts.borrow_mut().fitted();
                    self.refuse(damaged)?;
                }
                return self.end(&object, verified);
            }
            Ok(Verdict::Wrong {
                expected,
                found,
                by,
            }) => (expected, found, by),
            Err(error) => return self.unreadable(&object, error),
        };
        if by == Verified::Md5 && self.doubts.borrow().opaque() {
            return self.end(&object, Verified::Length);
        }
        let downloads = object.downloads.get();
        let error = FetchError::Corrupt {
            expected,
            found,
            by,
            downloads,
        };
        // The same bytes twice are what the store has.
        let again = object.found.replace(Some(found)) == Some(found);
        if !again && downloads < DOWNLOADS {
            self.table.retried(slot, error.fault(downloads))?;
            tracing::warn!(key = object.key, %error, "fetched again");
            object.fetch_again(&self.table)?;
            self.queue.borrow_mut().again(&object);
            return self.pump();
        }
        if by != Verified::Md5 || !again {
            return self.refuse(vec![(object, error)]);
        }
        let damaged = self.doubts.borrow_mut().add(object, error);
        self.refuse(damaged.into_iter().collect())?;
        let right = self.doubts.borrow_mut().dispelled();
        if !right.is_empty() {
            self.table.note(&format!(
                "the ETags of this store look like MD5s and are none ({} objects came twice with the same bytes, and none fits): they are not compared any more",
                right.len()
            ))?;
        }
        for (object, _) in right {
            self.end(&object, Verified::Length)?;
        }
        Ok(())
    }

    /// Gives up the objects of which nobody will say whether they or their ETags are wrong.
    pub(super) fn settle(&self) -> Result<(), TableError> {
        if self.doubts.borrow().is_empty() {
            return Ok(());
        }
        let planned = self.table.phase()? >= Phase::Planned;
        let active = self.queue.borrow().len();
        let damaged = self.doubts.borrow_mut().given_up(active, planned);
        self.refuse(damaged)
    }

    fn refuse(&self, damaged: Doubtful) -> Result<(), TableError> {
        for (object, error) in damaged {
            object.give_up(error.fault(object.downloads.get()));
            say(&self.table, &object.key, &error)?;
            self.end(&object, Verified::Length)?;
        }
        Ok(())
    }

    fn unreadable(&self, object: &Rc<Object>, source: std::io::Error) -> Result<(), TableError> {
        let path = object.landing.path.clone();
        let error = FetchError::Staging { path, source };
        object.give_up(error.fault(1));
        say(&self.table, &object.key, &error)?;
        self.end(object, Verified::Length)
    }

    /// Ends an object: to its final place and ready, or failed.
    fn end(&self, object: &Rc<Object>, verified: Verified) -> Result<(), TableError> {
        let mut queue = self.queue.borrow_mut();
        object.complete(&self.table, &mut queue.landed, verified)?;
        queue.ended(object);
        if self.held_up.replace(false) || queue.is_empty() {
            self.bell.rung.notify_one();
        }
        drop(queue);
        self.ended(object.claim.slot)
    }

    /// A slot is ready or failed: those who waited for it go on.
    pub(super) fn ended(&self, slot: SlotId) -> Result<(), TableError> {
        self.queue.borrow_mut().upcoming.slot_ended(slot);
        let waiting = self.manifests.borrow_mut().ended(slot);
        waiting.iter().try_for_each(|object| self.landed(object))
    }
}
