//! In which parts an object may have been uploaded.
//!
//! A sum of parts says how many there were and not how large they were. All but the last have one
//! size, which is a round number: so the number of parts leaves few sizes, often one. If one of
//! them gives the sum, the bytes are right. If none does, that proves nothing.

/// Sizes that tools upload with, in MiB, the most usual first.
const USUAL: [u64; 17] = [
    8, 5, 16, 64, 10, 100, 50, 32, 15, 20, 25, 128, 256, 512, 1024, 6, 12,
];
const MIB: u64 = 1 << 20;
/// How many sizes are tried for one object: each costs a pass over its bytes.
const TRIED: usize = 3;
/// Objects in a row that no size fitted, after which no more are tried.
const PATIENCE: u32 = 8;

/// What is known of the sizes with which the store's objects were uploaded.
#[derive(Debug, Default)]
pub(super) struct PartSizes {
    /// The one that fitted last.
    last: Option<u64>,
    /// Objects since then that none fitted.
    misses: u32,
}

impl PartSizes {
    /// The sizes that `parts` parts of an object of `size` bytes may have had, the likeliest
    /// first; none where it is not worth trying.
    pub fn likely(&self, size: u64, parts: u32) -> Vec<u64> {
        let fits = |part: u64| part > 0 && size.div_ceil(part) == u64::from(parts);
        if self.misses >= PATIENCE {
            return Vec::new();
        }
        if parts == 1 {
            return vec![size.max(1)];
        }
        let usual = USUAL.iter().map(|mib| mib * MIB);
        let mut sizes: Vec<u64> = self
            .last
            .into_iter()
            .chain(usual)
            .filter(|s| fits(*s))
            .collect();
        let mut seen = std::collections::HashSet::new();
        sizes.retain(|size| seen.insert(*size));
        // What the number of parts leaves, where that is a single whole number of MiB.
        let most = size.div_ceil(MIB).div_ceil(u64::from(parts));
        if sizes.is_empty() && fits(most * MIB) {
            sizes.push(most * MIB);
        }
        sizes.truncate(TRIED);
        sizes
    }

    /// Takes in that a size fitted, or that none of those tried did.
    pub fn learn(&mut self, fitted: Option<u64>) {
        match fitted {
            Some(size) => {
                *self = PartSizes {
                    last: Some(size),
                    misses: 0,
                }
            }
            None => self.misses += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_parts_leaves_few_sizes() {
        let mut sizes = PartSizes::default();
        assert_eq!(sizes.likely(20 * MIB, 3), [8 * MIB]);
        assert_eq!(sizes.likely(100, 1), [100]);
        assert_eq!(sizes.likely(100 * MIB, 2), [64 * MIB, 50 * MIB]);
        assert_eq!(sizes.likely(20 * 29 * MIB, 20), [29 * MIB]);
        assert!(sizes.likely(10, 3).is_empty());
        sizes.learn(Some(50 * MIB));
        assert_eq!(sizes.likely(100 * MIB, 2), [50 * MIB, 64 * MIB]);
        for _ in 0..PATIENCE {
            sizes.learn(None);
        }
        assert!(sizes.likely(100 * MIB, 2).is_empty());
    }
}
