//! Numbers for what goes on at the same time: each takes the lowest that is free.

/// Which numbers are taken.
#[derive(Debug, Default)]
pub struct Lanes {
    taken: Vec<bool>,
}

impl Lanes {
    /// Takes the lowest free one; the second value says whether it is a new one.
    pub fn take(&mut self) -> (u32, bool) {
        if let Some(free) = self.taken.iter().position(|taken| !taken) {
            self.taken[free] = true;
            return (free as u32, false);
        }
        self.taken.push(true);
        (self.taken.len() as u32 - 1, true)
    }

    /// Gives one back.
    pub fn give(&mut self, lane: u32) {
        if let Some(taken) = self.taken.get_mut(lane as usize) {
            *taken = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_lane_is_taken() {
        let mut lanes = Lanes::default();
        assert_eq!([lanes.take(), lanes.take()], [(0, true), (1, true)]);
        lanes.give(0);
        assert_eq!([lanes.take(), lanes.take()], [(0, false), (2, true)]);
    }
}
