//! Something over time, in equal bins: how many spans cover each.

/// Sums over time. A span costs the same however long it is.
#[derive(Clone, Debug)]
pub struct Profile {
    seconds: f64,
    /// What covers a part of a bin.
    partly: Vec<f64>,
    /// By how much more covers whole bins from here on.
    change: Vec<f64>,
}

impl Profile {
    /// So many bins of so many seconds together.
    pub fn new(seconds: f64, bins: usize) -> Profile {
        Profile {
            seconds: seconds.max(1e-9),
            partly: vec![0.0; bins.max(1)],
            change: vec![0.0; bins.max(1) + 1],
        }
    }

    /// Adds a height from one time to another.
    pub fn add(&mut self, from: f64, to: f64, height: f64) {
        let bins = self.partly.len();
        let place = |at: f64| (at / self.seconds * bins as f64).clamp(0.0, bins as f64);
        let (from, to) = (place(from), place(to));
        if to <= from || !height.is_finite() {
            return;
        }
        let first = (from as usize).min(bins - 1);
        let last = (to as usize).min(bins - 1);
        if first == last {
            self.partly[first] += (to - from) * height;
            return;
        }
        self.partly[first] += (first as f64 + 1.0 - from) * height;
        self.partly[last] += (to - last as f64) * height;
        self.change[first + 1] += height;
        self.change[last] -= height;
    }

    /// Adds an amount that came from one time to another; all at once if that is one time.
    pub fn spread(&mut self, from: f64, to: f64, amount: f64) {
        let least = self.seconds / self.partly.len() as f64 / 1000.0;
        // At the very end it would be outside.
        let from = from.min(self.seconds - least);
        let to = to.min(self.seconds).max(from + least);
        self.add(from, to, amount / (to - from));
    }

    /// The mean height of each bin.
    pub fn means(&self) -> Vec<f64> {
        let mut whole = 0.0;
        let bins = self.partly.iter().zip(&self.change);
        bins.map(|(partly, change)| {
            whole += change;
            (partly + whole).max(0.0)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_cover_bins_and_parts_of_them() {
        let mut profile = Profile::new(4.0, 4);
        profile.add(0.5, 3.25, 2.0);
        profile.add(1.25, 1.5, 4.0);
        profile.add(9.0, 12.0, 1.0);
        profile.add(2.0, 2.0, 1.0);
        assert_eq!(profile.means(), [1.0, 3.0, 2.0, 0.5]);
        let mut profile = Profile::new(4.0, 4);
        profile.spread(4.0, 4.0, 8.0);
        profile.spread(0.0, 2.0, 6.0);
        let means = profile.means();
        assert!(
            (means[3] - 8.0).abs() < 1e-6 && means[..2] == [3.0, 3.0],
            "{means:?}"
        );
    }
}
