//! What random histories have reached, so that none of them proves nothing.

use std::collections::BTreeSet;

use cotec::values::{FaultCode, JobState};

use crate::bench::Bench;
use crate::model::{GRAIN, Refusal};
use crate::records::Object;

/// What the histories have reached.
#[derive(Debug, Default)]
pub struct Reached {
    refusals: BTreeSet<String>,
    object_states: BTreeSet<&'static str>,
    job_states: BTreeSet<&'static str>,
    input_failures: u64,
    given_up: u64,
    second_attempts: u64,
    partly_landed: u64,
    outside_the_slot: u64,
    events_lost: u64,
    finished: u64,
}

impl Reached {
    pub fn add(&mut self, bench: &Bench) {
        let m = &bench.model;
        self.refusals.extend(bench.refusals.iter().cloned());
        self.object_states
            .extend(m.objects.iter().map(|o| o.state.name()));
        self.job_states
            .extend(m.jobs.iter().map(|j| j.state.name()));
        let failed = |code| {
            m.jobs
                .iter()
                .filter(|j| j.fault.is_some_and(|f| f.code == code))
                .count()
        };
        self.input_failures += failed(FaultCode::Input) as u64;
        self.given_up += failed(FaultCode::WorkerDied) as u64;
        self.second_attempts += m.jobs.iter().filter(|j| j.attempt > 1).count() as u64;
        self.partly_landed += m.objects.iter().filter(|o| !o.landed.is_empty()).count() as u64;
        let large = |o: &&Object| o.size > 32 * GRAIN && !o.landed.is_empty();
        self.outside_the_slot += m.objects.iter().filter(large).count() as u64;
        self.events_lost += bench.lost;
        let done = m.jobs.iter().any(|j| j.state == JobState::Done);
        self.finished += u64::from(done && m.finished());
    }

    pub fn assert_all(&self) {
        assert_eq!(self.object_states.len(), 5);
        assert_eq!(self.job_states.len(), 6);
        for what in [
            "objects",
            "jobs",
            "inputs",
            "words of text",
            "words of grains",
            "processes",
        ] {
            let full = format!("{:?}", Refusal::Full(what));
            assert!(self.refusals.contains(&full), "never full of {what}");
        }
        for what in ["key", "ETag", "job name", "job payload", "job result"] {
            let long = format!("{:?}", Refusal::TooLong(what));
            assert!(self.refusals.contains(&long), "never a too long {what}");
        }
        assert!(
            self.refusals
                .contains(&format!("{:?}", Refusal::NoSuchSlot))
        );
        for count in [
            self.input_failures,
            self.given_up,
            self.second_attempts,
            self.partly_landed,
            self.outside_the_slot,
            self.events_lost,
            self.finished,
        ] {
            assert!(count > 0);
        }
    }
}
