//! The faults that are seeded one at a time, and the scenario that must notice each.
//!
//! The faults that only a weak memory order shows are those of `tests/weak_memory`.

use crate::sys::seeded::Seed::{self, *};

pub const FAULTS: &[(Seed, &str)] = &[
    (WakeMissing, "fetch against wait"),
    (WaitersForgotten, "fail against wait"),
    (AttemptReset, "release against a late publish"),
    (PublishUnchecked, "release against a late publish"),
    (ObjectClaimedByStore, "two claims of one object"),
    (JobClaimedByStore, "two claims of one job"),
    (NameInsertedByStore, "one key registered twice"),
    (
        SummaryNotSetAgain,
        "a job becomes ready while another is claimed",
    ),
    (
        SummarySilent,
        "a job becomes ready while another is claimed",
    ),
    (ReadyNotSetAgain, "a worker dies"),
    (
        WatchNotLookedAt,
        "a job registered while its input becomes ready",
    ),
    (
        AdmittedUnseen,
        "a job is admitted while its inputs become ready",
    ),
    (ListCutShort, "two jobs share an input"),
    (
        FailureNotPassedOn,
        "one input fails while the other becomes ready",
    ),
    (
        RungTooEarly,
        "a job becomes ready while workers fall asleep",
    ),
    (
        SleeperUncounted,
        "an object is wanted while the downloader falls asleep",
    ),
    (
        RoomSilent,
        "a job ends while the downloader falls asleep for want of room",
    ),
    (EndsSilently, "two last jobs end at once"),
    (PhaseSilent, "planning ends while workers fall asleep"),
    (StopSilent, "the run stops while somebody waits"),
    (StopNotLookedAt, "the run stops while somebody waits"),
    (GenerationKept, "two sweeps at once and a new process"),
    (RecordsFreedFirst, "a sweeper dies"),
    (HintsNotRecomputed, "a downloader dies"),
    (HandedOnSilently, "a worker dies"),
    (
        HandedOverSilently,
        "a job is handed over while the uploader falls asleep",
    ),
    (
        GrainTagUnchecked,
        "a late range of a claim that was released",
    ),
    (RangeNotLookedAtAgain, "range publish against range wait"),
    (RangeSilent, "two ranges against two range waits"),
    (StampUnchecked, "a stopped writer is lapped"),
    (
        HurriedSilently,
        "an input is waited for before its job has come",
    ),
    (
        OpenedSilently,
        "a job is registered while the downloader falls asleep",
    ),
];
