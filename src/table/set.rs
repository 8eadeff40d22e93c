//! A set of names: open addressing, insert only, no lock and no resizing.
//!
//! A bucket is one word: 32 bits of the name's hash above the record's number plus one. A
//! record is complete before its number is put into a bucket, so whoever finds it can use it,
//! and a process that dies before that leaves a record that nobody finds.

use crate::sys::seeded::Seed;
use crate::sys::sync::{Ordering, seeded};

use super::error::{Result, TableError};
use super::layout::{SET_CHUNK, SetPlace};
use super::mem::Mem;

/// No honest set needs a longer walk: half of the buckets stay empty, which makes even a walk of
/// hundreds improbable beyond measure.
const LONGEST_WALK: u64 = 1 << 16;

fn start(place: &SetPlace, hash: u64) -> u64 {
    ((u128::from(hash) * u128::from(place.buckets)) >> 64) as u64
}

fn tag(hash: u64) -> u64 {
    hash << 32
}

/// Whether the piece that holds a bucket has memory; taken if `take`.
#[inline]
fn piece(mem: &Mem, place: &SetPlace, bucket: u64, take: bool) -> Result<bool> {
    let chunk = bucket * 8 / SET_CHUNK;
    let bits = mem.word(place.bits + chunk / 64 * 8)?;
    let bit = 1 << (chunk % 64);
    if bits.load(Ordering::Acquire) & bit != 0 {
        return Ok(true);
    }
    if take {
        let bytes = SET_CHUNK.min(place.buckets * 8 - chunk * SET_CHUNK);
        mem.take(place.offset + chunk * SET_CHUNK, bytes, "names")?;
        bits.fetch_or(bit, Ordering::AcqRel);
    }
    Ok(take)
}

/// Takes the memory that the next [`insert`] of this hash needs, but for one that runs over into
/// the next piece: so a record is seldom written in vain.
#[inline]
pub(crate) fn back(mem: &Mem, place: &SetPlace, hash: u64) -> Result<()> {
    piece(mem, place, start(place, hash), true).map(drop)
}

/// Looks at the buckets where walks for these hashes begin, so that the waits for memory overlap.
pub(crate) fn touch(mem: &Mem, place: &SetPlace, hashes: &[u64]) -> Result<()> {
    for hash in hashes {
        let bucket = start(place, *hash);
        if piece(mem, place, bucket, false)? {
            std::hint::black_box(mem.word(place.offset + bucket * 8)?.load(Ordering::Relaxed));
        }
    }
    Ok(())
}

/// The record of a name, if it is in the set. `is` compares a record's name.
#[inline]
pub(crate) fn find(
    mem: &Mem,
    place: &SetPlace,
    hash: u64,
    is: impl Fn(u32) -> Result<bool>,
) -> Result<Option<u32>> {
    let mut bucket = start(place, hash);
    for _ in 0..place.buckets.min(LONGEST_WALK) {
        if !piece(mem, place, bucket, false)? {
            return Ok(None);
        }
        let seen = mem.word(place.offset + bucket * 8)?.load(Ordering::Acquire);
        if seen == 0 {
            return Ok(None);
        }
        if seen & !0xffff_ffff == tag(hash) {
            let record = record_of(seen)?;
            if is(record)? {
                return Ok(Some(record));
            }
        }
        bucket = (bucket + 1) % place.buckets;
    }
    Err(TableError::corrupt("set", place.buckets))
}

/// Puts a record into the set, or returns the one that has its name already.
pub(crate) fn insert(
    mem: &Mem,
    place: &SetPlace,
    hash: u64,
    record: u32,
    is: impl Fn(u32) -> Result<bool>,
) -> Result<u32> {
    let mut bucket = start(place, hash);
    let mine = tag(hash) | (u64::from(record) + 1);
    for _ in 0..place.buckets.min(LONGEST_WALK) {
        piece(mem, place, bucket, true)?;
        let word = mem.word(place.offset + bucket * 8)?;
        let mut seen = word.load(Ordering::Acquire);
        if seen == 0 {
            if seeded(Seed::NameInsertedByStore) {
                seen = word.load(Ordering::Acquire);
            }
            match word.compare_exchange(seen, mine, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(record),
                Err(other) => seen = other,
            }
        }
        if seen & !0xffff_ffff == tag(hash) {
            let other = record_of(seen)?;
            if is(other)? {
                return Ok(other);
            }
        }
        bucket = (bucket + 1) % place.buckets;
    }
    Err(TableError::corrupt("set", place.buckets))
}

fn record_of(bucket: u64) -> Result<u32> {
    (bucket as u32)
        .checked_sub(1)
        .ok_or(TableError::corrupt("bucket", bucket))
}
