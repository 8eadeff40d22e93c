//! Where a running planner registers what it finds: the table.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::plan::{BrokenJob, Pending, PlanError, PlanSink, PlannedJob};
use crate::store::ObjectInfo;
use crate::table::{JobSpec, ObjectSpec, Outcome, SlotId, Table, TableError};
use crate::task::JobPayload;
use crate::values::{Fault, FaultCode, staged};
use crate::work::JobResult;

use super::journal::Earlier;
use super::standing::Standing;

/// Bytes of a metadata file at most; real ones have less than one MB.
const MAX_METADATA: u64 = 64 << 20;

/// How often metadata is waited for again that was removed before it was read.
const REREADS: u32 = 100;

/// Registers objects and jobs in a table, and reads metadata from staging.
pub(super) struct TableSink {
    pub table: Table,
    pub staging: PathBuf,
    pub bucket: String,
    /// What earlier runs have done.
    pub earlier: Arc<Earlier>,
    /// Which of their results are still in a store.
    pub standing: Standing,
}

fn register(error: TableError) -> PlanError {
    PlanError::Register(error.to_string())
}

fn spec(object: &ObjectInfo) -> ObjectSpec<'_> {
    ObjectSpec {
        key: &object.key,
        size: object.size,
        etag: object.etag.as_deref(),
    }
}

impl TableSink {
    fn slot(&self, object: &ObjectInfo) -> Result<SlotId, PlanError> {
        self.table.register_object(&spec(object)).map_err(register)
    }
}

impl PlanSink for TableSink {
    fn objects(&self, objects: &[&ObjectInfo]) -> Result<Vec<u32>, PlanError> {
        let specs: Vec<_> = objects.iter().map(|object| spec(object)).collect();
        let mut slots = Vec::with_capacity(specs.len());
        (self.table.register_inputs(&specs, &mut slots)).map_err(register)?;
        Ok(slots.into_iter().map(|slot| slot.0).collect())
    }

    fn manifest(&self, object: &ObjectInfo) -> Result<(), PlanError> {
        // It comes with the product's first object.
        let registered = (self.table).register_inputs(&[spec(object)], &mut Vec::new());
        registered.map_err(register)
    }

    fn job(&self, job: &PlannedJob<'_>) -> Result<(), PlanError> {
        let payload = job
            .payload
            .to_bytes()
            .map_err(|e| PlanError::Register(e.to_string()))?;
        let inputs: Vec<SlotId> = job.inputs.iter().copied().map(SlotId).collect();
        let spec = JobSpec {
            name: job.name,
            task: job.task,
            inputs: &inputs,
            payload: &payload,
        };
        let registered = match job.at_once {
            true => self.table.register_job_at_once(&spec),
            false => self.table.register_job(&spec),
        };
        registered.map(|_| ()).map_err(register)
    }

    fn done_before(&self, name: &str, task: u32, payload: &JobPayload) -> Result<bool, PlanError> {
        let Some(result) = self
            .earlier
            .result_of(name, &payload.recipe, |object| self.standing.has(object))
        else {
            return Ok(false);
        };
        let text = serde_json::to_vec(&result).map_err(|e| PlanError::Register(e.to_string()))?;
        let spec = JobSpec {
            name,
            task,
            inputs: &[],
            payload: b"",
        };
        let registered = self.table.register_ended_job(&spec, Ok(()), &text);
        registered.map(|_| true).map_err(register)
    }

    fn broken_job(&self, job: &BrokenJob<'_>) -> Result<(), PlanError> {
        let result = JobResult {
            error: Some(job.reason.to_owned()),
            ..JobResult::default()
        };
        let text = serde_json::to_vec(&result).map_err(|e| PlanError::Register(e.to_string()))?;
        let spec = JobSpec {
            name: job.name,
            task: job.task,
            inputs: &[],
            payload: b"",
        };
        let fault = Fault::new(FaultCode::Planning, 0);
        self.table
            .register_ended_job(&spec, Err(fault), &text)
            .map(|_| ())
            .map_err(register)
    }

    fn metadata<'a>(&'a self, object: &'a ObjectInfo) -> Pending<'a, Result<Vec<u8>, PlanError>> {
        Box::pin(async move {
            let fail = |reason: String| PlanError::Metadata {
                key: object.key.clone(),
                reason,
            };
            if object.size > MAX_METADATA {
                return Err(fail(format!(
                    "{} bytes are too many for metadata",
                    object.size
                )));
            }
            let slot = self.slot(object)?;
            let mut again = 0;
            loop {
                let table = self.table.clone();
                // The wait is a system call, so it gets a thread.
                let waited = tokio::task::spawn_blocking(move || table.wait(slot, None)).await;
                match waited.map_err(|e| fail(e.to_string()))?.map_err(register)? {
                    Outcome::Ready => {}
                    Outcome::Failed(fault) => {
                        return Err(fail(format!("{fault}; {}", fault.code.way_out())));
                    }
                    Outcome::TimedOut => return Err(fail("it did not arrive".to_owned())),
                }
                let path = staged::staged_path(&self.staging, &self.bucket, &object.key);
                let path = staged::find(&self.staging, path);
                match std::fs::read(&path) {
                    // Its room was needed before it was read.
                    Err(e) if e.kind() == io::ErrorKind::NotFound && again < REREADS => again += 1,
                    read => return read.map_err(|e| fail(format!("{}: {e}", path.display()))),
                }
            }
        })
    }
}
