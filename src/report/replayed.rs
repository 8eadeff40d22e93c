//! The story of a run as the simulator wants it.

use crate::schedule::network::Part;
use crate::schedule::replay::{Observed, Replay};
use crate::schedule::simulate::Job;
use crate::values::JobState;

use super::figures::Figures;
use super::story::{JobSpan, Story};

/// Why there is no replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReplay {
    /// No job ran.
    NothingRan,
    /// Jobs are left, and what came for them is not told from the rest.
    NotOver,
    /// Events are missing.
    Lost,
}

impl NoReplay {
    /// As a sentence.
    pub fn text(self) -> &'static str {
        match self {
            NoReplay::NothingRan => "No job ran, so there is nothing to replay.",
            NoReplay::NotOver => {
                "The run was not finished, so there is no telling what would have made it faster."
            }
            NoReplay::Lost => {
                "Events of the run are missing, so it cannot be replayed: what would have made it faster is not known."
            }
        }
    }
}

/// Replays a run in virtual time.
///
/// # Errors
/// Why that says nothing of this run.
pub fn replay(story: &Story, figures: &Figures) -> Result<Replay, NoReplay> {
    if story.jobs.iter().all(|job| job.runs.is_empty()) {
        return Err(NoReplay::NothingRan);
    }
    if story.lost > 0 {
        return Err(NoReplay::Lost);
    }
    if figures.left > 0 || !matches!(story.outcome.as_str(), "done" | "some-failed") {
        return Err(NoReplay::NotOver);
    }
    Replay::of(&observed(story)).ok_or(NoReplay::NothingRan)
}

/// What the simulator is told.
pub fn observed(story: &Story) -> Observed {
    let mut landed = vec![0_u64; story.objects.len()];
    for part in &story.parts {
        if let Some(landed) = landed.get_mut(part.slot as usize) {
            *landed = landed.saturating_add(part.bytes);
        }
    }
    // What failed has brought something, too.
    let bytes = |(object, landed): (&super::story::ObjectSpan, &u64)| match object.fetched {
        0 if object.fault.is_some() => *landed,
        fetched => fetched,
    };
    let objects: Vec<u64> = story.objects.iter().zip(&landed).map(bytes).collect();
    let waits = waits(story);
    let ran = story.jobs.iter().filter(|job| !job.runs.is_empty());
    let mut ended = 0.0_f64;
    let mut jobs = Vec::new();
    for job in ran {
        let seconds = worked(job, &waits);
        ended = job.runs.iter().map(|run| run.ended).fold(ended, f64::max);
        jobs.push(Job {
            task: job.task,
            inputs: job.inputs.clone(),
            seconds,
            registered: job.registered,
        });
    }
    // What never ran because an input failed has taken its share of the network.
    for job in &story.jobs {
        let never = job.runs.is_empty() && job.state == JobState::Failed;
        let came = |slot: &&u32| objects.get(**slot as usize).is_some_and(|bytes| *bytes > 0);
        let inputs: Vec<u32> = job.inputs.iter().filter(came).copied().collect();
        if never && !inputs.is_empty() && !jobs.is_empty() {
            jobs.push(Job {
                task: job.task,
                inputs,
                seconds: 0.0,
                registered: job.registered,
            });
        }
    }
    Observed {
        objects,
        parts: (story.parts.iter())
            .map(|part| Part {
                object: part.slot,
                begun: part.begun,
                answered: part.answered,
                ended: part.ended,
                bytes: part.bytes,
            })
            .collect(),
        downloading: story.held_back.download,
        jobs,
        ended,
        settings: (story.settings.iter())
            .map(|setting| (setting.at, setting.connections as usize))
            .collect(),
        connections: story.connections_set,
        most_connections: story.allowed.connections.map(|n| n as usize),
        workers: story.workers,
        order: story.order,
    }
}

/// The waits of each process, in the order of their ends.
fn waits(story: &Story) -> Vec<Vec<(f64, f64)>> {
    let mut waits: Vec<Vec<(f64, f64)>> = Vec::new();
    for wait in &story.waits {
        let process = usize::from(wait.process);
        if waits.len() <= process {
            waits.resize(process + 1, Vec::new());
        }
        waits[process].push((wait.begun, wait.ended));
    }
    waits
}

/// Seconds that workers worked on a job, without those in which its processor waited for objects.
fn worked(job: &JobSpan, waits: &[Vec<(f64, f64)>]) -> f64 {
    let mut worked = 0.0;
    for run in &job.runs {
        let of = waits.get(usize::from(run.worker));
        let waits = of.map_or(&[][..], |waits| waits);
        let first = waits.partition_point(|(_, ended)| *ended <= run.begun);
        // Ranges can be waited for at the same time.
        let mut until = run.begun;
        let mut waited = 0.0;
        for &(begun, ended) in &waits[first..] {
            if begun >= run.ended {
                break;
            }
            let from = begun.max(until);
            let to = ended.min(run.ended);
            waited += (to - from).max(0.0);
            until = until.max(to);
        }
        worked += (run.ended - run.begun - waited).max(0.0);
    }
    worked
}
