//! Which bytes of an object have landed before the whole is ready.
//!
//! Landed bytes are published in grains of 1 MiB. A word of grains holds 32 bits, one for each
//! grain, under the attempt that set them, so that a claim that was swept cannot set any more.
//! An object of up to 32 MiB has its one word in the slot, a larger one in the grain words.

use crate::sys::death;
use crate::sys::futex;
use crate::sys::seeded::Seed;
use crate::sys::sync::{AtomicU64, Ordering, fence, seeded};
use crate::values::{ByteRange, Limits, Word};

use super::error::{Result, TableError};
use super::handle::Table;
use super::layout::{Counter, Region};
use super::objects::{GRAINS, LANDED_ETAG, ObjectClaim, SIZE, SlotId};

/// Bits of grains in a word.
const BITS: u64 = 32;

/// Number of grains of an object.
pub(crate) fn grains_of(size: u64) -> u64 {
    size.div_ceil(1 << Limits::GRAIN_SHIFT)
}

/// Words that an object's grains need outside of its slot.
pub(crate) fn grain_words_of(size: u64) -> u64 {
    match grains_of(size).div_ceil(BITS) {
        0 | 1 => 0,
        words => words,
    }
}

impl Table {
    /// Words for the grains of a new object: what its slot shall hold.
    pub(crate) fn new_grains(&self, size: u64) -> Result<u64> {
        match grain_words_of(size) {
            0 => Ok(0),
            words => self.mem.bump(Counter::GrainWords, words, Region::Grains, 8),
        }
    }

    fn grain_word(&self, slot: SlotId, index: u64) -> Result<&AtomicU64> {
        let words = grains_of(self.slot_word(slot, SIZE)?.load(Ordering::Acquire)).div_ceil(BITS);
        let inline = self.slot_word(slot, GRAINS)?;
        if words <= 1 {
            return if index == 0 {
                Ok(inline)
            } else {
                Err(TableError::corrupt("grain", index))
            };
        }
        let first = inline.load(Ordering::Acquire);
        let used = self.mem.count(Counter::GrainWords)?;
        if index >= words || first.checked_add(words).is_none_or(|end| end > used) {
            return Err(TableError::corrupt("grain", first));
        }
        self.mem
            .word(self.mem.layout.region(Region::Grains).offset + (first + index) * 8)
    }

    fn grain_words(&self, slot: SlotId) -> Result<u64> {
        let words = grains_of(self.slot_word(slot, SIZE)?.load(Ordering::Acquire)).div_ceil(BITS);
        // A senseless size must not make a loop of years.
        if words > 1 && words > u64::from(self.mem.layout.limits.grain_words) {
            return Err(TableError::corrupt("size", words));
        }
        Ok(words.max(1))
    }

    /// Puts the grains of earlier attempts under a new one.
    pub(crate) fn tag_grains(&self, slot: SlotId, attempt: u32) -> Result<()> {
        for index in 0..self.grain_words(slot)? {
            self.set_grains(self.grain_word(slot, index)?, attempt, |bits| bits);
        }
        Ok(())
    }

    pub(crate) fn clear_grains(&self, slot: SlotId, attempt: u32) -> Result<()> {
        for index in 0..self.grain_words(slot)? {
            self.set_grains(self.grain_word(slot, index)?, attempt, |_| 0);
        }
        Ok(())
    }

    /// Changes the bits unless a later attempt has the word; false then.
    fn set_grains(&self, word: &AtomicU64, attempt: u32, change: impl Fn(u32) -> u32) -> bool {
        word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |seen| {
            let tag = (seen >> 32) as u32;
            (tag <= attempt || seeded(Seed::GrainTagUnchecked))
                .then(|| u64::from(change(seen as u32)) | u64::from(attempt) << 32)
        })
        .is_ok()
    }

    /// Forgets what landed in earlier attempts: their file is not there or not to be trusted.
    pub fn forget_landed(&self, claim: ObjectClaim) -> Result<()> {
        let me = self.joined()?;
        if self.is_fetching(claim, me)? {
            self.clear_grains(claim.slot, claim.attempt)?;
        }
        Ok(())
    }

    /// Publishes that a range of a claimed object has landed. Only whole grains count; the last
    /// grain of an object is whole at its end. False if the claim is no longer this process's.
    pub fn publish_range(&self, claim: ObjectClaim, range: ByteRange) -> Result<bool> {
        let me = self.joined()?;
        if !self.is_fetching(claim, me)? {
            return Ok(false);
        }
        let size = self.slot_word(claim.slot, SIZE)?.load(Ordering::Acquire);
        let range = range.clamp(size);
        let first = range.start.div_ceil(1 << Limits::GRAIN_SHIFT);
        let end = if range.end == size {
            grains_of(size)
        } else {
            range.end >> Limits::GRAIN_SHIFT
        };
        let mut grain = first;
        while grain < end {
            let index = grain / BITS;
            let upto = end.min((index + 1) * BITS);
            let mask = mask(grain % BITS, upto - index * BITS);
            let word = self.grain_word(claim.slot, index)?;
            let tag = (word.load(Ordering::SeqCst) >> 32) as u32;
            let mine = tag == claim.attempt || seeded(Seed::GrainTagUnchecked);
            if !mine || !self.set_grains(word, claim.attempt, |b| b | mask) {
                return Ok(false);
            }
            grain = upto;
        }
        if !seeded(Seed::FenceOfTheRange) {
            fence(Ordering::SeqCst);
        }
        death::point("range-published");
        let seen = self.load_slot(claim.slot)?;
        if seen.0 & Word::RANGE_WAITER != 0 && !seeded(Seed::RangeSilent) {
            self.tell_range_waiters(claim.slot)?;
        }
        Ok(seen.attempt() == claim.attempt && seen.owner() == me)
    }

    /// The count on which those sleep who wait for a range. The slot's own word would not do: it
    /// may be the same again before a waiter that has looked at it falls asleep.
    pub(crate) fn landed_count(&self, slot: SlotId) -> Result<&AtomicU64> {
        self.slot_word(slot, LANDED_ETAG)
    }

    /// Lets everybody who waits for a range of an object look again.
    pub(crate) fn tell_range_waiters(&self, slot: SlotId) -> Result<()> {
        let count = self.landed_count(slot)?;
        // The other half of the word stays as it is when the count goes round.
        let _ = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |seen| {
            Some(seen & !0xffff_ffff | u64::from((seen as u32).wrapping_add(1)))
        });
        futex::wake(count, u32::MAX);
        Ok(())
    }

    /// Whether all bytes of a range have landed (or the whole object is ready, which the caller
    /// asks first).
    pub(crate) fn grains_landed(&self, slot: SlotId, range: ByteRange) -> Result<bool> {
        let size = self.slot_word(slot, SIZE)?.load(Ordering::Acquire);
        let range = range.clamp(size);
        if range.is_empty() {
            return Ok(true);
        }
        let mut grain = range.start >> Limits::GRAIN_SHIFT;
        let end = grains_of(range.end);
        while grain < end {
            let index = grain / BITS;
            let upto = end.min((index + 1) * BITS);
            let mask = mask(grain % BITS, upto - index * BITS);
            if self.grain_word(slot, index)?.load(Ordering::SeqCst) as u32 & mask != mask {
                return Ok(false);
            }
            grain = upto;
        }
        Ok(true)
    }

    /// The ranges of an object that have landed, in order, joined where they touch.
    pub fn ranges_ready(&self, slot: SlotId) -> Result<Vec<ByteRange>> {
        let size = self.slot_word(slot, SIZE)?.load(Ordering::Acquire);
        let mut ranges: Vec<ByteRange> = Vec::new();
        for index in 0..self.grain_words(slot)? {
            let mut bits = self.grain_word(slot, index)?.load(Ordering::SeqCst) as u32;
            while bits != 0 {
                let grain = index * BITS + u64::from(bits.trailing_zeros());
                bits &= bits - 1;
                let start = grain << Limits::GRAIN_SHIFT;
                let range = ByteRange::new(start, start + (1 << Limits::GRAIN_SHIFT)).clamp(size);
                match ranges.last_mut() {
                    Some(last) if last.end == range.start => last.end = range.end,
                    _ if range.is_empty() => {}
                    _ => ranges.push(range),
                }
            }
        }
        Ok(ranges)
    }
}

/// Bits `from..to` of 32.
fn mask(from: u64, to: u64) -> u32 {
    let upto = if to >= 32 { u32::MAX } else { (1 << to) - 1 };
    upto & !((1u32 << from) - 1)
}
