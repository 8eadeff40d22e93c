//! Alterations from bytes, for fuzzers that know nothing of tables.

use std::cell::RefCell;

use super::arena::Arena;
use super::case::Case;
use super::mutation::Mutation;
use super::report::Report;
use super::run::Pulse;

/// Bytes of an alteration.
const PIECE: usize = 16;
/// More would be all the same.
const MOST: usize = 16;

thread_local! {
    static ARENAS: RefCell<Option<Vec<Arena>>> = const { RefCell::new(None) };
}

/// Runs the case that some bytes stand for: which table, the order of the operations, and then
/// sixteen bytes for each alteration.
pub fn bytes(data: &[u8]) -> Report {
    let mut report = Report::default();
    let [table, order, rest @ ..] = data else {
        return report;
    };
    ARENAS.with_borrow_mut(|arenas| {
        let arenas = arenas.get_or_insert_with(Arena::all);
        let arena = usize::from(*table) % arenas.len();
        let mutations = rest
            .chunks_exact(PIECE)
            .take(MOST)
            .filter_map(|piece| Mutation::from_bytes(piece, &arenas[arena]))
            .collect();
        let case = Case::given((*order).into(), arena, mutations);
        case.run(arenas, &Pulse::default(), &mut report);
    });
    report
}
