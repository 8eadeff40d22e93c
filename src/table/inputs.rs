//! The inputs of jobs: nodes, one for each input of each job, in a row for each job and in a
//! list for each slot. A node is two words: its slot above the next node of that slot (plus
//! one), and its job.

use crate::sys::sync::{AtomicU64, Ordering};
use crate::values::Limits;

use super::error::{Result, TableError};
use super::handle::Table;
use super::jobs::{JobId, NODES};
use super::layout::{Counter, NODE, Region};
use super::objects::{HEAD_FAULT, SlotId};

impl Table {
    /// The inputs of a job, in the order in which they were given.
    pub fn job_inputs(&self, job: JobId) -> Result<Vec<SlotId>> {
        let (first, count) = self.job_nodes(job)?;
        (first..first + count)
            .map(|node| self.node_slot(node, job))
            .collect()
    }

    pub(crate) fn job_nodes(&self, job: JobId) -> Result<(u32, u32)> {
        let bits = self.job_word(job, NODES)?.load(Ordering::Acquire);
        let (first, count) = (bits as u32, (bits >> 32) as u32);
        let end = u64::from(first) + u64::from(count);
        if count as usize > Limits::INPUTS_OF_A_JOB || end > self.mem.count(Counter::Nodes)? {
            return Err(TableError::corrupt("inputs", bits));
        }
        Ok((first, count))
    }

    fn node_word(&self, node: u32, field: u64) -> Result<&AtomicU64> {
        if u64::from(node) >= self.mem.count(Counter::Nodes)? {
            return Err(TableError::corrupt("node", node.into()));
        }
        let base = self.mem.layout.region(Region::Nodes).offset;
        self.mem.word(base + u64::from(node) * NODE + field)
    }

    /// The slot of a job's node. That the node says so too keeps a damaged record from leading
    /// through the inputs of all other jobs.
    pub(crate) fn node_slot(&self, node: u32, job: JobId) -> Result<SlotId> {
        if self.node_word(node, 8)?.load(Ordering::Acquire) != u64::from(job.0) {
            return Err(TableError::corrupt("node", node.into()));
        }
        Ok(SlotId(
            (self.node_word(node, 0)?.load(Ordering::Acquire) >> 32) as u32,
        ))
    }

    /// The node after this one in a slot's list (plus one), and the job of this one.
    pub(crate) fn node_next_and_job(&self, node: u32, slot: SlotId) -> Result<(u32, JobId)> {
        let own = self.node_word(node, 0)?.load(Ordering::Acquire);
        if own >> 32 != u64::from(slot.0) {
            return Err(TableError::corrupt("node list", own));
        }
        Ok((
            own as u32,
            JobId(self.node_word(node, 8)?.load(Ordering::Acquire) as u32),
        ))
    }

    /// Puts a node at the head of its slot's list.
    pub(crate) fn link(&self, node: u32, slot: SlotId, job: JobId) -> Result<()> {
        self.node_word(node, 8)?
            .store(job.0.into(), Ordering::Release);
        let head = self.slot_word(slot, HEAD_FAULT)?;
        let own = self.node_word(node, 0)?;
        let mut seen = head.load(Ordering::SeqCst);
        loop {
            own.store(
                u64::from(slot.0) << 32 | seen & 0xffff_ffff,
                Ordering::Release,
            );
            let next = seen & !0xffff_ffff | (u64::from(node) + 1);
            match head.compare_exchange(seen, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => return Ok(()),
                Err(other) => seen = other,
            }
        }
    }

    /// Goes through the jobs that have an object as an input, the last one first, as long as
    /// `visit` says so.
    pub(crate) fn each_job_of(
        &self,
        slot: SlotId,
        mut visit: impl FnMut(JobId) -> Result<bool>,
    ) -> Result<()> {
        let mut node = self.slot_word(slot, HEAD_FAULT)?.load(Ordering::SeqCst) as u32;
        let mut left = self.mem.count(Counter::Nodes)?;
        while node != 0 {
            left = left
                .checked_sub(1)
                .ok_or(TableError::corrupt("node list", slot.0.into()))?;
            let (next, job) = self.node_next_and_job(node - 1, slot)?;
            if !visit(job)? {
                break;
            }
            node = next;
        }
        Ok(())
    }
}
