//! A plan that registers nothing: what a run would do.

use std::cell::RefCell;
use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use super::error::PlanError;
use super::prepare::MAX_METADATA;
use super::sink::{BrokenJob, PlanSink, PlannedJob};
use super::source::{Pending, ProductSource};
use crate::store::ObjectInfo;

/// The sums of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Products found.
    pub products: u64,
    /// Different objects that the jobs need.
    pub objects: u64,
    /// The bytes of these objects.
    pub bytes: u64,
    /// Jobs that can be done.
    pub jobs: u64,
    /// Jobs that cannot.
    pub broken: u64,
}

/// A job of a dry run, as it is shown to the user.
#[derive(Debug)]
pub enum DryJob<'a> {
    /// It can be done.
    Planned(&'a PlannedJob<'a>),
    /// It cannot.
    Broken(&'a BrokenJob<'a>),
}

/// A [`PlanSink`] that counts, shows each job, and reads metadata straight from the store.
pub struct DryRun<'a, F> {
    source: &'a dyn ProductSource,
    show: RefCell<F>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    totals: Totals,
    /// Hash of a key to its number.
    slots: HashMap<u64, u32>,
}

impl<'a, F: FnMut(DryJob<'_>)> DryRun<'a, F> {
    /// A dry run that gives each job to `show`, in order.
    pub fn new(source: &'a dyn ProductSource, show: F) -> Self {
        DryRun {
            source,
            show: RefCell::new(show),
            state: RefCell::default(),
        }
    }

    fn number(&self, object: &ObjectInfo) -> Result<u32, PlanError> {
        let mut state = self.state.borrow_mut();
        let next = u32::try_from(state.slots.len())
            .map_err(|_| PlanError::Register("more objects than a run can have".to_owned()))?;
        let slot = *state
            .slots
            .entry(xxh3_64(object.key.as_bytes()))
            .or_insert(next);
        if slot == next {
            state.totals.objects += 1;
            state.totals.bytes = state.totals.bytes.saturating_add(object.size);
        }
        Ok(slot)
    }

    /// The sums so far.
    pub fn totals(&self) -> Totals {
        self.state.borrow().totals
    }
}

impl<F: FnMut(DryJob<'_>)> PlanSink for DryRun<'_, F> {
    fn objects(&self, objects: &[&ObjectInfo]) -> Result<Vec<u32>, PlanError> {
        objects.iter().map(|object| self.number(object)).collect()
    }

    fn job(&self, job: &PlannedJob<'_>) -> Result<(), PlanError> {
        self.state.borrow_mut().totals.jobs += 1;
        (self.show.borrow_mut())(DryJob::Planned(job));
        Ok(())
    }

    fn broken_job(&self, job: &BrokenJob<'_>) -> Result<(), PlanError> {
        self.state.borrow_mut().totals.broken += 1;
        (self.show.borrow_mut())(DryJob::Broken(job));
        Ok(())
    }

    fn metadata<'a>(&'a self, object: &'a ObjectInfo) -> Pending<'a, Result<Vec<u8>, PlanError>> {
        Box::pin(async move {
            let bytes = self.source.get(&object.key, MAX_METADATA).await;
            bytes.map_err(|error| PlanError::Metadata {
                key: object.key.clone(),
                reason: error.to_string(),
            })
        })
    }

    fn product(&self, _name: &str, _prefix: &str) {
        self.state.borrow_mut().totals.products += 1;
    }
}
