//! The raw layer: words of the mapping by offset, memory taken before it is touched, and texts.

use std::io;
use std::sync::Arc;

use crate::sys::mapping::Mapping;
use crate::sys::sync::{AtomicU64, Ordering};

use super::error::{Result, TableError};
use super::layout::{Counter, Layout, Region, STEP, header};

/// The mapping with its layout; shared by all handles of one process.
#[derive(Clone)]
pub(crate) struct Mem {
    map: Arc<Mapping>,
    pub layout: Layout,
}

/// A text in the table: its first word and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TextRef {
    pub word: u64,
    pub len: usize,
}

impl TextRef {
    /// The bits of the offset in a packed reference; the length takes the 24 above.
    const WORD_BITS: u32 = 40;

    pub fn pack(self) -> u64 {
        self.word | (self.len as u64) << TextRef::WORD_BITS
    }

    pub fn unpack(bits: u64) -> TextRef {
        TextRef {
            word: bits & ((1 << TextRef::WORD_BITS) - 1),
            len: (bits >> TextRef::WORD_BITS) as usize,
        }
    }
}

impl Mem {
    pub fn new(map: Mapping, layout: Layout) -> Mem {
        Mem {
            map: Arc::new(map),
            layout,
        }
    }

    pub fn map(&self) -> &Mapping {
        &self.map
    }

    /// The word at a byte offset.
    #[inline]
    pub fn word(&self, offset: u64) -> Result<&AtomicU64> {
        self.map.word(offset).ok_or(TableError::Corrupt {
            what: "offset",
            value: offset,
        })
    }

    /// Refuses the move on a read-only attachment.
    #[inline]
    pub fn writable(&self) -> Result<()> {
        if self.map.writable() {
            Ok(())
        } else {
            Err(TableError::ReadOnly)
        }
    }

    /// How far a counter has come. More than its capacity cannot be.
    #[inline]
    pub fn count(&self, counter: Counter) -> Result<u64> {
        let n = self
            .word(header::COUNTERS + counter as u64 * 8)?
            .load(Ordering::Acquire);
        if n > self.layout.capacity(counter) {
            return Err(TableError::corrupt("count", n));
        }
        Ok(n)
    }

    /// Errors if a counter has no room for `n` more, or no memory can be had for them; arguments
    /// as for [`Mem::bump`], which takes them afterwards.
    #[inline]
    pub fn room(&self, counter: Counter, n: u64, region: Region, size: u64) -> Result<()> {
        let limit = self.layout.capacity(counter);
        let now = self.count(counter)?;
        if n > limit - now {
            let what = what(counter);
            return Err(TableError::Full { what, limit });
        }
        self.back(region, (now + n) * size)
    }

    /// Errors if there is no room or no memory for texts of these lengths together.
    #[inline]
    pub fn room_for_texts(&self, lengths: &[usize]) -> Result<()> {
        let words = lengths.iter().map(|len| (*len as u64).div_ceil(8)).sum();
        self.room(Counter::TextWords, words, Region::Text, 8)
    }

    /// Hands out the next `n` numbers of a counter and takes memory for them in `region`, of
    /// whose bytes each number needs `size`. A death between the two costs the numbers only.
    pub fn bump(&self, counter: Counter, n: u64, region: Region, size: u64) -> Result<u64> {
        self.bump_with(counter, n, |end| self.back(region, end * size))
    }

    /// [`Mem::bump`] with `back` taking the memory for all numbers below the one it is given.
    pub fn bump_with(
        &self,
        counter: Counter,
        n: u64,
        back: impl Fn(u64) -> Result<()>,
    ) -> Result<u64> {
        let word = self.word(header::COUNTERS + counter as u64 * 8)?;
        let limit = self.layout.capacity(counter);
        let mut now = self.count(counter)?;
        loop {
            if n > limit - now {
                return Err(TableError::Full {
                    what: what(counter),
                    limit,
                });
            }
            let end = now + n;
            // Memory first: whatever is below the counter can be read without a fault.
            back(end)?;
            match word.compare_exchange_weak(now, end, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(now),
                Err(seen) if seen > limit => return Err(TableError::corrupt("count", seen)),
                Err(seen) => now = seen,
            }
        }
    }

    /// Makes sure that the first `upto` bytes of a region have memory.
    #[inline]
    pub fn back(&self, region: Region, upto: u64) -> Result<()> {
        let mark = self.word(header::BACKED + region as u64 * 8)?;
        let has = mark.load(Ordering::Acquire);
        if upto <= has {
            return Ok(());
        }
        self.grow(region, mark, has, upto)
    }

    #[cold]
    fn grow(&self, region: Region, mark: &AtomicU64, has: u64, upto: u64) -> Result<()> {
        let place = self.layout.region(region);
        if has > place.bytes || upto > place.bytes {
            return Err(TableError::corrupt("region", upto));
        }
        // Steps grow with the region so that the calls stay few.
        let want = upto.max(has + STEP.max(has / 8)).min(place.bytes);
        self.take(place.offset + has, want - has, "records")?;
        mark.fetch_max(want, Ordering::AcqRel);
        Ok(())
    }

    /// Takes memory for some bytes of the mapping.
    pub fn take(&self, offset: u64, bytes: u64, what: &'static str) -> Result<()> {
        self.map
            .back(offset, bytes)
            .map_err(|source: io::Error| TableError::NoMemory { what, source })
    }

    /// Copies a text into the table.
    pub fn put_text(&self, text: &[u8]) -> Result<TextRef> {
        let words = (text.len() as u64).div_ceil(8);
        let first = self.bump(Counter::TextWords, words, Region::Text, 8)?;
        self.put_text_at(first, text)
    }

    /// Copies a text to words that were handed out for it.
    pub fn put_text_at(&self, first: u64, text: &[u8]) -> Result<TextRef> {
        let base = self.layout.region(Region::Text).offset + first * 8;
        for (i, chunk) in text.chunks(8).enumerate() {
            self.word(base + i as u64 * 8)?
                .store(pack(chunk), Ordering::Relaxed);
        }
        Ok(TextRef {
            word: first,
            len: text.len(),
        })
    }

    fn text_base(&self, text: TextRef, max: usize) -> Result<u64> {
        let words = (text.len as u64).div_ceil(8);
        let used = self.count(Counter::TextWords)?;
        if text.len > max || text.word.checked_add(words).is_none_or(|end| end > used) {
            return Err(TableError::corrupt("text", text.pack()));
        }
        Ok(self.layout.region(Region::Text).offset + text.word * 8)
    }

    /// Copies a text of at most `max` bytes out of the table.
    pub fn text(&self, text: TextRef, max: usize) -> Result<Vec<u8>> {
        let base = self.text_base(text, max)?;
        let mut out = Vec::with_capacity(text.len + 8);
        for i in 0..(text.len as u64).div_ceil(8) {
            out.extend_from_slice(
                &self
                    .word(base + i * 8)?
                    .load(Ordering::Relaxed)
                    .to_le_bytes(),
            );
        }
        out.truncate(text.len);
        Ok(out)
    }

    /// Whether a text in the table is this one.
    pub fn text_is(&self, text: TextRef, other: &[u8]) -> Result<bool> {
        if text.len != other.len() {
            return Ok(false);
        }
        let base = self.text_base(text, usize::MAX)?;
        for (i, chunk) in other.chunks(8).enumerate() {
            if self.word(base + i as u64 * 8)?.load(Ordering::Relaxed) != pack(chunk) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Up to eight bytes as a little-endian word, filled with zeros.
#[inline]
fn pack(chunk: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..chunk.len()].copy_from_slice(chunk);
    u64::from_le_bytes(bytes)
}

fn what(counter: Counter) -> &'static str {
    match counter {
        Counter::Objects => "objects",
        Counter::Jobs => "jobs",
        Counter::Nodes => "inputs",
        Counter::TextWords => "words of text",
        Counter::GrainWords => "words of grains",
    }
}
