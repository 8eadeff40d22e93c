//! How long what waited: for data, for a worker, for the next job, inside of processors.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::figures::waits_of_workers;
use super::story::Story;
use super::svg::{chart, line, num, text};
use super::words::{count, lasted, number};

/// Seconds at which bins end; the last one has no end.
const EDGES: [f64; 14] = [
    0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 900.0, 3600.0,
];
/// The fewest bins that are shown.
const FEWEST: usize = 6;

const WIDTH: f64 = 480.0;
const HEIGHT: f64 = 200.0;

/// The four histograms; nothing if nothing ran.
pub fn waits(story: &Story) -> Markup {
    if story.jobs.iter().all(|job| job.runs.is_empty()) {
        return html! {};
    }
    let data: Vec<f64> = story
        .jobs
        .iter()
        .filter_map(|j| j.waited_for_data())
        .collect();
    let worker: Vec<f64> = story
        .jobs
        .iter()
        .filter_map(|j| j.waited_for_a_worker())
        .collect();
    let inside: Vec<f64> = waits_of_workers(story)
        .map(|(_, w)| w.ended - w.begun)
        .collect();
    html! {
        h2 { "Waits" }
        p.soft { "How often something waited how long; each bar is about three times as long as the one before it." }
        div.two {
            (histogram("Jobs, for their data", "from the registration of a job until its inputs were there", &data, "net"))
            (histogram("Ready jobs, for a worker", "from when its inputs were there until a worker began", &worker, "wait"))
            (histogram("Workers, for their next job", "from the end of a job until the next one on the same worker", &idle(story), "job"))
            @if !inside.is_empty() {
                (histogram("Processors, for objects", "inside of a running job", &inside, "wait"))
            }
        }
    }
}

/// How long each worker had nothing to do between two jobs.
fn idle(story: &Story) -> Vec<f64> {
    let mut runs: BTreeMap<u16, Vec<(f64, f64)>> = BTreeMap::new();
    for run in story.jobs.iter().flat_map(|job| &job.runs) {
        runs.entry(run.worker)
            .or_default()
            .push((run.begun, run.ended));
    }
    let mut idle = Vec::new();
    for runs in runs.values_mut() {
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let pairs = runs.windows(2);
        idle.extend(pairs.map(|pair| (pair[1].0 - pair[0].1).max(0.0)));
    }
    idle
}

fn histogram(name: &str, what: &str, waits: &[f64], class: &str) -> Markup {
    html! {
        figure {
            h3 { (name) }
            @if waits.is_empty() {
                p.soft { "None." }
            } @else {
                (bars(name, waits, class))
            }
            figcaption { (summary(waits, what)) }
        }
    }
}

fn summary(waits: &[f64], what: &str) -> String {
    if waits.is_empty() {
        return format!("Time {what}.");
    }
    let mut sorted = waits.to_vec();
    sorted.sort_by(f64::total_cmp);
    let all: f64 = sorted.iter().sum();
    format!(
        "Time {what}: {}, half of them below {}, at most {}, {} together.",
        count(sorted.len() as u64, "wait"),
        lasted(sorted[sorted.len() / 2]),
        lasted(sorted[sorted.len() - 1]),
        lasted(all)
    )
}

fn bars(name: &str, waits: &[f64], class: &str) -> Markup {
    let mut counts = [0_u64; EDGES.len() + 1];
    for wait in waits {
        counts[EDGES.partition_point(|edge| edge <= wait)] += 1;
    }
    let some = |n: &u64| *n > 0;
    let first = counts.iter().position(some).unwrap_or(0);
    let last = counts.iter().rposition(some).unwrap_or(0);
    // Some room on both sides where there are few.
    let first = first
        .min(counts.len() - FEWEST)
        .min(last.saturating_sub(FEWEST - 2));
    let last = last.max(first + FEWEST - 1);
    let shown = &counts[first..=last];
    let most = shown.iter().copied().max().unwrap_or(1).max(1) as f64;
    let (left, right, top, bottom) = (10.0, WIDTH - 10.0, 22.0, HEIGHT - 26.0);
    let unit = (right - left) / shown.len() as f64;
    let words = shown.iter().enumerate().filter(|(_, n)| **n > 0);
    let words = words.map(|(at, n)| format!("{} {}", number(*n), range(first + at)));
    let says = format!("{name}: {}.", words.collect::<Vec<_>>().join(", "));
    let body = html! {
        @for (at, n) in shown.iter().enumerate() {
            @let x = left + at as f64 * unit;
            @let height = *n as f64 / most * (bottom - top);
            @if *n > 0 {
                rect x=(num(x + 2.0)) y=(num(bottom - height.max(1.5))) width=(num(unit - 4.0)) height=(num(height.max(1.5))) class=(class) {
                    title { (number(*n)) " " (range(first + at)) }
                }
                (text(x + unit / 2.0, bottom - height.max(1.5) - 5.0, "middle", "head", &number(*n)))
            }
            @if at + 1 < shown.len() && (shown.len() <= 9 || (first + at) % 2 == 0) {
                (text(x + unit, bottom + 17.0, "middle", "", &edge(EDGES[first + at])))
            }
        }
        (line((left, bottom), (right, bottom), "base"))
    };
    chart(WIDTH, HEIGHT, &says, body)
}

fn edge(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{} ms", (s * 1000.0).round()),
        s if s < 300.0 => format!("{s} s"),
        s if s < 3600.0 => format!("{} min", (s / 60.0).round()),
        _ => "1 h".to_owned(),
    }
}

/// What a bin holds, in words.
fn range(bin: usize) -> String {
    match (bin.checked_sub(1), EDGES.get(bin)) {
        (None, Some(end)) => format!("below {}", edge(*end)),
        (Some(before), Some(end)) => format!("from {} to {}", edge(EDGES[before]), edge(*end)),
        (_, None) => format!("of {} or more", edge(EDGES[EDGES.len() - 1])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wait_is_counted_once() {
        let waits = [0.0, 0.0005, 0.001, 0.5, 2.0, 9999.0];
        let drawn = bars("Waits", &waits, "net").into_string();
        for said in [
            "2 below 1 ms",
            "1 from 1 ms to 3 ms",
            "1 from 300 ms to 1 s",
            "1 of 1 h or more",
        ] {
            assert!(drawn.contains(said), "{drawn}");
        }
        for wait in [0.0001, 0.5, 1e6] {
            assert!(
                bars("One", &[wait], "net")
                    .into_string()
                    .contains("One: 1 ")
            );
        }
    }
}
