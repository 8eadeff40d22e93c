//! Why something failed, in words: the same ones wherever they are shown.

use crate::table::{JobId, SlotId, Table, TableError};
use crate::values::{Fault, FaultCode};
use crate::work::JobResult;

/// Why an object or a job failed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What happened.
    pub error: String,
    /// What the person at the terminal can do about it.
    pub way_out: &'static str,
}

impl From<Fault> for Why {
    fn from(fault: Fault) -> Why {
        Why {
            error: fault.to_string(),
            way_out: fault.code.way_out(),
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.error, self.way_out)
    }
}

/// What the worker said of a job that ended.
///
/// # Errors
/// The table is damaged.
pub fn job_result(table: &Table, job: JobId) -> Result<Option<JobResult>, TableError> {
    let text = table.job_result(job)?;
    Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
}

/// Why a job failed, with the object's name where it was an object. `said` is the error of its
/// result, where there is one.
///
/// # Errors
/// The table is damaged.
pub fn why_job_failed(table: &Table, fault: Fault, said: Option<&str>) -> Result<Why, TableError> {
    if fault.code == FaultCode::Input {
        let slot = SlotId(fault.detail);
        let key = table.key(slot)?;
        let of_object = table.object_fault(slot)?;
        return Ok(match of_object {
            Some(fault) => Why {
                error: format!("its input {key:?} failed: {fault}"),
                way_out: fault.code.way_out(),
            },
            None => Why {
                error: format!("its input {key:?} failed"),
                ..Why::from(fault)
            },
        });
    }
    let why = Why::from(fault);
    Ok(match said {
        Some(said) => Why {
            error: said.to_owned(),
            ..why
        },
        None => why,
    })
}
