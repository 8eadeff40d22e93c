//! What would have made the run faster: the replay, and what it says of changes.

use maud::{Markup, html};

use crate::schedule::network::Growth;
use crate::schedule::replay::{Change, Replay, WhatIf};
use crate::values::human::{bytes, duration};
use crate::values::order::Order;

use super::figures::waits_of_workers;
use super::replayed::NoReplay;
use super::story::Story;
use super::verdict::is_rough;
use super::words::{about, count, percent};

/// The table of changes, and how far it can be trusted.
pub fn what_if(story: &Story, replay: &Result<Replay, NoReplay>) -> Markup {
    html! {
        h2 { "What would have made it faster" }
        @match replay {
            Err(why) => p { (why.text()) },
            Ok(replay) => {
                p { (trust(replay)) }
                div.scroll tabindex="0" role="region" aria-label="What would have made it faster" {
                    table {
                        caption { "Each row changes one thing and replays the run. Times are from the first job's registration to the end of the last." }
                        thead { tr {
                            th scope="col" { "Change" }
                            th.n scope="col" { "Would take" }
                            th scope="col" { "Saves" }
                            th scope="col" { "Remark" }
                        } }
                        tbody {
                            tr {
                                td { "None: the run as it was" }
                                td.n { (duration(replay.replayed)) }
                                td { "–" }
                                td { "it took " (duration(replay.actual)) }
                            }
                            @for what_if in &replay.what_ifs { (row(story, replay, what_if)) }
                        }
                    }
                }
                (assumptions(story, replay))
            }
        }
    }
}

/// How far the replay is off.
fn trust(replay: &Replay) -> String {
    let off = replay.off();
    let way = match off < 0.0 {
        true => "shorter",
        false => "longer",
    };
    let how = match off.abs() < 0.005 {
        true => "less than 1% off".to_owned(),
        false => format!("{} {way}", percent(off.abs())),
    };
    let rough = match is_rough(replay) {
        true => " That is much: take the figures below as rough.",
        false => "",
    };
    format!(
        "The scheduling simulator has replayed this run from what was seen of it: {} instead of {}, {how}.{rough} Savings smaller than that difference, or than 2%, count as nothing.",
        duration(replay.replayed),
        duration(replay.actual)
    )
}

fn row(story: &Story, replay: &Replay, what_if: &WhatIf) -> Markup {
    let saves = match replay.saved(what_if) {
        None => "nothing".to_owned(),
        Some(saved) if saved < 0.0 => format!("costs {}", about(-saved)),
        Some(saved) => {
            format!("{} ({})", about(saved), percent(saved / replay.replayed))
        }
    };
    html! {
        tr {
            td { (name(what_if.change, replay)) }
            td.n { (duration(what_if.seconds)) }
            td { (saves) }
            td.why { (remark(story, replay, what_if)) }
        }
    }
}

fn name(change: Change, replay: &Replay) -> String {
    match change {
        Change::Connections(1) => "1 connection".to_owned(),
        Change::Connections(n) if n == replay.setup.most_connections() => {
            format!("{n} connections from the beginning")
        }
        Change::Connections(n) => format!("{n} connections"),
        Change::Workers(n) => format!("{n} workers"),
        Change::Network(times) => format!("A network {times} times as fast"),
        Change::Order(Order::AsGiven) => "Jobs in the order given".to_owned(),
        Change::Order(Order::SmallestFirst) => "The smallest jobs first".to_owned(),
        Change::Order(Order::Johnson) => "Jobs in Johnson's order".to_owned(),
        Change::Staged => "Everything in staging before".to_owned(),
        Change::Instant => "Processors that take no time".to_owned(),
    }
}

fn remark(story: &Story, replay: &Replay, what_if: &WhatIf) -> String {
    match what_if.change {
        Change::Connections(_) if what_if.assumed => format!(
            "assumes that each brings as much as the {} seen",
            replay.network.map_or(0, |network| network.most)
        ),
        Change::Network(_) if story.allowed.bytes_per_second.is_some() => format!(
            "the endpoint allows no more than {} a second",
            story.allowed.bytes_per_second.map_or(String::new(), bytes)
        ),
        Change::Workers(n) if story.cores > 0 && n > story.cores => {
            format!("if cores are no limit; there are {}", story.cores)
        }
        _ => String::new(),
    }
}

/// What the replay knows, and what it does not.
fn assumptions(story: &Story, replay: &Replay) -> Markup {
    let rate = |rate: f64| format!("{}/s", bytes(rate as u64));
    let network = replay.network.map(|network| {
        let each = rate(network.per_connection);
        let most = network.most;
        let all = match network.growth {
            Growth::Proportional => format!(
                "the rate grew in proportion up to the {most} connections at work at once, so no limit of the network was seen"
            ),
            Growth::Full => format!(
                "all together no more than {}, with up to {most} at work at once",
                rate(network.bandwidth)
            ),
            Growth::Unknown => format!(
                "all together {}; whether more connections bring more cannot be told from this run",
                rate(network.bandwidth)
            ),
        };
        format!(
            "The network as it was seen: {} until an answer begins, {each} on one connection; {all}.",
            duration(network.latency)
        )
    });
    let mut unknown = Vec::new();
    if story.staging_limited {
        unknown.push("the limit of staging");
    }
    if story.jobs.iter().any(|job| job.upload.is_some()) {
        unknown.push("uploads");
    }
    if waits_of_workers(story).next().is_some() {
        unknown.push("processors that wait for their inputs while they run");
    }
    let allowed = story
        .allowed
        .connections
        .map(|most| count(most.into(), "connection"));
    html! {
        @if let Some(network) = network { p.soft { (network) } }
        @if let Some(most) = allowed { p.soft { "The endpoint allows no more than " (most) ", so no more were tried." } }
        @if !unknown.is_empty() {
            p.soft { "The simulator does not know " (unknown.join(" and ")) ", which this run had." }
        }
        @if replay.is_large { p.soft { "The run is large, so fewer changes were tried." } }
    }
}
