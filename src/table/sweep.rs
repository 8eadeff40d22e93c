//! After a death: hand the dead process's work on and recompute the hints.

use crate::sys::seeded::Seed;
use crate::sys::sync::seeded;
use crate::values::{EventKind, JobState, ObjectState, Owner, Word};

use super::error::Result;
use super::handle::Table;
use super::jobs::JobId;
use super::layout::Counter;
use super::objects::SlotId;

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Processes whose record was given back.
    pub processes: u32,
    /// Objects that are wanted again.
    pub objects: u32,
    /// Jobs that can be claimed again.
    pub jobs: u32,
    /// Jobs given up because their workers died too often.
    pub given_up: u32,
}

impl Table {
    /// Looks for processes that have died, hands their work on, and recomputes every hint. A
    /// job whose worker died `attempts` times is given up. Any process may do it, also two at
    /// once; the coordinator does it at each death that it is told of.
    pub fn sweep(&self, attempts: u32) -> Result<Swept> {
        self.mem.writable()?;
        self.sweep_dead(&self.dead()?, attempts)
    }

    /// Hands on the work of processes that the caller knows to have ended, for example because a
    /// pidfd says so, and recomputes every hint, as [`Table::sweep`] does. Their names are those
    /// of [`Table::processes`]; a name that was given back already is passed over.
    pub fn sweep_dead(&self, dead: &[Owner], attempts: u32) -> Result<Swept> {
        self.mem.writable()?;
        let mut swept = Swept::default();
        if seeded(Seed::RecordsFreedFirst) {
            for owner in dead {
                self.free_record(*owner)?;
            }
        }
        for number in 0..self.mem.count(Counter::Objects)? {
            self.sweep_slot(SlotId(number as u32), dead, &mut swept)?;
        }
        for number in 0..self.mem.count(Counter::Jobs)? {
            self.sweep_job(JobId(number as u32), dead, attempts, &mut swept)?;
        }
        // The records last: until here the dead are still known by their names.
        for owner in dead {
            if self.free_record(*owner)? {
                swept.processes += 1;
            }
        }
        self.ring_all()?;
        Ok(swept)
    }

    fn sweep_slot(&self, slot: SlotId, dead: &[Owner], swept: &mut Swept) -> Result<()> {
        let word = self.load_slot(slot)?;
        let state = word.object();
        if state == Some(ObjectState::Fetching)
            && dead.contains(&word.owner())
            && self.move_slot(slot, word.owner(), word.attempt(), ObjectState::Wanted)?
        {
            self.emit(EventKind::ObjectWanted, slot.0, self.size(slot)?)?;
            self.wanted_again(slot)?;
            swept.objects += 1;
        } else if state == Some(ObjectState::Wanted) {
            // Whoever wanted it may have died before it told the cursor.
            self.wanted_again(slot)?;
        }
        match state {
            // Whoever published it may have died before it woke those who wait.
            Some(ObjectState::Ready | ObjectState::Failed | ObjectState::Evicted) => {
                self.wake_waiters(slot, word)?;
            }
            // Whoever landed a range may have died before it told those who wait for one.
            _ if word.0 & Word::RANGE_WAITER != 0 => self.tell_range_waiters(slot)?,
            _ => {}
        }
        Ok(())
    }

    fn sweep_job(
        &self,
        job: JobId,
        dead: &[Owner],
        attempts: u32,
        swept: &mut Swept,
    ) -> Result<()> {
        let word = self.load_job(job)?;
        match word.job() {
            Some(JobState::Running) if dead.contains(&word.owner()) => {
                if word.attempt() >= attempts {
                    if self.fail_dead_job(job, word.owner(), word.attempt())? {
                        swept.given_up += 1;
                    }
                } else if self.move_job(job, word.owner(), word.attempt(), JobState::Ready)? {
                    self.emit(EventKind::JobHandedOn, job.0, word.attempt().into())?;
                    if !seeded(Seed::HandedOnSilently) {
                        self.mark_ready(job)?;
                    }
                    swept.jobs += 1;
                }
            }
            Some(JobState::Uploading)
                if dead.contains(&word.owner())
                    && self.hand_upload_on(job, word.owner(), word.attempt())? =>
            {
                swept.jobs += 1;
            }
            // The mover may have died before it told this job, or before it set the bit.
            Some(JobState::Waiting) => self.advance(job)?,
            Some(JobState::Ready) if !seeded(Seed::HintsNotRecomputed) => self.mark_ready(job)?,
            _ => {}
        }
        Ok(())
    }
}
