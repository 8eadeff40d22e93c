//! What is known of the two stages: bytes per second of the network, and seconds per byte of each
//! task.

use std::collections::{BTreeMap, HashMap};

/// So many of a task's jobs are remembered: the median of them is not moved by a few that took
/// unusually long, and follows when all take longer than before.
const REMEMBERED: usize = 31;

/// Costs as they were learnt so far; nothing is known at first.
#[derive(Debug, Default)]
pub struct Costs {
    network: Option<f64>,
    tasks: HashMap<u32, Task>,
}

#[derive(Debug, Default)]
struct Task {
    /// Seconds per byte of the last jobs, the oldest overwritten first.
    last: Vec<f64>,
    next: usize,
    median: f64,
}

/// Bytes to be processed, by task.
#[derive(Debug, Default)]
pub(super) struct Load(BTreeMap<u32, u64>);

impl Load {
    pub fn add(&mut self, task: u32, bytes: u64) {
        let all = self.0.entry(task).or_default();
        *all = all.saturating_add(bytes);
    }

    pub fn take(&mut self, task: u32, bytes: u64) {
        if let Some(all) = self.0.get_mut(&task) {
            *all = all.saturating_sub(bytes);
        }
    }

    /// Of all tasks together.
    pub fn bytes(&self) -> u64 {
        self.0
            .values()
            .fold(0, |all, bytes| all.saturating_add(*bytes))
    }
}

impl Costs {
    /// A job of a task has taken so many seconds for inputs of so many bytes. What cannot be is
    /// passed over.
    pub fn learn(&mut self, task: u32, bytes: u64, seconds: f64) {
        let cost = seconds / bytes as f64;
        if bytes == 0 || !cost.is_finite() || cost < 0.0 {
            return;
        }
        let task = self.tasks.entry(task).or_default();
        if task.last.len() < REMEMBERED {
            task.last.push(cost);
        } else if let Some(oldest) = task.last.get_mut(task.next) {
            *oldest = cost;
            task.next = (task.next + 1) % REMEMBERED;
        }
        let mut sorted = task.last.clone();
        sorted.sort_by(f64::total_cmp);
        task.median = sorted.get(sorted.len() / 2).copied().unwrap_or(cost);
    }

    /// Bytes come at this rate per second.
    pub fn network(&mut self, bytes_per_second: f64) {
        if bytes_per_second.is_finite() && bytes_per_second > 0.0 {
            self.network = Some(bytes_per_second);
        }
    }

    /// Seconds per byte of a task, once one of its jobs has ended.
    pub fn of(&self, task: u32) -> Option<f64> {
        self.tasks.get(&task).map(|task| task.median)
    }

    /// Seconds that so many bytes take to come, once that is known.
    pub fn download(&self, bytes: u64) -> Option<f64> {
        Some(bytes as f64 / self.network?)
    }

    /// Seconds that one worker needs for all of a load; what is not known counts nothing.
    pub(super) fn seconds(&self, load: &Load) -> f64 {
        let tasks = load.0.iter();
        tasks
            .map(|(task, bytes)| self.of(*task).unwrap_or(0.0) * *bytes as f64)
            .sum()
    }

    /// How many times longer `workers` workers need for the bytes of a task than the network;
    /// `None` as long as either is unknown.
    pub fn balance(&self, task: u32, workers: usize) -> Option<f64> {
        Some(self.of(task)? * self.network? / workers.max(1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_slow_jobs_do_not_count_and_a_lasting_change_does() {
        let mut costs = Costs::default();
        assert_eq!(costs.of(1), None);
        for n in 0..40 {
            let seconds = if n % 5 == 0 { 900.0 } else { 2.0 };
            costs.learn(1, 1000, seconds);
        }
        assert_eq!(costs.of(1), Some(0.002));
        assert_eq!(costs.balance(1, 4), None);
        costs.network(8000.0);
        assert_eq!(costs.balance(1, 4), Some(4.0));
        for _ in 0..16 {
            costs.learn(1, 1000, 5.0);
        }
        assert_eq!(costs.of(1), Some(0.005));
        assert_eq!(costs.of(2), None);
    }

    #[test]
    fn nonsense_teaches_nothing() {
        let mut costs = Costs::default();
        costs.learn(0, 0, 1.0);
        costs.learn(0, 1, f64::NAN);
        costs.learn(0, 1, -1.0);
        costs.network(0.0);
        costs.network(f64::INFINITY);
        assert_eq!((costs.of(0), costs.network), (None, None));
    }
}
