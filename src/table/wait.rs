//! Waiting for an object, for a range of it, or for any of several.

use std::time::Duration;

use crate::sys::clock::now_ns;
use crate::sys::futex::{self, WAIT_ANY_MAX};
use crate::sys::seeded::Seed;
use crate::sys::sync::{Ordering, fence, seeded};
use crate::values::clock::Deadline;
use crate::values::{ByteRange, Fault, ObjectState, Role, Word};

use super::error::{Result, TableError};
use super::handle::Table;
use super::objects::SlotId;
use super::process::Phase;

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is there.
    Ready,
    /// It was given up.
    Failed(Fault),
    /// The time ran out.
    TimedOut,
}

/// The longest sleep of a stranger before it looks whether the run still goes on. Wake-ups do not
/// depend on it: it bounds how long a death of the coordinator goes unnoticed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

impl Table {
    /// Waits until an object is ready or has failed. An evicted one is wanted again.
    pub fn wait(&self, slot: SlotId, timeout: Option<Duration>) -> Result<Outcome> {
        self.timed(|| self.wait_on(slot, timeout), |_| Some(slot))
    }

    fn wait_on(&self, slot: SlotId, timeout: Option<Duration>) -> Result<Outcome> {
        let deadline = Deadline::after(now_ns(), timeout);
        loop {
            if let Some(outcome) = self.settled(slot)? {
                return Ok(outcome);
            }
            if deadline.passed(now_ns()) {
                return Ok(Outcome::TimedOut);
            }
            let until = self.look_again(deadline);
            if let Some(marked) = self.mark(slot, Word::WAITER, || Ok(false))? {
                let word = self.slot_word(slot, 0)?;
                futex::wait(word, marked.futex(), until);
            }
            self.still_running(until)?;
        }
    }

    /// Waits until all bytes of a range have landed. Where they stand until the object is ready:
    /// [`crate::values::staged::landing_path`] with the attempt of [`Table::object_attempt`].
    pub fn wait_range(
        &self,
        slot: SlotId,
        range: ByteRange,
        timeout: Option<Duration>,
    ) -> Result<Outcome> {
        self.timed(|| self.wait_on_range(slot, range, timeout), |_| Some(slot))
    }

    fn wait_on_range(
        &self,
        slot: SlotId,
        range: ByteRange,
        timeout: Option<Duration>,
    ) -> Result<Outcome> {
        let deadline = Deadline::after(now_ns(), timeout);
        loop {
            if let Some(outcome) = self.settled(slot)? {
                return Ok(outcome);
            }
            if self.grains_landed(slot, range)? {
                return Ok(Outcome::Ready);
            }
            if deadline.passed(now_ns()) {
                return Ok(Outcome::TimedOut);
            }
            // Every publisher who sees the bit changes the count, and so does whoever ends the
            // fetching. The bit first, then the grains again: a publisher does it the other way
            // round.
            let count = self.landed_count(slot)?;
            let seen = count.load(Ordering::SeqCst) as u32;
            let landed =
                || Ok(self.grains_landed(slot, range)? && !seeded(Seed::RangeNotLookedAtAgain));
            let until = self.look_again(deadline);
            if self.mark(slot, Word::RANGE_WAITER, landed)?.is_some() {
                futex::wait(count, seen, until);
            }
            self.still_running(until)?;
        }
    }

    /// Waits until any of several objects is ready or has failed; returns its place in `slots`.
    /// `None` when the time ran out or `slots` is empty.
    pub fn wait_any(
        &self,
        slots: &[SlotId],
        timeout: Option<Duration>,
    ) -> Result<Option<(usize, Outcome)>> {
        self.timed(
            || self.wait_on_any(slots, timeout),
            |ended| slots.get(ended.map_or(0, |(place, _)| place)).copied(),
        )
    }

    fn wait_on_any(
        &self,
        slots: &[SlotId],
        timeout: Option<Duration>,
    ) -> Result<Option<(usize, Outcome)>> {
        let deadline = Deadline::after(now_ns(), timeout);
        while !slots.is_empty() {
            let over = deadline.passed(now_ns());
            let mut asleep = Vec::with_capacity(slots.len().min(WAIT_ANY_MAX));
            for (place, &slot) in slots.iter().enumerate() {
                if let Some(outcome) = self.settled(slot)? {
                    return Ok(Some((place, outcome)));
                }
                if !over
                    && asleep.len() < WAIT_ANY_MAX
                    && let Some(marked) = self.mark(slot, Word::WAITER, || Ok(false))?
                {
                    asleep.push((self.slot_word(slot, 0)?, marked.futex()));
                }
            }
            if over {
                return Ok(None);
            }
            // More than the kernel can watch at once are looked at in turns.
            let bound = if slots.len() > WAIT_ANY_MAX {
                LOOK_AGAIN / 25
            } else {
                LOOK_AGAIN
            };
            let until = deadline.or_within(now_ns(), bound);
            if asleep.len() == slots.len().min(WAIT_ANY_MAX) {
                futex::wait_any(&asleep, Some(until));
            }
            self.still_running(Some(until))?;
        }
        Ok(None)
    }

    /// The attempt that fetches an object now or fetched it last.
    pub fn object_attempt(&self, slot: SlotId) -> Result<u32> {
        Ok(self.load_slot(slot)?.attempt())
    }

    fn settled(&self, slot: SlotId) -> Result<Option<Outcome>> {
        match self.object_state(slot)? {
            Some(ObjectState::Ready) => Ok(Some(Outcome::Ready)),
            Some(ObjectState::Failed) => {
                // It stands there before the state does.
                let fault = self.object_fault(slot)?;
                let fault = fault.ok_or(TableError::corrupt("fault of the slot", slot.0.into()))?;
                Ok(Some(Outcome::Failed(fault)))
            }
            Some(ObjectState::Evicted) => self.want(slot).map(|()| None),
            // Nobody waits until one of its jobs begins.
            Some(ObjectState::Wanted) if self.is_for_jobs(slot)? => self.want(slot).map(|()| None),
            // Whoever registered it may have died before wanting it.
            None if self.find_object(&self.key(slot)?)? == Some(slot) => {
                self.want(slot).map(|()| None)
            }
            _ => Ok(None),
        }
    }

    /// Sets a waiter's bit; the word to sleep on, or `None` if there is a reason to look again.
    fn mark(
        &self,
        slot: SlotId,
        bit: u64,
        landed: impl FnOnce() -> Result<bool>,
    ) -> Result<Option<Word>> {
        self.mem.writable()?;
        let word = self.slot_word(slot, 0)?;
        let seen = Word(word.load(Ordering::SeqCst));
        let moving = matches!(
            seen.object(),
            Some(ObjectState::Wanted | ObjectState::Fetching)
        );
        if !moving && seen.state_bits() != 0 {
            return Ok(None);
        }
        let marked = seen.with(bit);
        if marked != seen
            && word
                .compare_exchange(seen.0, marked.0, Ordering::SeqCst, Ordering::SeqCst)
                .is_err()
        {
            return Ok(None);
        }
        fence(Ordering::SeqCst);
        if self.phase()? == Phase::Stopping && !seeded(Seed::StopNotLookedAt) {
            return Err(TableError::RunEnded);
        }
        Ok((!landed()?).then_some(marked))
    }

    /// Lets everybody who waits for an object look again, and see that the run is over. The bits
    /// go first: who has set one and is not asleep yet will not fall asleep.
    pub(crate) fn end_waits(&self) -> Result<()> {
        if seeded(Seed::StopSilent) {
            return Ok(());
        }
        fence(Ordering::SeqCst);
        for number in 0..self.objects_len()? {
            let slot = SlotId(number);
            let word = self.slot_word(slot, 0)?;
            let mut seen = Word(word.load(Ordering::SeqCst));
            while seen.waiters() != 0 {
                let none = seen.without(Word::WAITER | Word::RANGE_WAITER);
                match word.compare_exchange(seen.0, none.0, Ordering::SeqCst, Ordering::SeqCst) {
                    Ok(_) => {
                        futex::wake(word, u32::MAX);
                        self.tell_range_waiters(slot)?;
                        break;
                    }
                    Err(other) => seen = Word(other),
                }
            }
        }
        Ok(())
    }

    /// Until when to sleep. The processes of the run die with the coordinator, so only strangers
    /// must look whether it lives; for the others the kernel need not keep a timer.
    fn look_again(&self, deadline: Deadline) -> Option<u64> {
        match self.role {
            Role::Stranger => Some(deadline.or_within(now_ns(), LOOK_AGAIN)),
            _ => deadline.at(),
        }
    }

    /// After a sleep until `until` that nobody ended: whether there is anybody left to end one.
    /// Whoever was woken looks at the word first, because this asks the kernel.
    fn still_running(&self, until: Option<u64>) -> Result<()> {
        if until.is_none_or(|until| now_ns() < until) {
            return Ok(());
        }
        if self.phase()? == Phase::Stopping || !self.coordinator_lives() {
            return Err(TableError::RunEnded);
        }
        Ok(())
    }
}
