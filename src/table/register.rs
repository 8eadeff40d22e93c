//! Registering objects: one at a time, or as many as a listing brings at once.
//!
//! Many at once cost far less than one after the other: their buckets are looked at in one go, so
//! that the waits for memory overlap, and they share each move of a counter and one ring of the
//! bell. What others see of it is the same.

use std::array::from_fn;
use std::slice;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::sys::death;
use crate::sys::sync::Ordering;
use crate::values::{EventKind, Limits};

use super::error::{Result, TableError};
use super::etag::Etag;
use super::grains::grain_words_of;
use super::handle::Table;
use super::layout::{Counter, LINE, Region};
use super::objects::{ETAG, FOR_JOBS, GRAINS, KEY, LANDED_ETAG, ObjectSpec, SIZE, SlotId};
use super::set;

/// As many as are taken together: enough to hide the memory's latency, few enough for the stack.
const BATCH: usize = 32;

impl Table {
    /// Registers an object and wants it. A key that is registered already keeps its slot, its
    /// size and its ETag, and is wanted again if it was evicted: the same key registered a
    /// thousand times is one slot and one download.
    pub fn register_object(&self, spec: &ObjectSpec<'_>) -> Result<SlotId> {
        self.register_one(spec, false)
    }

    fn register_one(&self, spec: &ObjectSpec<'_>, for_jobs: bool) -> Result<SlotId> {
        let [slot] = self.register_batch::<1>(slice::from_ref(spec), for_jobs)?;
        Ok(slot)
    }

    /// Registers objects as [`register_object`](Table::register_object) does one after the other,
    /// and adds their slots to `slots` in the same order. A key that is new and stands twice among
    /// them is one slot, but may use up the room of two.
    ///
    /// # Errors
    /// As for one object; those before it are registered and in `slots`.
    pub fn register_objects(
        &self,
        specs: &[ObjectSpec<'_>],
        slots: &mut Vec<SlotId>,
    ) -> Result<()> {
        self.register_all(specs, slots, false)
    }

    /// Registers objects that jobs need, as [`register_objects`](Table::register_objects) does.
    /// Those that are new are fetched when one of their jobs begins, and not before, unless
    /// somebody else wants them or waits for them.
    ///
    /// # Errors
    /// As for [`register_objects`](Table::register_objects).
    pub fn register_inputs(&self, specs: &[ObjectSpec<'_>], slots: &mut Vec<SlotId>) -> Result<()> {
        self.register_all(specs, slots, true)
    }

    fn register_all(
        &self,
        specs: &[ObjectSpec<'_>],
        slots: &mut Vec<SlotId>,
        for_jobs: bool,
    ) -> Result<()> {
        for batch in specs.chunks(BATCH) {
            if let Ok(made) = self.register_batch::<BATCH>(batch, for_jobs) {
                slots.extend(&made[..batch.len()]);
                continue;
            }
            // As many as there is room for.
            for spec in batch {
                slots.push(self.register_one(spec, for_jobs)?);
            }
        }
        Ok(())
    }

    /// Registers up to `N` objects; what is beyond their number means nothing.
    fn register_batch<const N: usize>(
        &self,
        specs: &[ObjectSpec<'_>],
        for_jobs: bool,
    ) -> Result<[SlotId; N]> {
        self.mem.writable()?;
        let place = &self.mem.layout.object_set;
        let mut hashes = [0; N];
        for (hash, spec) in hashes.iter_mut().zip(specs) {
            if spec.key.len() > Limits::KEY_BYTES {
                return Err(TableError::TooLong {
                    what: "key",
                    len: spec.key.len(),
                    max: Limits::KEY_BYTES,
                });
            }
            *hash = xxh3_64_with_seed(spec.key.as_bytes(), self.seed);
        }
        if N > 1 {
            set::touch(&self.mem, place, &hashes[..specs.len()])?;
        }
        let mut slots: [Option<u32>; N] = [None; N];
        for ((slot, spec), hash) in slots.iter_mut().zip(specs).zip(hashes) {
            *slot = set::find(&self.mem, place, hash, |s| self.key_is(s, spec.key))?;
            if slot.is_none() {
                set::back(&self.mem, place, hash)?;
            }
        }
        let new: [bool; N] = from_fn(|i| slots[i].is_none());
        self.write_slots(specs, &mut slots, for_jobs)?;
        death::point("object-written");
        let mut made = [SlotId(0); N];
        for (i, spec) in specs.iter().enumerate() {
            let mut slot = slots[i].unwrap_or(u32::MAX);
            if new[i] {
                let is = |s| self.key_is(s, spec.key);
                slot = set::insert(&self.mem, place, hashes[i], slot, is)?;
            }
            made[i] = SlotId(slot);
        }
        death::point("object-named");
        self.want_all::<N>(&made[..specs.len()], for_jobs)?;
        Ok(made)
    }

    /// Wants objects and tells of those that were not wanted before. Of those that are for their
    /// jobs the downloader is told when a job comes.
    fn want_all<const N: usize>(&self, slots: &[SlotId], for_jobs: bool) -> Result<()> {
        let mut told = [(0, 0); N];
        let mut count = 0;
        let mut first = SlotId(u32::MAX);
        for slot in slots {
            let hurried = !for_jobs && self.forget_jobs(*slot)?;
            let wanted = self.make_wanted(*slot)?;
            if wanted {
                told[count] = (slot.0, self.size(*slot)?);
                count += 1;
            }
            if hurried || wanted && !self.is_for_jobs(*slot)? {
                first = first.min(*slot);
            }
        }
        if count > 0 {
            death::point("object-wanted");
            self.emit_all(EventKind::ObjectWanted, &told[..count])?;
        }
        if first.0 != u32::MAX {
            self.wanted_again(first)?;
            death::point("object-told");
        }
        Ok(())
    }

    /// Writes the records of those that have none, which nobody can find yet. Their words stay
    /// void.
    fn write_slots<const N: usize>(
        &self,
        specs: &[ObjectSpec<'_>],
        slots: &mut [Option<u32>; N],
        for_jobs: bool,
    ) -> Result<()> {
        let flag = if for_jobs { FOR_JOBS } else { 0 };
        let mut etags = [Etag::NONE; N];
        let (mut count, mut texts, mut grains) = (0, 0, 0);
        for ((slot, spec), etag) in slots.iter().zip(specs).zip(&mut etags) {
            if slot.is_none() {
                *etag = Etag::of(spec.etag)?;
                count += 1;
                texts += words(spec.key.len()) + words(etag.text().len());
                grains += grain_words_of(spec.size);
            }
        }
        if count == 0 {
            return Ok(());
        }
        // Room for all of it first, so that an error uses nothing up.
        self.mem.room(Counter::TextWords, texts, Region::Text, 8)?;
        self.mem
            .room(Counter::GrainWords, grains, Region::Grains, 8)?;
        let mut number = self
            .mem
            .bump(Counter::Objects, count, Region::Slots, LINE)?;
        let mut text = self.mem.bump(Counter::TextWords, texts, Region::Text, 8)?;
        for ((slot, spec), etag) in slots.iter_mut().zip(specs).zip(etags) {
            if slot.is_some() {
                continue;
            }
            let key = self.mem.put_text_at(text, spec.key.as_bytes())?;
            text += words(spec.key.len());
            let (kind, first, second) = match etag {
                Etag::Packed(kind, first, second) => (kind, first, second),
                Etag::Text(etag) => {
                    let put = self.mem.put_text_at(text, etag.as_bytes())?;
                    text += words(etag.len());
                    (3, put.pack(), 0)
                }
            };
            let made = SlotId(u32::try_from(number).unwrap_or(u32::MAX));
            number += 1;
            *slot = Some(made.0);
            let grains = self.new_grains(spec.size)?;
            for (field, value) in [
                (KEY, key.pack()),
                (SIZE, spec.size),
                (GRAINS, grains),
                (LANDED_ETAG, kind << 32 | flag),
                (ETAG, first),
                (ETAG + 8, second),
            ] {
                self.slot_word(made, field)?.store(value, Ordering::Release);
            }
        }
        Ok(())
    }
}

/// Words that a text of this many bytes takes.
fn words(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(8)
}
