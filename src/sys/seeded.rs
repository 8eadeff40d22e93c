//! Faults that the checker of interleavings (`tests/interleavings`) seeds into the table, one at
//! a time, to prove that it would notice them.
//!
//! Each stands in `table/` as a condition that is a constant `false` in every program that runs,
//! so nothing of it is left in the machine code.

/// The faults, each named after what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// Publishing an object wakes nobody.
    WakeMissing,
    /// A claim drops the waiters' bits from the word.
    WaitersForgotten,
    /// An object that is wanted again starts at attempt 0.
    AttemptReset,
    /// A publish does not look whose claim it is.
    PublishUnchecked,
    /// An object is claimed by a store.
    ObjectClaimedByStore,
    /// A job is claimed by a store.
    JobClaimedByStore,
    /// A name is put into the set by a store.
    NameInsertedByStore,
    /// A cleared summary bit is not set again for a job that came meanwhile.
    SummaryNotSetAgain,
    /// A cleared ready bit is not set again for a job that became ready meanwhile.
    ReadyNotSetAgain,
    /// A summary bit that was set again does not ring the bell.
    SummarySilent,
    /// A job that was opened does not look at its inputs.
    WatchNotLookedAt,
    /// A job that was admitted does not look at its inputs.
    AdmittedUnseen,
    /// Only the first job of a slot's list is told.
    ListCutShort,
    /// A job that failed for its input is left waiting.
    FailureNotPassedOn,
    /// The bell is rung before the ready bit is set.
    RungTooEarly,
    /// A sleeper does not count itself.
    SleeperUncounted,
    /// Who ends a job does not tell the downloader that waits for room.
    RoomSilent,
    /// The last job ends without ringing for those who sleep.
    EndsSilently,
    /// A new phase rings for nobody.
    PhaseSilent,
    /// A run that stops wakes nobody who waits for an object.
    StopSilent,
    /// Who waits for an object does not look whether the run has stopped after it has set its bit.
    StopNotLookedAt,
    /// A record is taken again under the name that it had.
    GenerationKept,
    /// A sweep gives the records back before the work is handed on.
    RecordsFreedFirst,
    /// A sweep does not recompute the ready bits.
    HintsNotRecomputed,
    /// A job that is handed over rings for nobody.
    HandedOverSilently,
    /// A sweep hands a job on without its ready bit.
    HandedOnSilently,
    /// Landed grains are taken from any attempt.
    GrainTagUnchecked,
    /// Who waits for a range does not look again after it has set its bit.
    RangeNotLookedAtAgain,
    /// A publisher of a range tells nobody.
    RangeSilent,
    /// A reader of events looks at a stamp's ticket only.
    StampUnchecked,
    /// Whoever wants an object that was for its jobs only does not tell the downloader.
    HurriedSilently,
    /// A job that was opened does not ring for the downloader.
    OpenedSilently,
    /// The fence between the two words is left out when jobs are told of a slot.
    FenceOfTheSlot,
    /// The fence between the two words is left out when a job is opened.
    FenceOfTheJob,
    /// The fence between the two words is left out when a bell is rung.
    FenceOfTheRinger,
    /// The fence between the two words is left out when a sleeper counts itself.
    FenceOfTheSleeper,
    /// The fence between the two words is left out when a range is published.
    FenceOfTheRange,
    /// An event's stamp is stored without release.
    StampRelaxed,
}
