//! Cutting what is missing of an object into parts.

use std::collections::VecDeque;

use crate::values::ByteRange;

use super::control::PART_BYTES;

/// The parts of an object that have not landed, in order. `landed` is sorted, its ranges do not
/// touch, and they begin and end on grains or at the object's end.
pub(super) fn missing(size: u64, landed: &[ByteRange]) -> VecDeque<ByteRange> {
    let mut parts = VecDeque::new();
    let mut at = 0;
    let end = ByteRange::new(size, size);
    for have in landed.iter().copied().chain(std::iter::once(end)) {
        let gap_end = have.start.min(size);
        while at < gap_end {
            let part = ByteRange::new(at, gap_end.min(at + PART_BYTES));
            parts.push_back(part);
            at = part.end;
        }
        at = at.max(have.end);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_landed_ranges_are_the_whole_object() {
        const M: u64 = 1 << 20;
        assert!(missing(0, &[]).is_empty());
        assert_eq!(missing(1, &[]), [ByteRange::new(0, 1)]);
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
            let parts = missing(size, &landed);
            let mut all: Vec<_> = parts.iter().copied().chain(landed).collect();
            all.sort_by_key(|r| r.start);
            assert!(all.windows(2).all(|w| w[0].end == w[1].start));
            assert_eq!((all[0].start, all[all.len() - 1].end), (0, size));
            assert!(parts.iter().all(|p| p.len() <= PART_BYTES && !p.is_empty()));
        }
    }
}
