//! The jobs in the order in which they begin, and the slots to be fetched for them.

use std::collections::{HashMap, VecDeque};

use crate::values::order::Order;

use super::costs::{Costs, Load};
use super::ranked::{First, Ranked, Rule};
use super::room::{Admission, Room};

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Fetch this slot, unless it is there or on its way already.
    Fetch(u32),
    /// This job begins: its inputs come next.
    Begin(u32),
    /// The next job fits when the bytes of these slots are evicted: see [`Agenda::recycled`].
    Recycle(Vec<u32>),
    /// There is no room for the next job until another ends.
    Full,
    /// There is nothing to do until a job is registered.
    Nothing,
}

/// Which job's inputs are fetched next. The inputs of a job that has begun are handed out before
/// another one begins.
#[derive(Debug)]
pub struct Agenda {
    plan: Plan,
    /// Slots of the jobs that have begun, to be handed out.
    handing: VecDeque<u32>,
    costs: Costs,
    room: Room,
    /// Bytes of scratch that a job of a task needs.
    scratch: HashMap<u32, u64>,
    /// What the workers still have to do: task and bytes of the jobs that have begun and not
    /// ended, and all of them together. Only where it matters.
    begun: HashMap<u32, (u32, u64)>,
    ahead: Load,
}

/// The jobs that have not begun.
#[derive(Debug)]
enum Plan {
    Given(VecDeque<First>),
    Ranked(Rule, Ranked),
}

impl Agenda {
    /// An agenda without jobs, for so many workers.
    pub fn new(order: Order, room: Room, workers: usize) -> Agenda {
        let ranked = |rule| Plan::Ranked(rule, Ranked::default());
        let plan = match order {
            Order::AsGiven => Plan::Given(VecDeque::new()),
            Order::SmallestFirst => ranked(Rule::Smallest),
            Order::Johnson => ranked(Rule::Johnson { workers }),
        };
        Agenda {
            plan,
            handing: VecDeque::new(),
            costs: Costs::default(),
            room,
            scratch: HashMap::new(),
            begun: HashMap::new(),
            ahead: Load::default(),
        }
    }

    /// Whether it has too few jobs to choose from: in the order of the plan one is enough, and in
    /// all others it has to know them all.
    pub fn wants_jobs(&self) -> bool {
        match &self.plan {
            Plan::Given(jobs) => jobs.is_empty(),
            Plan::Ranked(..) => true,
        }
    }

    /// A job was registered, with its inputs as slots and their bytes. Jobs come in the order of
    /// the plan.
    pub fn job(&mut self, job: u32, task: u32, inputs: &[(u32, u64)]) {
        match &mut self.plan {
            Plan::Given(jobs) => jobs.push_back(First {
                place: 0,
                job,
                task,
                inputs: inputs.into(),
            }),
            Plan::Ranked(_, ranked) => ranked.add(job, task, inputs),
        }
    }

    /// A job that began before this agenda was made: it has its room, and its inputs come first.
    pub fn resume(&mut self, job: u32, task: u32, inputs: &[(u32, u64)]) {
        let scratch = self.scratch_of(task, inputs);
        self.room.resume(job, inputs, scratch);
        if let Plan::Ranked(_, ranked) = &mut self.plan {
            inputs
                .iter()
                .for_each(|&(slot, bytes)| ranked.know(slot, bytes));
        }
        self.handing.extend(inputs.iter().map(|(slot, _)| *slot));
    }

    /// From now on a job of this task is admitted with so many bytes of scratch.
    pub fn scratch(&mut self, task: u32, bytes: u64) {
        self.scratch.insert(task, bytes);
    }

    /// What is expected must not keep a job out for ever that fits alone without it.
    fn scratch_of(&self, task: u32, inputs: &[(u32, u64)]) -> u64 {
        let wanted = self.scratch.get(&task).copied().unwrap_or(0);
        let Some(limit) = self.room.limit() else {
            return wanted;
        };
        let bytes = inputs.iter().map(|(_, bytes)| *bytes);
        wanted.min(limit.saturating_sub(bytes.fold(0, u64::saturating_add)))
    }

    /// The room that its jobs have.
    pub fn room(&mut self) -> &mut Room {
        &mut self.room
    }

    /// A slot is ready or has failed, or is being fetched for another reason.
    pub fn landed(&mut self, slot: u32) {
        if let Plan::Ranked(_, ranked) = &mut self.plan {
            ranked.set_missing(slot, false);
        }
    }

    /// A slot that was there is missing, and a job that has begun may need it: then it comes next.
    pub fn missing(&mut self, slot: u32) {
        if let Plan::Ranked(_, ranked) = &mut self.plan {
            ranked.set_missing(slot, true);
        }
        if self.room.holds(slot) {
            self.handing.push_front(slot);
        }
    }

    /// The bytes of a slot were evicted because [`Next::Recycle`] or [`Agenda::ended`] named it.
    pub fn recycled(&mut self, slot: u32) {
        self.room.recycled(slot);
        if let Plan::Ranked(_, ranked) = &mut self.plan {
            ranked.set_missing(slot, true);
        }
    }

    /// A job is done or has failed. Gives the slots that no job needs which has begun.
    pub fn ended(&mut self, job: u32) -> Vec<u32> {
        self.worked_off(job);
        self.room.ended(job)
    }

    /// The workers have nothing to do with a job any more; its room is another matter.
    pub fn worked_off(&mut self, job: u32) {
        if let Some((task, bytes)) = self.begun.remove(&job) {
            self.ahead.take(task, bytes);
        }
    }

    /// The jobs that have begun and not ended, where the order depends on them.
    pub fn begun(&self) -> impl Iterator<Item = u32> {
        self.begun.keys().copied()
    }

    /// What a job of a task took for inputs of so many bytes.
    pub fn learn(&mut self, task: u32, bytes: u64, seconds: f64) {
        self.costs.learn(task, bytes, seconds);
    }

    /// At which rate bytes come.
    pub fn network(&mut self, bytes_per_second: f64) {
        self.costs.network(bytes_per_second);
    }

    /// The next slot of the jobs that have begun.
    pub fn hand_out(&mut self) -> Option<u32> {
        while let Some(slot) = self.handing.pop_front() {
            if let Plan::Ranked(_, ranked) = &mut self.plan {
                if ranked.is_coming(slot) {
                    continue;
                }
                ranked.set_missing(slot, !self.room.holds(slot));
            }
            // Of a job that has ended since, and no other.
            if self.room.holds(slot) {
                return Some(slot);
            }
        }
        None
    }

    /// What is to be done next.
    pub fn next_up(&mut self) -> Next {
        match self.hand_out() {
            Some(slot) => Next::Fetch(slot),
            None => self.begin().unwrap_or(Next::Nothing),
        }
    }

    /// Begins the first job, if there is one.
    fn begin(&mut self) -> Option<Next> {
        let first = match &mut self.plan {
            Plan::Given(jobs) => jobs.front()?.clone(),
            Plan::Ranked(rule, ranked) => ranked.first(*rule, &self.costs, &self.ahead)?,
        };
        let scratch = self.scratch_of(first.task, &first.inputs);
        match self.room.admit(first.job, &first.inputs, scratch) {
            Admission::Admitted => {}
            Admission::MustRecycle(slots) => return Some(Next::Recycle(slots)),
            Admission::Full => return Some(Next::Full),
        }
        match &mut self.plan {
            Plan::Given(jobs) => drop(jobs.pop_front()),
            Plan::Ranked(rule, ranked) => {
                ranked.begin(&first);
                if let Rule::Johnson { .. } = rule {
                    let bytes = first.inputs.iter().map(|(_, bytes)| *bytes);
                    let bytes = bytes.fold(0, u64::saturating_add);
                    self.ahead.add(first.task, bytes);
                    self.begun.insert(first.job, (first.task, bytes));
                }
            }
        }
        let slots = first.inputs.iter().map(|(slot, _)| *slot);
        self.handing.extend(slots);
        Some(Next::Begin(first.job))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agenda(order: Order) -> Agenda {
        Agenda::new(order, Room::unlimited(), 2)
    }

    /// The jobs in the order in which they begin, with the slots that are fetched after each.
    fn all(agenda: &mut Agenda) -> Vec<(u32, Vec<u32>)> {
        let mut all: Vec<(u32, Vec<u32>)> = Vec::new();
        loop {
            match agenda.next_up() {
                Next::Begin(job) => all.push((job, Vec::new())),
                Next::Fetch(slot) => all.last_mut().unwrap().1.push(slot),
                Next::Nothing => return all,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn jobs_begin_as_given_with_all_their_inputs() {
        let mut agenda = agenda(Order::AsGiven);
        assert!(agenda.wants_jobs());
        agenda.job(3, 0, &[(7, 9), (8, 9)]);
        agenda.job(4, 0, &[(2, 1)]);
        assert!(!agenda.wants_jobs());
        assert_eq!(all(&mut agenda), [(3, vec![7, 8]), (4, vec![2])]);
        assert!(agenda.wants_jobs());
    }

    #[test]
    fn what_is_there_or_on_its_way_counts_for_no_job() {
        let mut agenda = agenda(Order::SmallestFirst);
        agenda.job(0, 0, &[(0, 50), (1, 50)]);
        agenda.job(1, 0, &[(1, 50), (2, 60)]);
        agenda.job(2, 1, &[(3, 70), (3, 70)]);
        agenda.job(3, 1, &[(4, 80), (5, 1000)]);
        agenda.landed(5);
        let begun = all(&mut agenda);
        // Slot 1 comes with the job that lacks least when it begins.
        let expected = [(2, vec![3]), (3, vec![4]), (0, vec![0, 1]), (1, vec![2])];
        assert_eq!(begun, expected);
        agenda.missing(3);
        assert_eq!(agenda.next_up(), Next::Fetch(3));
    }

    #[test]
    fn a_job_that_has_begun_is_finished_first() {
        let mut agenda = agenda(Order::SmallestFirst);
        agenda.job(0, 0, &[(0, 500), (1, 500)]);
        assert_eq!(agenda.next_up(), Next::Begin(0));
        assert_eq!(agenda.next_up(), Next::Fetch(0));
        agenda.job(1, 0, &[(2, 1)]);
        assert_eq!(agenda.next_up(), Next::Fetch(1));
        assert_eq!(agenda.next_up(), Next::Begin(1));
    }

    #[test]
    fn a_job_that_began_before_gets_what_it_lacks() {
        for order in Order::ALL {
            let mut agenda = Agenda::new(order, Room::limited(1 << 30), 2);
            agenda.resume(7, 0, &[(1, 5), (2, 5)]);
            agenda.job(8, 0, &[(2, 5), (3, 5)]);
            agenda.landed(2);
            assert_eq!(agenda.next_up(), Next::Fetch(1));
            let rest: Vec<Next> = std::iter::from_fn(|| Some(agenda.next_up()))
                .take_while(|next| *next != Next::Nothing)
                .filter(|next| *next != Next::Fetch(2))
                .collect();
            assert_eq!(rest, [Next::Begin(8), Next::Fetch(3)], "{order:?}");
        }
    }

    #[test]
    fn johnson_feeds_the_workers_first_and_leaves_little_for_the_end() {
        let mut agenda = agenda(Order::Johnson);
        let jobs = [
            (0, 30),
            (1, 20),
            (0, 10),
            (1, 40),
            (0, 25),
            (0, 28),
            (0, 29),
        ];
        for (job, (task, bytes)) in jobs.into_iter().enumerate() {
            agenda.job(job as u32, task, &[(job as u32, bytes)]);
        }
        agenda.network(10.0);
        // Two workers keep up with the network at 0.2 seconds for a byte.
        agenda.learn(0, 100, 50.0);
        agenda.learn(1, 100, 10.0);
        let begun: Vec<u32> = all(&mut agenda).into_iter().map(|(job, _)| job).collect();
        // Small ones until there is enough to do while the longest comes.
        assert_eq!(begun, [2, 4, 0, 6, 5, 3, 1]);
    }

    #[test]
    fn what_everything_waits_for_begins_at_once() {
        let mut agenda = agenda(Order::Johnson);
        for (job, bytes) in [10, 12, 14, 500, 16].into_iter().enumerate() {
            agenda.job(job as u32, 0, &[(job as u32, bytes)]);
        }
        agenda.network(10.0);
        agenda.learn(0, 100, 50.0);
        assert_eq!(agenda.next_up(), Next::Begin(3));
    }

    #[test]
    fn new_costs_change_the_order_of_what_has_not_begun() {
        let mut agenda = agenda(Order::Johnson);
        for job in 0..20 {
            agenda.job(job, 0, &[(job, 10 + u64::from(job))]);
        }
        assert_eq!(agenda.next_up(), Next::Begin(0), "nothing is known");
        assert_eq!(agenda.next_up(), Next::Fetch(0));
        agenda.network(10.0);
        agenda.learn(0, 100, 10.0);
        assert_eq!(agenda.next_up(), Next::Begin(19), "the network is slower");
        assert_eq!(agenda.next_up(), Next::Fetch(19));
        for _ in 0..2 {
            agenda.learn(0, 100, 30.0);
        }
        agenda.ended(0);
        agenda.ended(19);
        assert_eq!(agenda.begun().count(), 0);
        assert_eq!(agenda.next_up(), Next::Begin(1), "the workers are slower");
    }

    #[test]
    fn what_began_elsewhere_comes_first_and_with_its_room() {
        for order in [Order::AsGiven, Order::SmallestFirst, Order::Johnson] {
            let mut agenda = Agenda::new(order, Room::limited(1 << 20), 2);
            agenda.resume(7, 0, &[(1, 400_000), (2, 400_000)]);
            agenda.job(8, 0, &[(3, 400_000)]);
            assert_eq!(agenda.hand_out(), Some(1));
            assert_eq!(agenda.next_up(), Next::Fetch(2));
            assert_eq!(agenda.next_up(), Next::Full);
            assert_eq!(agenda.hand_out(), None);
            assert_eq!(agenda.ended(7), [1, 2]);
            assert_eq!(agenda.next_up(), Next::Recycle(vec![1]));
            agenda.recycled(1);
            assert_eq!(agenda.next_up(), Next::Begin(8));
            // It ended before its input was handed out.
            agenda.ended(8);
            assert_eq!(agenda.next_up(), Next::Nothing);
        }
    }

    #[test]
    fn scratch_is_kept_free_and_keeps_no_job_out_for_ever() {
        let mut agenda = Agenda::new(Order::AsGiven, Room::limited(1 << 20), 2);
        agenda.scratch(0, 5 << 20);
        agenda.job(0, 0, &[(1, 1000)]);
        agenda.job(1, 1, &[(2, 1000)]);
        assert_eq!(agenda.next_up(), Next::Begin(0));
        assert_eq!(agenda.next_up(), Next::Fetch(1));
        assert_eq!(agenda.next_up(), Next::Full);
    }
}
