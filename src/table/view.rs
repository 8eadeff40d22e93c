//! Looking at the table without moving anything.

use std::ops::Range;

use crate::values::{Fault, JobState, ObjectState, Owner};

use super::error::Result;
use super::handle::Table;
use super::jobs::JobId;
use super::layout::Counter;
use super::objects::SlotId;

/// Objects by state, with their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectCounts {
    /// Waiting for the downloader.
    pub wanted: u64,
    /// Being fetched.
    pub fetching: u64,
    /// In staging.
    pub ready: u64,
    /// Given up.
    pub failed: u64,
    /// Removed from staging.
    pub evicted: u64,
    /// Records that a dead process left unfinished.
    pub void: u64,
    /// Bytes of all objects together.
    pub bytes: u64,
    /// Bytes of the ready ones.
    pub bytes_ready: u64,
}

/// Jobs by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// An input is missing.
    pub waiting: u64,
    /// Can be claimed.
    pub ready: u64,
    /// Being run.
    pub running: u64,
    /// Result on its way to a store.
    pub uploading: u64,
    /// Result in place.
    pub done: u64,
    /// Given up.
    pub failed: u64,
    /// Records that a dead process left unfinished.
    pub void: u64,
}

impl JobCounts {
    /// All jobs, without unfinished records.
    pub fn total(&self) -> u64 {
        self.waiting + self.ready + self.running + self.uploading + self.done + self.failed
    }
}

/// An object as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectView {
    /// Its slot.
    pub slot: SlotId,
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: Option<String>,
    /// Its state.
    pub state: ObjectState,
    /// Why it failed.
    pub fault: Option<Fault>,
}

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Its number.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// The number of its task.
    pub task: u32,
    /// Its state.
    pub state: JobState,
    /// How often it was claimed.
    pub attempt: u32,
    /// Who runs it, or uploads its results.
    pub owner: Owner,
    /// Why it failed.
    pub fault: Option<Fault>,
}

impl Table {
    /// Where everything stands in the table's file, in bytes from its start: for tools that look
    /// at the bytes themselves.
    pub fn places(&self) -> Vec<(&'static str, Range<u64>)> {
        self.mem.layout.places()
    }

    /// How many objects are registered, with records that dead processes left unfinished.
    pub fn objects_len(&self) -> Result<u32> {
        Ok(self.mem.count(Counter::Objects)? as u32)
    }

    /// Counts the objects by looking at each.
    pub fn count_objects(&self) -> Result<ObjectCounts> {
        let mut counts = ObjectCounts::default();
        for number in 0..self.objects_len()? {
            let slot = SlotId(number);
            let place = match self.object_state(slot)? {
                None => {
                    counts.void += 1;
                    continue;
                }
                Some(ObjectState::Wanted) => &mut counts.wanted,
                Some(ObjectState::Fetching) => &mut counts.fetching,
                Some(ObjectState::Ready) => {
                    counts.bytes_ready = counts.bytes_ready.saturating_add(self.size(slot)?);
                    &mut counts.ready
                }
                Some(ObjectState::Failed) => &mut counts.failed,
                Some(ObjectState::Evicted) => &mut counts.evicted,
            };
            *place += 1;
            counts.bytes = counts.bytes.saturating_add(self.size(slot)?);
        }
        Ok(counts)
    }

    /// Counts the jobs by looking at each.
    pub fn count_jobs(&self) -> Result<JobCounts> {
        let mut counts = JobCounts::default();
        for number in 0..self.jobs_len()? {
            *match self.job_state(JobId(number))? {
                None => &mut counts.void,
                Some(JobState::Waiting) => &mut counts.waiting,
                Some(JobState::Ready) => &mut counts.ready,
                Some(JobState::Running) => &mut counts.running,
                Some(JobState::Uploading) => &mut counts.uploading,
                Some(JobState::Done) => &mut counts.done,
                Some(JobState::Failed) => &mut counts.failed,
            } += 1;
        }
        Ok(counts)
    }

    /// An object; `None` for an unfinished record.
    pub fn object(&self, slot: SlotId) -> Result<Option<ObjectView>> {
        let Some(state) = self.object_state(slot)? else {
            return Ok(None);
        };
        let fault = if state == ObjectState::Failed {
            self.object_fault(slot)?
        } else {
            None
        };
        let (key, size, etag) = (self.key(slot)?, self.size(slot)?, self.etag(slot)?);
        Ok(Some(ObjectView {
            slot,
            key,
            size,
            etag,
            state,
            fault,
        }))
    }

    /// A job; `None` for an unfinished record.
    pub fn job(&self, job: JobId) -> Result<Option<JobView>> {
        let word = self.load_job(job)?;
        let Some(state) = self.job_state(job)? else {
            return Ok(None);
        };
        let fault = if state == JobState::Failed {
            self.job_fault(job)?
        } else {
            None
        };
        Ok(Some(JobView {
            job,
            name: self.job_name(job)?,
            task: self.job_task(job)?,
            state,
            attempt: word.attempt(),
            owner: word.owner(),
            fault,
        }))
    }
}
