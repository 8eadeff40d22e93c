//! One case: alterations and operations in turn.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use cotec::table::{EventReader, TableError};

use super::alloc;
use super::arena::Arena;
use super::dice::Dice;
use super::mutation::Mutation;
use super::operations::{Ground, Operation, QUICK, SLOW};
use super::report::Report;
use super::run::Pulse;

/// More than any operation on tables of this size has a reason to ask for.
const MOST_MEMORY: u64 = 4 << 20;

pub struct Case {
    pub arena: usize,
    pub mutations: Vec<Mutation>,
    order: Vec<Operation>,
    dice: Dice,
}

/// The operations of a case, in its order.
fn order(dice: &mut Dice) -> Vec<Operation> {
    let mut order = QUICK.to_vec();
    order.extend(SLOW.iter().filter(|_| dice.one_in(8)));
    dice.shuffle(&mut order);
    order
}

impl Case {
    pub fn random(seed: u64, number: u64, arenas: &[Arena]) -> Case {
        let mut dice = Dice::new(seed, number);
        // The empty table is the last and gets one case in sixteen.
        let arena = match dice.below(16) {
            0 => 2,
            1..=5 => 1,
            _ => 0,
        };
        let order = order(&mut dice);
        let mutations = (0..1 + dice.below(8))
            .map(|_| Mutation::random(&mut dice, &arenas[arena], order.len()))
            .collect();
        Case {
            arena,
            mutations,
            order,
            dice,
        }
    }

    /// Alterations of one's own, with all operations in the order of `seed`.
    pub fn given(seed: u64, arena: usize, mutations: Vec<Mutation>) -> Case {
        let mut dice = Dice::new(seed, 0);
        let mut order = order(&mut dice);
        order.extend(SLOW);
        Case {
            arena,
            mutations,
            order,
            dice,
        }
    }

    /// Runs it; afterwards the table is as it was.
    pub fn run(self, arenas: &[Arena], pulse: &Pulse, report: &mut Report) {
        let arena = &arenas[self.arena];
        let mut ground = Ground {
            arena,
            dice: self.dice,
            reader: EventReader::default(),
            cursor: 0,
            objects: arena.objects.clone(),
            jobs: arena.jobs.clone(),
        };
        for (i, operation) in self.order.iter().enumerate() {
            for mutation in self.mutations.iter().filter(|m| m.when == i) {
                mutation.apply(arena);
            }
            if let Err(wrong) = one(&mut ground, operation, pulse, report) {
                let list: Vec<String> = self.mutations.iter().map(|m| format!("\n  {m}")).collect();
                let list = list.concat();
                report.findings.push(format!(
                    "{wrong} (operation {i}), table {}:{list}",
                    arena.name
                ));
                break;
            }
        }
        arena.restore();
        report.cases += 1;
    }
}

/// Runs an operation with one of the handles; what must not be is an error.
pub fn one(
    ground: &mut Ground,
    (name, operation): &Operation,
    pulse: &Pulse,
    report: &mut Report,
) -> Result<(), String> {
    let handle = ground.dice.pick(&[0, 1, 1, 1, 2, 3]);
    let table = &ground.arena.handles[handle];
    pulse.begin(name);
    let (began, taken) = (Instant::now(), alloc::taken());
    let answer = catch_unwind(AssertUnwindSafe(|| operation(ground, table)));
    let taken = alloc::taken() - taken;
    report.slowest = report.slowest.max((began.elapsed(), name));
    pulse.end();
    report.largest = report.largest.max((taken, name));
    report.operations += 1;
    match answer {
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or(panic.downcast_ref::<&str>().copied())
                .unwrap_or("?");
            return Err(format!("{name} panicked: {text}"));
        }
        Ok(Err(error)) => count(report, &error),
        Ok(Ok(())) => {}
    }
    if taken > MOST_MEMORY {
        return Err(format!("{name} asked for {taken} bytes of memory"));
    }
    Ok(())
}

fn count(report: &mut Report, error: &TableError) {
    let kind = match error {
        TableError::Full { .. } => "Full",
        TableError::NoMemory { .. } => "NoMemory",
        TableError::NotATable { .. } => "NotATable",
        TableError::Map(_) => "Map",
        TableError::Corrupt { .. } => "Corrupt",
        TableError::TooLong { .. } => "TooLong",
        TableError::ReadOnly => "ReadOnly",
        TableError::NotJoined => "NotJoined",
        TableError::RunEnded => "RunEnded",
    };
    report.refused += 1;
    report
        .errors
        .entry(kind)
        .or_insert_with(|| (0, error.to_string()))
        .0 += 1;
}
