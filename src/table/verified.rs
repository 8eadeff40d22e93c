//! What a ready object's bytes were compared with: it stands where a failed one has its fault.

use crate::sys::sync::Ordering;
use crate::values::{ObjectState, Verified};

use super::error::{Result, TableError};
use super::handle::Table;
use super::objects::{HEAD_FAULT, ObjectClaim, SlotId};

/// The upper bits of such a word; no fault has them.
const MARK: u32 = 0xc000_0000;

impl Table {
    /// Publishes a claimed object as [`publish_object`](Table::publish_object) does, and says how
    /// its bytes were verified.
    pub fn publish_verified(
        &self,
        claim: ObjectClaim,
        fetched: u64,
        verified: Verified,
    ) -> Result<bool> {
        let me = self.joined()?;
        // It stands there before the state says ready; a late claim must not touch it.
        if !self.is_fetching(claim, me)? {
            return Ok(false);
        }
        let bits = u64::from(MARK | verified as u32) << 32;
        let word = self.slot_word(claim.slot, HEAD_FAULT)?;
        let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |seen| {
            Some(seen & 0xffff_ffff | bits)
        });
        self.publish_object(claim, fetched)
    }

    /// How a ready object was verified: by its length, where its publisher said nothing. `None`
    /// if it is not ready.
    ///
    /// # Errors
    /// The word holds what nobody writes.
    pub fn object_verified(&self, slot: SlotId) -> Result<Option<Verified>> {
        match self.object_state(slot)? {
            Some(ObjectState::Ready) => self.verified_before(slot),
            _ => Ok(None),
        }
    }

    /// The same for an object that is or was ready.
    fn verified_before(&self, slot: SlotId) -> Result<Option<Verified>> {
        let word = self.slot_word(slot, HEAD_FAULT)?;
        let bits = (word.load(Ordering::SeqCst) >> 32) as u32;
        if bits & MARK != MARK {
            return Ok(Some(Verified::Length));
        }
        let verified = u8::try_from(bits & !MARK)
            .ok()
            .and_then(Verified::from_bits);
        match verified {
            Some(verified) => Ok(Some(verified)),
            None => Err(TableError::corrupt("verified", bits.into())),
        }
    }

    /// How many objects that are ready, or were and are evicted now, were verified how, by looking
    /// at each; those that are none are left out.
    ///
    /// # Errors
    /// As [`object_verified`](Table::object_verified).
    pub fn count_verified(&self) -> Result<Vec<(Verified, u64)>> {
        let mut counts = Verified::ALL.map(|verified| (verified, 0));
        for number in 0..self.objects_len()? {
            let slot = SlotId(number);
            let verified = match self.object_state(slot)? {
                Some(ObjectState::Ready | ObjectState::Evicted) => self.verified_before(slot)?,
                _ => None,
            };
            if let Some((_, n)) = counts.iter_mut().find(|(v, _)| Some(*v) == verified) {
                *n += 1;
            }
        }
        Ok(counts.into_iter().filter(|(_, n)| *n > 0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::ObjectSpec;
    use crate::values::{Limits, Role};

    #[test]
    fn a_ready_object_says_how_it_was_verified() {
        let table = Table::create(Limits::for_objects(64)).unwrap();
        let table = table.join(Role::Downloader).unwrap();
        for (key, how) in [("a", Some(Verified::Manifest)), ("b", None)] {
            let (size, etag) = (1, None);
            let slot = table.register_object(&ObjectSpec { key, size, etag });
            let slot = slot.unwrap();
            let claim = table.claim_object(slot).unwrap().unwrap();
            assert_eq!(table.object_verified(slot).unwrap(), None);
            assert!(match how {
                Some(how) => table.publish_verified(claim, 1, how).unwrap(),
                None => table.publish_object(claim, 1).unwrap(),
            });
            let said = table.object_verified(slot).unwrap();
            assert_eq!(said, Some(how.unwrap_or(Verified::Length)));
            assert_eq!(table.object_fault(slot).unwrap(), None);
            assert!(!table.publish_verified(claim, 1, Verified::Md5).unwrap());
        }
        let counts = [(Verified::Manifest, 1), (Verified::Length, 1)];
        assert_eq!(table.count_verified().unwrap(), counts);
    }
}
