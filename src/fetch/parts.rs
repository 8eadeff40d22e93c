//! Cutting what is missing of an object into parts, one at a time.

use std::collections::VecDeque;

use crate::values::ByteRange;

/// What has landed of an object's bytes or was given out leaves these.
#[derive(Debug)]
pub(super) struct Gaps(VecDeque<ByteRange>);

impl Gaps {
    /// What is missing of an object. `landed` is sorted, its ranges do not touch, and they begin
    /// and end on grains or at the object's end.
    pub fn new(size: u64, landed: &[ByteRange]) -> Gaps {
        let mut gaps = VecDeque::new();
        let mut at = 0;
        for have in landed {
            if have.start > at {
                gaps.push_back(ByteRange::new(at, have.start.min(size)));
            }
            at = at.max(have.end);
        }
        if at < size {
            gaps.push_back(ByteRange::new(at, size));
        }
        Gaps(gaps)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that are left.
    pub fn bytes(&self) -> u64 {
        self.0.iter().map(|gap| gap.len()).sum()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Takes the next part of about `bytes`, a multiple of a grain. A small rest is not left to a
    /// request of its own.
    pub fn cut(&mut self, bytes: u64) -> Option<ByteRange> {
        let gap = self.0.pop_front()?;
        let bytes = bytes.max(1);
        if gap.len() <= bytes.saturating_add(bytes / 4) {
            return Some(gap);
        }
        let cut = gap.start + bytes;
        self.0.push_front(ByteRange::new(cut, gap.end));
        Some(ByteRange::new(gap.start, cut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: u64 = 1 << 20;

    #[test]
    fn parts_and_landed_ranges_are_the_whole_object() {
        assert!(Gaps::new(0, &[]).is_empty());
        for landed in [
            vec![],
            vec![ByteRange::new(0, 20 * M + 5)],
            vec![ByteRange::new(0, M), ByteRange::new(9 * M, 10 * M)],
            vec![
                ByteRange::new(3 * M, 4 * M),
                ByteRange::new(20 * M, 20 * M + 5),
            ],
        ] {
            let size = 20 * M + 5;
            let mut gaps = Gaps::new(size, &landed);
            let missing: u64 = gaps.0.iter().map(|gap| gap.len()).sum();
            let parts: Vec<_> = std::iter::from_fn(|| gaps.cut(8 * M)).collect();
            assert_eq!(parts.iter().map(|p| p.len()).sum::<u64>(), missing);
            assert!(parts.iter().all(|p| p.len() <= 10 * M && !p.is_empty()));
            let mut all: Vec<_> = parts.iter().copied().chain(landed).collect();
            all.sort_by_key(|r| r.start);
            assert!(all.windows(2).all(|w| w[0].end == w[1].start));
            assert_eq!((all[0].start, all[all.len() - 1].end), (0, size));
        }
    }

    #[test]
    fn the_size_may_change_from_cut_to_cut() {
        let mut gaps = Gaps::new(20 * M, &[]);
        let cuts = [M, 8 * M, 9 * M, M].map(|bytes| gaps.cut(bytes));
        let ends = cuts.map(|part| part.map(|part| part.end));
        assert_eq!(ends, [Some(M), Some(9 * M), Some(20 * M), None]);
    }
}
