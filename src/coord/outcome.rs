//! What became of a job, in words.

use crate::table::{JobId, SlotId, Table, TableError};
use crate::work::JobResult;

/// What the worker said of a job that ended.
pub(super) fn result_of(table: &Table, job: JobId) -> Result<Option<JobResult>, TableError> {
    let text = table.job_result(job)?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}

/// Why a job failed, with the object's name where it was an object.
pub(super) fn why_job_failed(
    table: &Table,
    fault: Option<crate::values::Fault>,
    said: Option<&str>,
) -> Result<String, TableError> {
    use crate::values::FaultCode;
    let Some(fault) = fault else {
        return Ok(said.unwrap_or("for an unknown reason").to_owned());
    };
    if fault.code == FaultCode::Input {
        let slot = SlotId(fault.detail);
        let key = table.key(slot)?;
        let why = table.object_fault(slot)?;
        let (why, way_out) = why.map_or((String::new(), ""), |f| (f.to_string(), f.code.way_out()));
        return Ok(format!("its input {key:?} failed: {why}; {way_out}"));
    }
    Ok(match said {
        Some(said) => said.to_owned(),
        None => format!("{fault}; {}", fault.code.way_out()),
    })
}
