//! Where the planner registers what it finds.

use super::error::PlanError;
use super::source::Pending;
use crate::store::ObjectInfo;
use crate::task::JobPayload;

/// A job with all that is known of it.
#[derive(Debug)]
pub struct PlannedJob<'a> {
    /// `task/product`; unique in the run.
    pub name: &'a str,
    /// The position of the task in the job file.
    pub task: u32,
    /// What [`PlanSink::objects`] gave for each of the payload's inputs, in their order.
    pub inputs: &'a [u32],
    /// The sizes of the inputs together.
    pub bytes: u64,
    /// Whether it may be run before its inputs are there.
    pub at_once: bool,
    /// What the worker needs.
    pub payload: &'a JobPayload,
}

/// A job that cannot be done on this product; the others go on.
#[derive(Debug)]
pub struct BrokenJob<'a> {
    /// `task/product`; unique in the run.
    pub name: &'a str,
    /// The position of the task in the job file.
    pub task: u32,
    /// The product's name in this run.
    pub product: &'a str,
    /// The product's key prefix.
    pub prefix: &'a str,
    /// Why not, and what to do.
    pub reason: &'a str,
}

/// Where the planner registers objects and jobs. An error of any method but
/// [`metadata`](PlanSink::metadata) ends the planning.
pub trait PlanSink {
    /// The objects that a job needs, their numbers in the same order; the same key gives the same
    /// number.
    ///
    /// # Errors
    /// One of them cannot be registered.
    fn objects(&self, objects: &[&ObjectInfo]) -> Result<Vec<u32>, PlanError>;

    /// The manifest of a SAFE product: a downloader compares the product's objects with it, so it
    /// comes before them.
    ///
    /// # Errors
    /// It cannot be registered.
    fn manifest(&self, _object: &ObjectInfo) -> Result<(), PlanError> {
        Ok(())
    }

    /// A job whose inputs have all been registered.
    ///
    /// # Errors
    /// It cannot be registered.
    fn job(&self, job: &PlannedJob<'_>) -> Result<(), PlanError>;

    /// Whether an earlier run has done the job; then it is registered as done, and neither
    /// [`objects`](PlanSink::objects) nor [`job`](PlanSink::job) is called for it. The payload's
    /// recipe tells whether it is still the same job.
    ///
    /// # Errors
    /// It cannot be registered.
    fn done_before(
        &self,
        _name: &str,
        _task: u32,
        _payload: &JobPayload,
    ) -> Result<bool, PlanError> {
        Ok(false)
    }

    /// A job that failed before it began.
    ///
    /// # Errors
    /// It cannot be recorded.
    fn broken_job(&self, job: &BrokenJob<'_>) -> Result<(), PlanError>;

    /// The bytes of a metadata object. A run downloads it like any object and reads it from
    /// staging, so that it is fetched once; a dry run gets it from the store.
    ///
    /// Several are under way at the same time on one thread: an implementation must not block it.
    fn metadata<'a>(&'a self, object: &'a ObjectInfo) -> Pending<'a, Result<Vec<u8>, PlanError>>;

    /// A product was found, before any job on it is registered.
    fn product(&self, _name: &str, _prefix: &str) {}
}
