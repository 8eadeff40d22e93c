//! What is to be fetched next: parts whose pause is over, the rest of an object that was begun,
//! the next object of the agenda.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::rc::Rc;
use std::time::Instant;

use crate::table::{SlotId, Table, TableError};
use crate::values::staged::Tree;

use super::agenda::Upcoming;
use super::landed::Landed;
use super::landing::Landings;
use super::object::{Begun, Object};
use super::part::Part;

/// What this downloader has taken on. Nothing here grows with what has been done already.
#[derive(Debug)]
pub(super) struct Queue {
    pub upcoming: Upcoming,
    /// Objects with bytes that were not given out, in order.
    cutting: VecDeque<Rc<Object>>,
    /// Parts that wait until they may be asked for again.
    parked: BTreeMap<(Instant, u64), Rc<Part>>,
    parked_so_far: u64,
    /// All objects that are not ended.
    active: HashMap<SlotId, Rc<Object>>,
    pub landed: Landed,
    landings: Landings,
}

/// What came of looking for the next wanted object.
pub(super) enum Next {
    /// There is none.
    Nothing,
    /// It has parts to give out.
    Begun,
    /// All of it has landed earlier.
    Landed(Rc<Object>),
    /// It was in staging, or it failed.
    Ended(SlotId),
}

impl Queue {
    pub fn new(upcoming: Upcoming, landed: Landed, landings: Landings) -> Queue {
        Queue {
            upcoming,
            cutting: VecDeque::new(),
            parked: BTreeMap::new(),
            parked_so_far: 0,
            active: HashMap::new(),
            landed,
            landings,
        }
    }

    /// Whether nothing is taken on.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty()
    }

    pub fn has_parked(&self) -> bool {
        !self.parked.is_empty()
    }

    /// How many objects are taken on.
    pub fn len(&self) -> usize {
        self.active.len()
    }

    /// An object that is not ended.
    pub fn get(&self, slot: SlotId) -> Option<Rc<Object>> {
        self.active.get(&slot).cloned()
    }

    /// All objects that are not ended.
    pub fn active(&self) -> impl Iterator<Item = &Rc<Object>> {
        self.active.values()
    }

    /// Whether nothing is wanted either.
    pub fn is_idle(&mut self, table: &Table) -> Result<bool, TableError> {
        Ok(self.active.is_empty() && !self.upcoming.has_more(table)?)
    }

    /// Lets a part wait until `due`.
    pub fn park(&mut self, part: Rc<Part>, due: Instant) {
        self.parked_so_far += 1;
        self.parked.insert((due, self.parked_so_far), part);
    }

    /// The part that has waited longest beyond its time, if `may` allows it.
    pub fn due(&mut self, now: Instant, may: impl FnOnce() -> bool) -> Option<Rc<Part>> {
        let first = self.parked.first_entry()?;
        (first.key().0 <= now && may()).then(|| first.remove())
    }

    /// The next part of an object that was begun.
    pub fn cut(&mut self, bytes: u64) -> Option<Rc<Part>> {
        while let Some(at) = self.whose_turn() {
            let object = &self.cutting[at];
            let part = object
                .cut(bytes)
                .map(|range| Rc::new(Part::new(Rc::clone(object), range)));
            if !object.has_more() {
                self.cutting.remove(at);
            }
            if part.is_some() {
                return part;
            }
        }
        None
    }

    /// The object that the next part comes from: the first, or of the inputs of a job that runs
    /// while they land, the one that is furthest behind.
    fn whose_turn(&self) -> Option<usize> {
        let first = self.cutting.front()?;
        if !self.upcoming.takes_turns(first.claim.slot) {
            return Some(0);
        }
        let all = self.cutting.iter().enumerate();
        let turns = all.filter(|(_, object)| self.upcoming.takes_turns(object.claim.slot));
        // Of several that are equally far the first.
        let behind = turns.rev().max_by(|a, b| a.1.left().total_cmp(&b.1.left()));
        behind.map(|(at, _)| at)
    }

    /// Gives an object's parts out once more, before all others.
    pub fn again(&mut self, object: &Rc<Object>) {
        self.cutting.push_front(Rc::clone(object));
    }

    /// Begins the next wanted object.
    pub fn begin_next(
        &mut self,
        table: &Table,
        root: &std::path::Path,
        tree: &Tree,
    ) -> Result<Next, TableError> {
        while let Some(slot) = self.upcoming.next(table, &mut self.landed)? {
            self.upcoming.begun(slot);
            let Some(claim) = table.claim_object(slot)? else {
                self.upcoming.slot_ended(slot);
                continue;
            };
            let files = (&self.landed, &mut self.landings);
            let begun = Object::begin(table, root, tree, files, claim)?;
            let Begun::Landing(object) = begun else {
                return Ok(Next::Ended(slot));
            };
            self.active.insert(slot, Rc::clone(&object));
            self.upcoming.manifest_of(table, &object.key)?;
            if !object.has_more() {
                return Ok(Next::Landed(object));
            }
            self.cutting.push_back(object);
            return Ok(Next::Begun);
        }
        Ok(Next::Nothing)
    }

    /// Takes out the parts of an object that wait: it was given up.
    pub fn unpark(&mut self, object: &Rc<Object>) -> Vec<Rc<Part>> {
        let is_its = |part: &Rc<Part>| Rc::ptr_eq(&part.object, object);
        let keys = self.parked.iter().filter(|(_, part)| is_its(part));
        let keys: Vec<_> = keys.map(|(key, _)| *key).collect();
        keys.iter()
            .filter_map(|key| self.parked.remove(key))
            .collect()
    }

    /// Removes what jobs that have ended leave, where staging has a limit.
    pub fn recycle(&mut self, table: &Table) -> Result<(), TableError> {
        self.upcoming.notice(table, &mut self.landed).map(|_| ())
    }

    /// Forgets an object that is ended.
    pub fn ended(&mut self, object: &Object) {
        self.active.remove(&object.claim.slot);
    }
}
