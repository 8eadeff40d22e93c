//! Slots: one record for each key, and the moves of an object's life.
//!
//! ```text
//! byte  0  word        state, waiters, attempt, owner
//!       8  head|fault  first node that has this input (plus one), and why it failed, or if it is
//!                      ready how it was verified
//!      16  key         reference into the texts
//!      24  size        bytes
//!      32  grains      inline: attempt tag and 32 bits; else the first word in the grain words
//!      40  landed|etag a count that those watch who wait for a range, and what the ETag is:
//!                      0 none, 1 MD5, 2 MD5 of parts with their number above, 3 a text; and a
//!                      bit that says that it is fetched when one of its jobs begins
//!      48  etag        16 bytes, or a reference
//! ```

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::sys::death;
use crate::sys::futex;
use crate::sys::seeded::Seed;
use crate::sys::sync::{AtomicU64, Ordering, fence, seeded};
use crate::values::{EventKind, Fault, Limits, ObjectState, Owner, Word};

use super::error::{Result, TableError};
use super::handle::Table;
use super::layout::{Counter, LINE, Region, header};
use super::mem::TextRef;
use super::set;

pub(crate) const HEAD_FAULT: u64 = 8;
pub(crate) const KEY: u64 = 16;
pub(crate) const SIZE: u64 = 24;
pub(crate) const GRAINS: u64 = 32;
pub(crate) const LANDED_ETAG: u64 = 40;
pub(crate) const ETAG: u64 = 48;
/// In the word of [`LANDED_ETAG`]: the object is wanted for its jobs only, and fetched when one of
/// them begins. Without it, it is fetched before all such objects.
pub(crate) const FOR_JOBS: u64 = 1 << 39;

/// The number of an object's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotId(pub u32);

/// What is known of an object when it is registered, usually from a listing.
#[derive(Clone, Copy, Debug)]
pub struct ObjectSpec<'a> {
    /// Its key in the store.
    pub key: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag without quotes.
    pub etag: Option<&'a str>,
}

/// The right to fetch an object, held by the process that got it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectClaim {
    /// Which object.
    pub slot: SlotId,
    /// The attempt that this claim is.
    pub attempt: u32,
}

impl Table {
    /// A word of a slot's record.
    pub(crate) fn slot_word(&self, slot: SlotId, field: u64) -> Result<&AtomicU64> {
        if u64::from(slot.0) >= self.mem.count(Counter::Objects)? {
            return Err(TableError::corrupt("slot", slot.0.into()));
        }
        let base = self.mem.layout.region(Region::Slots).offset;
        self.mem.word(base + u64::from(slot.0) * LINE + field)
    }

    pub(crate) fn load_slot(&self, slot: SlotId) -> Result<Word> {
        Ok(Word(self.slot_word(slot, 0)?.load(Ordering::SeqCst)))
    }

    /// The state of an object; `None` for a record that a dead process left unfinished.
    pub fn object_state(&self, slot: SlotId) -> Result<Option<ObjectState>> {
        let word = self.load_slot(slot)?;
        match word.object() {
            None if word.state_bits() != 0 => Err(TableError::corrupt("state", word.0)),
            state => Ok(state),
        }
    }

    pub(crate) fn key_is(&self, slot: u32, key: &str) -> Result<bool> {
        let text = TextRef::unpack(self.slot_word(SlotId(slot), KEY)?.load(Ordering::Acquire));
        self.mem.text_is(text, key.as_bytes())
    }

    /// The key of an object.
    pub fn key(&self, slot: SlotId) -> Result<String> {
        let text = TextRef::unpack(self.slot_word(slot, KEY)?.load(Ordering::Acquire));
        let bytes = self.mem.text(text, Limits::KEY_BYTES)?;
        String::from_utf8(bytes).map_err(|_| TableError::corrupt("key", slot.0.into()))
    }

    /// The size of an object in bytes.
    pub fn size(&self, slot: SlotId) -> Result<u64> {
        Ok(self.slot_word(slot, SIZE)?.load(Ordering::Acquire))
    }

    /// The ETag that an object had when it was registered, without quotes.
    pub fn etag(&self, slot: SlotId) -> Result<Option<String>> {
        let kind = self.slot_word(slot, LANDED_ETAG)?.load(Ordering::Acquire) >> 32;
        let first = self.slot_word(slot, ETAG)?.load(Ordering::Acquire);
        let second = self.slot_word(slot, ETAG + 8)?.load(Ordering::Acquire);
        match kind & 0x7f {
            0 => Ok(None),
            1 => Ok(Some(format!("{first:016x}{second:016x}"))),
            2 => Ok(Some(format!("{first:016x}{second:016x}-{}", kind >> 8))),
            3 => {
                let text = self.mem.text(TextRef::unpack(first), Limits::KEY_BYTES)?;
                Ok(Some(String::from_utf8_lossy(&text).into_owned()))
            }
            _ => Err(TableError::corrupt("etag", kind)),
        }
    }

    /// Why an object failed.
    pub fn object_fault(&self, slot: SlotId) -> Result<Option<Fault>> {
        let bits = self.slot_word(slot, HEAD_FAULT)?.load(Ordering::SeqCst) >> 32;
        Ok(Fault::from_bits(bits as u32))
    }

    /// The slot of a key, if it is registered.
    pub fn find_object(&self, key: &str) -> Result<Option<SlotId>> {
        let hash = xxh3_64_with_seed(key.as_bytes(), self.seed);
        let place = &self.mem.layout.object_set;
        Ok(set::find(&self.mem, place, hash, |slot| self.key_is(slot, key))?.map(SlotId))
    }

    /// Wants an object: a new or an evicted one becomes wanted, any other stays as it is. It is
    /// fetched before those that are wanted for jobs only.
    pub fn want(&self, slot: SlotId) -> Result<()> {
        self.mem.writable()?;
        let hurried = self.forget_jobs(slot)?;
        self.want_for_jobs(slot)?;
        let hurried = hurried && !seeded(Seed::HurriedSilently);
        if hurried && self.object_state(slot)? == Some(ObjectState::Wanted) {
            self.wanted_again(slot)?;
        }
        Ok(())
    }

    /// Whether an object is wanted for its jobs only, so that it is fetched when one of them
    /// begins.
    pub fn is_for_jobs(&self, slot: SlotId) -> Result<bool> {
        let bits = self.slot_word(slot, LANDED_ETAG)?.load(Ordering::SeqCst);
        Ok(bits & FOR_JOBS != 0)
    }

    /// Somebody besides its jobs wants an object. Whether that is new.
    pub(crate) fn forget_jobs(&self, slot: SlotId) -> Result<bool> {
        let bits = self.slot_word(slot, LANDED_ETAG)?;
        if bits.load(Ordering::SeqCst) & FOR_JOBS == 0 {
            return Ok(false);
        }
        Ok(bits.fetch_and(!FOR_JOBS, Ordering::SeqCst) & FOR_JOBS != 0)
    }

    /// Wants an object as [`Table::want`] does, but no sooner than its jobs begin, if it was
    /// registered so.
    pub fn want_for_jobs(&self, slot: SlotId) -> Result<()> {
        self.mem.writable()?;
        if self.make_wanted(slot)? {
            death::point("object-wanted");
            self.emit(EventKind::ObjectWanted, slot.0, self.size(slot)?)?;
            self.wanted_again(slot)?;
            death::point("object-told");
        }
        Ok(())
    }

    /// The move of [`Table::want`] alone; whether there was one. Who made it must tell of it.
    pub(crate) fn make_wanted(&self, slot: SlotId) -> Result<bool> {
        let word = self.slot_word(slot, 0)?;
        let mut seen = Word(word.load(Ordering::SeqCst));
        loop {
            let new = seen.state_bits() == 0;
            if !new && seen.object() != Some(ObjectState::Evicted) {
                return Ok(false);
            }
            let next = Word::new(ObjectState::Wanted as u8, seen.attempt(), Owner::NONE)
                .with(seen.waiters());
            match word.compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Ok(true),
                Err(other) => seen = Word(other),
            }
        }
    }

    /// Tells the downloader to look at this slot even if it has passed it.
    pub(crate) fn wanted_again(&self, slot: SlotId) -> Result<()> {
        let low = self.mem.word(header::WANTED_LOW)?;
        // Whoever takes a lower mark away looks from there on, and so at this slot too.
        if low.load(Ordering::SeqCst) > u64::from(slot.0) {
            low.fetch_min(slot.0.into(), Ordering::SeqCst);
        }
        Table::FETCH_BELL.ring(&self.mem, 1)
    }

    /// The next wanted slot at or after `cursor`, in the order of registration; the cursor moves
    /// on. It goes back by itself when an earlier slot is wanted again.
    pub fn next_wanted(&self, cursor: &mut u32) -> Result<Option<SlotId>> {
        self.mem.writable()?;
        let low = self.mem.word(header::WANTED_LOW)?;
        if low.load(Ordering::Relaxed) < u64::from(*cursor) {
            let at = low.swap(u64::MAX, Ordering::SeqCst);
            *cursor = u32::try_from(at).map_or(*cursor, |at| at.min(*cursor));
        }
        let objects = self.mem.count(Counter::Objects)?;
        while u64::from(*cursor) < objects {
            let slot = SlotId(*cursor);
            let state = self.object_state(slot)?;
            *cursor += 1;
            if state == Some(ObjectState::Wanted) {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// Claims a wanted object for this process; `None` if it is not wanted (any more).
    pub fn claim_object(&self, slot: SlotId) -> Result<Option<ObjectClaim>> {
        let me = self.joined()?;
        let word = self.slot_word(slot, 0)?;
        let mut seen = Word(word.load(Ordering::SeqCst));
        while seen.object() == Some(ObjectState::Wanted) {
            let attempt = seen.attempt() + 1;
            if attempt > Word::MAX_ATTEMPT {
                return Err(TableError::corrupt("attempt", attempt.into()));
            }
            let kept = seen.waiters() * u64::from(!seeded(Seed::WaitersForgotten));
            let next = Word::new(ObjectState::Fetching as u8, attempt, me).with(kept);
            if seeded(Seed::ObjectClaimedByStore) {
                seen = Word(word.load(Ordering::SeqCst));
            }
            death::point("object-claiming");
            match word.compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    death::point("object-claimed");
                    self.tag_grains(slot, attempt)?;
                    self.emit(EventKind::ObjectFetching, slot.0, attempt.into())?;
                    return Ok(Some(ObjectClaim { slot, attempt }));
                }
                Err(other) => seen = Word(other),
            }
        }
        Ok(None)
    }

    /// Publishes a claimed object: all its bytes stand in staging. `fetched` is how many of them
    /// came from the store. False if the claim is no longer this process's.
    pub fn publish_object(&self, claim: ObjectClaim, fetched: u64) -> Result<bool> {
        death::point("object-publishing");
        let moved = self.end_claim(claim, ObjectState::Ready)?;
        if moved {
            death::point("object-published");
            self.emit(EventKind::ObjectReady, claim.slot.0, fetched)?;
            self.tell_jobs(claim.slot)?;
        }
        Ok(moved)
    }

    /// Gives a claimed object up. Waiters return and jobs that need it fail.
    pub fn fail_object(&self, claim: ObjectClaim, fault: Fault) -> Result<bool> {
        let me = self.joined()?;
        // The fault stands there before the state says so; a late claim must not touch it.
        if !self.is_fetching(claim, me)? {
            return Ok(false);
        }
        self.store_fault(self.slot_word(claim.slot, HEAD_FAULT)?, fault);
        let moved = self.end_claim(claim, ObjectState::Failed)?;
        if moved {
            self.emit(
                EventKind::ObjectFailed,
                claim.slot.0,
                fault.to_bits().into(),
            )?;
            self.tell_jobs(claim.slot)?;
        }
        Ok(moved)
    }

    /// Hands a claimed object back as wanted, with what has landed of it.
    pub fn release_object(&self, claim: ObjectClaim) -> Result<bool> {
        let moved = self.end_claim(claim, ObjectState::Wanted)?;
        if moved {
            self.emit(
                EventKind::ObjectWanted,
                claim.slot.0,
                self.size(claim.slot)?,
            )?;
            self.wanted_again(claim.slot)?;
        }
        Ok(moved)
    }

    /// Whether a claim is still this owner's.
    pub(crate) fn is_fetching(&self, claim: ObjectClaim, me: Owner) -> Result<bool> {
        let seen = self.load_slot(claim.slot)?;
        Ok(seen.object() == Some(ObjectState::Fetching)
            && seen.attempt() == claim.attempt
            && seen.owner() == me)
    }

    fn end_claim(&self, claim: ObjectClaim, to: ObjectState) -> Result<bool> {
        let me = self.joined()?;
        self.move_slot(claim.slot, me, claim.attempt, to)
    }

    /// Moves a slot that `owner` fetches in `attempt` to another state.
    pub(crate) fn move_slot(
        &self,
        slot: SlotId,
        owner: Owner,
        attempt: u32,
        to: ObjectState,
    ) -> Result<bool> {
        let word = self.slot_word(slot, 0)?;
        let mut seen = Word(word.load(Ordering::SeqCst));
        loop {
            let mine = seen.object() == Some(ObjectState::Fetching)
                && seen.attempt() == attempt
                && seen.owner() == owner;
            if !mine && !seeded(Seed::PublishUnchecked) {
                return Ok(false);
            }
            let kept = match to {
                ObjectState::Wanted if seeded(Seed::AttemptReset) => 0,
                _ => attempt,
            };
            let next = Word::new(to as u8, kept, Owner::NONE).with(seen.waiters());
            match word.compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => {
                    death::point("object-moved");
                    if to != ObjectState::Wanted {
                        self.wake_waiters(slot, next)?;
                    }
                    return Ok(true);
                }
                Err(other) => seen = Word(other),
            }
        }
    }

    /// Wakes everybody who waits for an object, whose word is `seen`, and only then takes their
    /// bits away: until then a sweep can see that there is somebody to be woken.
    pub(crate) fn wake_waiters(&self, slot: SlotId, seen: Word) -> Result<()> {
        if seen.waiters() == 0 || seeded(Seed::WakeMissing) {
            return Ok(());
        }
        let word = self.slot_word(slot, 0)?;
        futex::wake(word, u32::MAX);
        if seen.0 & Word::RANGE_WAITER != 0 {
            self.tell_range_waiters(slot)?;
        }
        // Unless the word has moved on: then the bits may be those of other waiters.
        let none = seen.without(Word::WAITER | Word::RANGE_WAITER);
        let _ = word.compare_exchange(seen.0, none.0, Ordering::SeqCst, Ordering::SeqCst);
        Ok(())
    }

    /// Forgets a ready object's bytes, which the caller removes from staging afterwards. False
    /// if it is not ready.
    pub fn evict(&self, slot: SlotId) -> Result<bool> {
        self.mem.writable()?;
        let word = self.slot_word(slot, 0)?;
        let seen = Word(word.load(Ordering::SeqCst));
        if seen.object() != Some(ObjectState::Ready) {
            return Ok(false);
        }
        // The grains first: as long as the object is ready nobody asks for them, and afterwards
        // the next attempt may have taken them over.
        self.clear_grains(slot, seen.attempt())?;
        let next =
            Word::new(ObjectState::Evicted as u8, seen.attempt(), Owner::NONE).with(seen.waiters());
        let moved = word.compare_exchange(seen.0, next.0, Ordering::SeqCst, Ordering::SeqCst);
        if moved.is_ok() {
            self.emit(EventKind::ObjectEvicted, slot.0, self.size(slot)?)?;
        }
        Ok(moved.is_ok())
    }

    /// Writes a fault beside whatever the other half of its word holds.
    pub(crate) fn store_fault(&self, word: &AtomicU64, fault: Fault) {
        let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |seen| {
            Some(seen & 0xffff_ffff | u64::from(fault.to_bits()) << 32)
        });
    }

    /// After a slot became ready or failed: every job that has it as an input looks on.
    pub(crate) fn tell_jobs(&self, slot: SlotId) -> Result<()> {
        if !seeded(Seed::FenceOfTheSlot) {
            fence(Ordering::SeqCst);
        }
        self.each_job_of(slot, |job| {
            self.advance(job)?;
            Ok(!seeded(Seed::ListCutShort))
        })
    }
}
