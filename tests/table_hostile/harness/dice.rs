//! A small generator of numbers (SplitMix64), so that a case follows from its number.

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64, case: u64) -> Dice {
        let mut dice = Dice(seed ^ case.wrapping_mul(0xd134_2543_de82_ef95));
        dice.next();
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    pub fn shuffle<T>(&mut self, what: &mut [T]) {
        for i in (1..what.len()).rev() {
            what.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}
