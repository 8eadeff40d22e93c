//! The scenarios, by what they are about.

use crate::world::Scenario;

mod at_once;
mod bells;
mod deaths;
mod jobs;
mod names;
mod objects;
mod ranges;
mod ring;
mod uploads;

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    [
        names::SCENARIOS,
        objects::SCENARIOS,
        ranges::SCENARIOS,
        jobs::SCENARIOS,
        bells::SCENARIOS,
        deaths::SCENARIOS,
        ring::SCENARIOS,
        uploads::SCENARIOS,
        at_once::SCENARIOS,
    ]
    .concat()
}

const fn scenario(name: &'static str, body: fn(&mut crate::world::World)) -> Scenario {
    Scenario {
        name,
        body,
        preemptions: 2,
        fine: false,
        deaths: false,
    }
}

const fn deadly(name: &'static str, body: fn(&mut crate::world::World)) -> Scenario {
    Scenario {
        deaths: true,
        preemptions: 1,
        ..scenario(name, body)
    }
}

/// One in which every single access matters, not only the moves.
const fn fine(name: &'static str, body: fn(&mut crate::world::World)) -> Scenario {
    Scenario {
        fine: true,
        ..scenario(name, body)
    }
}
