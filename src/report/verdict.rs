//! What held the run back, and what would have saved time, in a sentence or two.

use crate::schedule::replay::{Change, Replay, WhatIf};
use crate::store::EndpointProfile;
use crate::values::human::bytes;

use super::figures::Figures;
use super::story::Story;
use super::words::{about, count, number, percent};

/// What takes less of the time than this held nobody back.
const MATTERS: f64 = 0.1;
/// Processors that waited for data for more than this share of their time kept workers from others.
const MUCH: f64 = 0.3;
/// A replay that is off by more than this makes its figures rough.
const ROUGH: f64 = 0.15;
/// The smallest number that brings this share of what the best brings is enough.
const ENOUGH: f64 = 0.9;
/// This share of a rate that is allowed counts as all of it.
const REACHED: f64 = 0.9;

/// Whether what a replay says is only roughly so.
pub fn is_rough(replay: &Replay) -> bool {
    replay.off().abs() > ROUGH
}

/// The verdict, a sentence each.
pub fn verdict(story: &Story, figures: &Figures, replay: Option<&Replay>) -> Vec<String> {
    let mut said = Vec::new();
    let jobs = story.jobs.len() as u64;
    let ended = figures.done + figures.failed;
    match story.outcome.as_str() {
        "interrupted" => said.push(format!(
            "The run was interrupted when {} of {} had ended.",
            number(ended),
            count(jobs, "job")
        )),
        "store" => said.push("The run was given up because of the store.".to_owned()),
        "local" => said.push("The run was given up because of this machine.".to_owned()),
        "usage" => said.push("The run was given up because of what it was asked for.".to_owned()),
        _ => {}
    }
    if jobs == 0 {
        said.push("There was no job in this run.".to_owned());
    } else if figures.earlier == jobs {
        said.push("All jobs had been done by an earlier run: there was nothing to do.".to_owned());
    } else if story.jobs.iter().all(|job| job.runs.is_empty()) {
        said.push("No job of this run ever ran.".to_owned());
    } else {
        said.extend(held_back(story, figures, replay));
    }
    if figures.failed > 0 && figures.failed == jobs {
        said.push(match jobs {
            1 => "Its only job failed.".to_owned(),
            _ => format!("All {} jobs failed.", number(jobs)),
        });
    } else if figures.failed > 0 {
        said.push(format!(
            "{} of {} failed.",
            number(figures.failed),
            count(jobs, "job")
        ));
    }
    if story.lost > 0 {
        said.push(format!(
            "{} of the run are not known, so figures and charts below lack something.",
            count(story.lost, "event")
        ));
    }
    said
}

fn held_back(story: &Story, figures: &Figures, replay: Option<&Replay>) -> Vec<String> {
    let share = |seconds: f64| match story.seconds > 0.0 {
        true => (seconds / story.seconds).clamp(0.0, 1.0),
        false => 0.0,
    };
    let data = share(story.held_back.waiting_for_data);
    let workers = share(story.held_back.waiting_for_workers);
    let mut said = Vec::new();
    if figures.fetched == 0 && figures.staged > 0 {
        said.push("Everything was in staging already: nothing was downloaded.".to_owned());
    }
    let head = if data >= workers && data > MATTERS {
        format!(
            "The network held this run back for {} of its time",
            percent(data)
        )
    } else if workers > MATTERS && figures.waited_running > MUCH * figures.ran {
        format!(
            "The network held this run back: all workers were taken for {} of its time, and for {} of what they ran their processors waited for data",
            percent(workers),
            percent(figures.waited_running / figures.ran)
        )
    } else if workers > MATTERS {
        let few = match story.workers {
            1 => "One worker".to_owned(),
            n => format!("{} workers", number(n as u64)),
        };
        format!(
            "{few} held this run back for {} of its time",
            percent(workers)
        )
    } else {
        let (data, workers) = (percent(data), percent(workers));
        format!(
            "Nothing held this run back for long: workers lacked data for {data} of its time, and jobs lacked workers for {workers}"
        )
    };
    let Some(replay) = replay else {
        said.push(format!("{head}."));
        return said;
    };
    let network = connections(replay, &story.allowed);
    let labour = labour(replay, story.cores);
    let clauses = match data >= workers {
        true => [network, labour],
        false => [labour, network],
    };
    let clauses: Vec<String> = clauses.into_iter().flatten().collect();
    match clauses.is_empty() {
        true => said.push(format!("{head}.")),
        false => said.push(format!("{head}; {}.", clauses.join("; "))),
    }
    if is_rough(replay) {
        said.push(format!(
            "The replay behind these estimates is off by {}: they are rough.",
            percent(replay.off().abs())
        ));
    }
    said
}

/// The smallest number whose saving is nearly the best, with what it saves.
fn best(
    replay: &Replay,
    which: impl Fn(&Change) -> Option<usize>,
) -> Option<(usize, f64, &WhatIf)> {
    let mut found: Vec<(usize, f64, &WhatIf)> = (replay.what_ifs.iter())
        .filter_map(|what_if| Some((which(&what_if.change)?, replay.saved(what_if)?, what_if)))
        .filter(|(_, saved, _)| *saved > 0.0)
        .collect();
    let most = found.iter().map(|(_, saved, _)| *saved).fold(0.0, f64::max);
    found.retain(|(_, saved, _)| *saved >= most * ENOUGH);
    found.into_iter().min_by_key(|(number, ..)| *number)
}

/// What more connections would have brought; `None` if nothing was downloaded.
fn connections(replay: &Replay, allowed: &EndpointProfile) -> Option<String> {
    let now = replay.setup.most_connections();
    let number = |change: &Change| match change {
        Change::Connections(n) => Some(*n),
        _ => None,
    };
    let tried = |what_if: &WhatIf| number(&what_if.change).is_some_and(|n| n > now);
    // No network is faster than data that are there.
    let is_staged = |what_if: &&WhatIf| what_if.change == Change::Staged;
    let staged = replay.what_ifs.iter().find(is_staged)?;
    let nothing = replay.saved(staged).is_none();
    let rate = replay.network.map_or(0.0, |network| network.bandwidth);
    match (allowed.bytes_per_second, allowed.connections) {
        (Some(most), _) if !nothing && rate >= most as f64 * REACHED => {
            let most = bytes(most);
            return Some(format!("the endpoint allows no more than {most} a second"));
        }
        (_, Some(most)) if !nothing && now >= most as usize => {
            let most = count(most.into(), "connection");
            return Some(format!("the endpoint allows no more than {most}"));
        }
        _ => {}
    }
    if !nothing && !replay.what_ifs.iter().any(tried) {
        return Some(
            "what more connections would have brought cannot be told from this run".to_owned(),
        );
    }
    Some(
        match best(replay, |change| number(change).filter(|n| *n > now)) {
            _ if nothing => "more connections would have saved nothing".to_owned(),
            None => "more connections would have saved nothing".to_owned(),
            Some((n, saved, what_if)) => {
                let assumed = match what_if.assumed {
                    true => ", if they bring as much each as those seen",
                    false => "",
                };
                format!(
                    "{n} connections instead of {now} would have saved {}{assumed}",
                    about(saved)
                )
            }
        },
    )
}

/// What more workers would have brought; `None` if that was not tried.
fn labour(replay: &Replay, cores: usize) -> Option<String> {
    let now = replay.setup.workers;
    let number = |change: &Change| match change {
        Change::Workers(n) => Some(*n),
        _ => None,
    };
    if !replay.what_ifs.iter().any(|w| number(&w.change).is_some()) {
        return None;
    }
    Some(match best(replay, number) {
        None => "more workers would have saved nothing".to_owned(),
        Some((n, saved, _)) => {
            let cores = match n > cores && cores > 0 {
                true => format!(
                    ", if the {} could do that work",
                    count(cores as u64, "core")
                ),
                false => String::new(),
            };
            format!(
                "{n} workers instead of {now} would have saved {}{cores}",
                about(saved)
            )
        }
    })
}
