//! Room in staging: which jobs may have their inputs there at the same time.
//!
//! A job is admitted with all its inputs and its scratch directory, or not yet. So what was begun
//! can always be finished, and no two jobs can wait for each other's room: when the last admitted
//! job has ended nobody holds anything, and any job is admitted once all else is recycled. What an admitted
//! job holds is never recycled; what nobody holds any more stays as long as there is room.
//!
//! Pure: slots and jobs are numbers, and the caller removes what is to be recycled.

use std::collections::{BTreeMap, HashMap};

/// Files take whole blocks.
const BLOCK: u64 = 4096;
/// What a file needs besides its bytes: its directories, and the record of what has landed.
const BESIDE: u64 = 2 * BLOCK;

/// The answer to a job that asks for room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It has it.
    Admitted,
    /// It has it when these slots, which nobody holds, are recycled: then it is to ask again.
    MustRecycle(Vec<u32>),
    /// It has to wait until an admitted job ends.
    Full,
}

/// A slot whose bytes stand in staging, or will.
#[derive(Clone, Copy, Debug)]
struct Kept {
    bytes: u64,
    /// Admitted jobs that need it.
    holders: u32,
    /// When the last of them let it go.
    since: u64,
}

/// An admitted job.
#[derive(Clone, Debug)]
struct Admitted {
    slots: Vec<u32>,
    scratch: u64,
}

/// Who has which room in staging.
#[derive(Clone, Debug, Default)]
pub struct Room {
    limit: Option<u64>,
    used: u64,
    kept: HashMap<u32, Kept>,
    /// Slots that nobody holds, by the time since when.
    idle: BTreeMap<u64, u32>,
    jobs: HashMap<u32, Admitted>,
    ticks: u64,
}

impl Room {
    /// Room for everything: nothing is counted.
    pub fn unlimited() -> Room {
        Room::default()
    }

    /// Room for so many bytes.
    pub fn limited(bytes: u64) -> Room {
        Room {
            limit: Some(bytes),
            ..Room::default()
        }
    }

    /// The bytes of staging that an object of this size takes at most.
    fn of_object(bytes: u64) -> u64 {
        let blocks = bytes.div_ceil(BLOCK).saturating_mul(BLOCK);
        blocks.saturating_add(BESIDE)
    }

    /// Whether a job has room when there is no other: its inputs, each with its slot and its size
    /// in bytes, and so many bytes of scratch. Directories, and what is left of the last block, do
    /// not count here: a job of exactly the limit may be done.
    pub fn fits_alone(limit: u64, inputs: &[(u32, u64)], scratch: u64) -> bool {
        let bytes = unique(inputs).map(|(_, bytes)| bytes);
        bytes.fold(scratch, u64::saturating_add) <= limit
    }

    /// The limit in bytes; `None` where there is none.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Bytes that are taken, or kept for what was admitted.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Asks for room for a job: for its inputs, each with its slot and its size in bytes, and for
    /// so many bytes of scratch. A job that is admitted already stays as it is. One that does not
    /// [fit alone](Room::fits_alone) is not to ask: it would be admitted alone.
    pub fn admit(&mut self, job: u32, inputs: &[(u32, u64)], scratch: u64) -> Admission {
        let Some(limit) = self.limit else {
            return Admission::Admitted;
        };
        if self.jobs.contains_key(&job) {
            return Admission::Admitted;
        }
        let mut needed = of_scratch(scratch);
        for (slot, bytes) in unique(inputs) {
            let there = self.kept.get(&slot).map_or(0, |kept| kept.bytes);
            let more = Room::of_object(bytes).saturating_sub(there);
            needed = needed.saturating_add(more);
        }
        let over = self.used.saturating_add(needed).saturating_sub(limit);
        if over == 0 {
            self.take(job, inputs, scratch);
            return Admission::Admitted;
        }
        let (mut freed, mut recycle) = (0, Vec::new());
        for slot in self.idle.values() {
            if inputs.iter().any(|(input, _)| input == slot) {
                continue;
            }
            freed += self.kept.get(slot).map_or(0, |kept| kept.bytes);
            recycle.push(*slot);
            if freed >= over {
                return Admission::MustRecycle(recycle);
            }
        }
        if !self.jobs.is_empty() {
            return Admission::Full;
        }
        if !recycle.is_empty() {
            return Admission::MustRecycle(recycle);
        }
        self.take(job, inputs, scratch);
        Admission::Admitted
    }

    /// Takes over a job that was admitted before this value was made, whatever room there is.
    pub fn resume(&mut self, job: u32, inputs: &[(u32, u64)], scratch: u64) {
        if self.limit.is_some() && !self.jobs.contains_key(&job) {
            self.take(job, inputs, scratch);
        }
    }

    fn take(&mut self, job: u32, inputs: &[(u32, u64)], scratch: u64) {
        let scratch = of_scratch(scratch);
        let mut slots = Vec::with_capacity(inputs.len());
        self.used = self.used.saturating_add(scratch);
        for (slot, bytes) in unique(inputs) {
            let kept = self.kept.entry(slot).or_insert(Kept {
                bytes: 0,
                holders: 0,
                since: 0,
            });
            let all = Room::of_object(bytes).max(kept.bytes);
            self.used = self.used.saturating_add(all - kept.bytes);
            kept.bytes = all;
            if kept.holders == 0 {
                self.idle.remove(&kept.since);
            }
            kept.holders += 1;
            slots.push(slot);
        }
        self.jobs.insert(job, Admitted { slots, scratch });
    }

    /// An admitted job has ended: its scratch directory is gone. Gives the slots that no admitted
    /// job holds any more; they stay until they are recycled.
    pub fn ended(&mut self, job: u32) -> Vec<u32> {
        let Some(job) = self.jobs.remove(&job) else {
            return Vec::new();
        };
        self.used = self.used.saturating_sub(job.scratch);
        let mut free = Vec::new();
        for slot in job.slots {
            let Some(kept) = self.kept.get_mut(&slot) else {
                continue;
            };
            kept.holders = kept.holders.saturating_sub(1);
            if kept.holders == 0 {
                self.ticks += 1;
                kept.since = self.ticks;
                self.idle.insert(self.ticks, slot);
                free.push(slot);
            }
        }
        free
    }

    /// So many bytes of a slot that nobody holds stand in staging, from an earlier run.
    pub fn present(&mut self, slot: u32, bytes: u64) {
        if self.limit.is_none() || self.kept.contains_key(&slot) {
            return;
        }
        let bytes = Room::of_object(bytes);
        self.used = self.used.saturating_add(bytes);
        self.ticks += 1;
        self.idle.insert(self.ticks, slot);
        let kept = Kept {
            bytes,
            holders: 0,
            since: self.ticks,
        };
        self.kept.insert(slot, kept);
    }

    /// A slot that nobody holds was removed from staging. One that somebody holds stays counted.
    pub fn recycled(&mut self, slot: u32) {
        if let Some(kept) = self.kept.get(&slot).filter(|kept| kept.holders == 0) {
            self.used = self.used.saturating_sub(kept.bytes);
            self.idle.remove(&kept.since);
            self.kept.remove(&slot);
        }
    }

    /// An admitted job was seen to use so many bytes of scratch: more than it was admitted with is
    /// counted from now on.
    pub fn uses(&mut self, job: u32, scratch: u64) {
        if let Some(job) = self.jobs.get_mut(&job) {
            let more = of_scratch(scratch).saturating_sub(job.scratch);
            job.scratch += more;
            self.used = self.used.saturating_add(more);
        }
    }

    /// Slots that nobody holds, to be recycled because more is used than may be.
    pub fn over(&self) -> Vec<u32> {
        let mut over = self.used.saturating_sub(self.limit.unwrap_or(u64::MAX));
        let mut recycle = Vec::new();
        for slot in self.idle.values() {
            if over == 0 {
                break;
            }
            over = over.saturating_sub(self.kept.get(slot).map_or(0, |kept| kept.bytes));
            recycle.push(*slot);
        }
        recycle
    }

    /// A slot that nobody holds cannot be recycled now, since it is on its way: it stays counted,
    /// and is not named until it has [arrived](Room::arrived).
    pub fn on_its_way(&mut self, slot: u32) {
        if let Some(kept) = self.kept.get(&slot).filter(|kept| kept.holders == 0) {
            self.idle.remove(&kept.since);
        }
    }

    /// A slot that was on its way can be recycled from now on; whether nobody holds it.
    pub fn arrived(&mut self, slot: u32) -> bool {
        let Some(kept) = self.kept.get_mut(&slot).filter(|kept| kept.holders == 0) else {
            return false;
        };
        self.idle.remove(&kept.since);
        self.ticks += 1;
        kept.since = self.ticks;
        self.idle.insert(self.ticks, slot);
        true
    }

    /// Whether a job is admitted.
    pub fn is_admitted(&self, job: u32) -> bool {
        self.jobs.contains_key(&job)
    }

    /// The jobs that are admitted, in no order.
    pub fn jobs(&self) -> impl Iterator<Item = u32> + '_ {
        self.jobs.keys().copied()
    }

    /// Whether an admitted job may hold this slot.
    pub fn holds(&self, slot: u32) -> bool {
        let held = || self.kept.get(&slot).is_some_and(|kept| kept.holders > 0);
        self.limit.is_none() || held()
    }
}

/// The scratch directory itself takes a block.
fn of_scratch(bytes: u64) -> u64 {
    bytes.saturating_add(BLOCK)
}

/// Each slot once.
fn unique(inputs: &[(u32, u64)]) -> impl Iterator<Item = (u32, u64)> + '_ {
    inputs.iter().enumerate().filter_map(|(at, (slot, bytes))| {
        let before = inputs.get(..at).unwrap_or_default();
        (!before.iter().any(|(other, _)| other == slot)).then_some((*slot, *bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeSet, VecDeque};

    const M: u64 = 1 << 20;

    fn limit(objects: u64) -> u64 {
        objects * Room::of_object(M) + 10 * BLOCK
    }

    #[test]
    fn a_job_has_all_its_room_or_none() {
        let mut room = Room::limited(limit(3));
        assert_eq!(room.admit(0, &[(1, M), (2, M)], 0), Admission::Admitted);
        let used = room.used();
        assert_eq!(room.admit(1, &[(3, M), (4, M)], 0), Admission::Full);
        assert_eq!(room.used(), used);
        // What is there already needs no room, and the same job no more.
        assert_eq!(room.admit(2, &[(1, M), (3, M)], 0), Admission::Admitted);
        let used = room.used();
        assert_eq!(room.admit(2, &[(1, M), (3, M)], 0), Admission::Admitted);
        assert_eq!(room.used(), used);
        assert_eq!(room.ended(0), [2]);
        assert_eq!(
            room.admit(1, &[(4, M)], 0),
            Admission::MustRecycle(vec![2]),
            "what nobody holds stays until the room is needed"
        );
        room.recycled(2);
        assert_eq!(room.admit(1, &[(4, M)], 0), Admission::Admitted);
        room.recycled(4);
        assert!(room.holds(4), "what is held is not recycled");
    }

    #[test]
    fn what_was_let_go_first_is_recycled_first_and_no_input_is() {
        let mut room = Room::limited(limit(3));
        room.present(9, M);
        for (job, slot) in [(0, 1), (1, 2)] {
            assert_eq!(room.admit(job, &[(slot, M)], 0), Admission::Admitted);
        }
        assert_eq!(room.ended(1), [2]);
        assert_eq!(room.ended(0), [1]);
        let two = [(9, M), (3, M)];
        assert_eq!(room.admit(2, &two, 0), Admission::MustRecycle(vec![2]));
        assert_eq!(
            room.admit(3, &[(3, M), (4, M)], 0),
            Admission::MustRecycle(vec![9, 2])
        );
    }

    #[test]
    fn what_landed_in_part_counts_in_part_until_its_job_is_admitted() {
        let mut room = Room::limited(limit(2));
        room.present(1, M / 2);
        let half = room.used();
        assert_eq!(room.admit(0, &[(1, M)], 0), Admission::Admitted);
        assert!(room.used() > half && room.used() < limit(2));
        room.ended(0);
        room.recycled(1);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn scratch_counts_as_declared_and_as_seen() {
        let mut room = Room::limited(4 * M);
        assert_eq!(room.admit(0, &[], 2 * M), Admission::Admitted);
        assert_eq!(room.admit(1, &[], 2 * M), Admission::Full);
        assert_eq!(room.admit(1, &[], M), Admission::Admitted);
        room.uses(1, 3 * M);
        assert!(room.used() > 4 * M);
        room.uses(1, M);
        room.ended(0);
        assert_eq!(room.admit(2, &[], M), Admission::Full);
        room.ended(1);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn what_is_on_its_way_counts_and_is_recycled_later() {
        let mut room = Room::limited(limit(2));
        assert_eq!(room.admit(0, &[(1, M), (2, M)], 0), Admission::Admitted);
        assert_eq!(room.ended(0), [1, 2]);
        room.on_its_way(1);
        assert_eq!(room.admit(1, &[(3, M)], 0), Admission::MustRecycle(vec![2]));
        room.recycled(2);
        assert_eq!(room.admit(1, &[(3, M)], 0), Admission::Admitted);
        assert!(room.over().is_empty() && room.admit(2, &[(4, M)], 0) == Admission::Full);
        assert!(room.arrived(1) && !room.arrived(3));
        assert_eq!(room.admit(2, &[(4, M)], 0), Admission::MustRecycle(vec![1]));
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let mut room = Room::unlimited();
        assert_eq!(
            room.admit(0, &[(1, u64::MAX)], u64::MAX),
            Admission::Admitted
        );
        room.present(2, u64::MAX);
        room.uses(0, 5);
        assert_eq!((room.used(), room.ended(0)), (0, vec![]));
    }

    /// A job of the simulation: its inputs, and its scratch.
    type Job = (Vec<(u32, u64)>, u64);

    fn jobs() -> impl Strategy<Value = Vec<Job>> {
        let sizes = prop::collection::vec(0u64..2 * M, 24);
        let inputs = prop::collection::vec(0u32..24, 0..6);
        let jobs = prop::collection::vec((inputs, 0u64..M), 1..40);
        (sizes, jobs).prop_map(|(sizes, jobs)| {
            let of = |slot: u32| (slot, sizes[slot as usize]);
            let jobs = jobs.into_iter();
            jobs.map(|(inputs, scratch)| (inputs.into_iter().map(of).collect(), scratch))
                .collect()
        })
    }

    proptest! {
        /// Jobs ask in any order and end in any order. What is on the disk, seen from outside, is
        /// never more than the limit, and every job that fits alone is done.
        #[test]
        fn never_over_the_limit_and_never_stuck(
            jobs in jobs(),
            share in 0u64..=100,
            dice in prop::collection::vec(any::<u32>(), 400),
            left in prop::collection::vec((0u32..24, 0u64..2 * M), 0..5),
        ) {
            let needs: Vec<u64> = jobs
                .iter()
                .map(|(inputs, scratch)| {
                    unique(inputs).map(|(_, bytes)| bytes).sum::<u64>() + scratch
                })
                .collect();
            let (least, most) = (needs.iter().max().unwrap(), needs.iter().sum::<u64>());
            // From just enough for the largest to enough for all.
            let limit = least + (most - least) * share / 100 / 4;
            let all = jobs.iter().all(|(inputs, scratch)| Room::fits_alone(limit, inputs, *scratch));
            prop_assert!(all);
            let mut room = Room::limited(limit);
            let mut disk: HashMap<u32, u64> = HashMap::new();
            for (slot, bytes) in left {
                let size = jobs.iter().flat_map(|(inputs, _)| inputs).find(|(s, _)| *s == slot);
                let bytes = bytes.min(size.map_or(bytes, |(_, size)| *size));
                if room.used() + Room::of_object(bytes) <= limit && !disk.contains_key(&slot) {
                    room.present(slot, bytes);
                    disk.insert(slot, bytes);
                }
            }
            let mut dice = dice.into_iter().cycle();
            let mut roll = |n: usize| dice.next().unwrap() as usize % n.max(1);
            let mut waiting: VecDeque<usize> = (0..jobs.len()).collect();
            let mut running: BTreeSet<usize> = BTreeSet::new();
            let mut done = 0;
            while done < jobs.len() {
                let mut moved = false;
                for _ in 0..roll(6) {
                    let Some(job) = waiting.get(roll(waiting.len().min(4))).copied() else { break };
                    let (inputs, scratch) = &jobs[job];
                    match room.admit(job as u32, inputs, *scratch) {
                        Admission::Admitted => {
                            waiting.retain(|other| *other != job);
                            running.insert(job);
                            disk.extend(inputs.iter().copied());
                        }
                        Admission::MustRecycle(slots) => {
                            for slot in slots {
                                prop_assert!(!room.holds(slot));
                                prop_assert!(disk.remove(&slot).is_some());
                                room.recycled(slot);
                            }
                            let again = room.admit(job as u32, inputs, *scratch);
                            prop_assert_eq!(again, Admission::Admitted);
                            waiting.retain(|other| *other != job);
                            running.insert(job);
                            disk.extend(inputs.iter().copied());
                        }
                        Admission::Full => prop_assert!(!running.is_empty(), "stuck"),
                    }
                    moved = true;
                    let scratch: u64 = running.iter().map(|job| jobs[*job].1).sum();
                    let bytes: u64 = disk.values().sum();
                    prop_assert!(bytes + scratch <= limit);
                    prop_assert!(room.used() <= limit || running.len() == 1);
                }
                if !running.is_empty() && (roll(2) == 0 || !moved || waiting.is_empty()) {
                    let job = *running.iter().nth(roll(running.len())).unwrap();
                    running.remove(&job);
                    for slot in room.ended(job as u32) {
                        // Some at once, some when the room is needed.
                        if roll(3) == 0 {
                            prop_assert!(disk.remove(&slot).is_some());
                            room.recycled(slot);
                        }
                    }
                    done += 1;
                }
            }
            prop_assert_eq!(room.jobs().count(), 0);
        }
    }
}
