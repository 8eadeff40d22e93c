//! Downloads and jobs on one time axis.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::values::Role;
use crate::values::human::{bytes, duration};

use super::figures::waits_of_workers;
use super::lanes::{self, Kind, Lane, Span};
use super::story::Story;
use super::svg::{LEFT, TimeAxis, WIDTH, chart, text};
use super::words::{count, percent, shown};

/// So many lanes of connections and of workers; where there are more, neighbours share one.
const LINES: usize = 48;
const WORKERS: usize = 64;

/// The chart with its legend.
pub fn gantt(story: &Story) -> Markup {
    let lines = lanes::at_most(lines(story), LINES);
    let workers = lanes::at_most(workers(story), WORKERS);
    let uploads = uploads(story);
    if lines.is_empty() && workers.is_empty() {
        return html! {};
    }
    let end = (story.parts.iter().map(|p| p.ended))
        .chain(
            story
                .jobs
                .iter()
                .flat_map(|j| j.runs.last())
                .map(|r| r.ended),
        )
        .fold(story.seconds, f64::max);
    let axis = TimeAxis::new(end);
    let all = lines.len() + workers.len() + uploads.len();
    let bins = lanes::bins(all);
    let height = match all {
        0..=14 => 19.0,
        15..=40 => 13.0,
        _ => 9.0,
    };
    let groups = [
        ("Connections", &lines),
        ("Workers", &workers),
        ("Uploads", &uploads),
    ];
    let mut drawn = Vec::new();
    let mut y = 4.0;
    for (name, lanes) in groups {
        if lanes.is_empty() {
            continue;
        }
        y += 18.0;
        drawn.push(text(LEFT, y - 5.0, "start", "head", name));
        for lane in lanes {
            let title = |span: &Span| title(story, span);
            let short = |span: &Span| short(story, span);
            drawn.push(lanes::draw(lane, &axis, (y, height), bins, &title, &short));
            y += height + 3.0;
        }
        y += 4.0;
    }
    let says = says(story);
    let body = html! {
        defs {
            pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                rect width="5" height="5" class="hatched" {}
                rect width="2" height="5" class="hatching" {}
            }
        }
        (axis.draw(4.0, y))
        @for lane in &drawn { (lane) }
    };
    let kinds = legend(story);
    html! {
        h2 { "Downloads and jobs" }
        figure {
            div.scroll.chart tabindex="0" role="region" aria-label="Downloads and jobs, chart" {
                (chart(WIDTH, y + 24.0, &says, body))
            }
            ul.legend {
                @for (kind, name) in kinds {
                    li { svg viewBox="0 0 18 12" aria-hidden="true" { rect width="18" height="12" class=(kind.class()) {} } (name) }
                }
            }
            figcaption {
                "Each row is one connection or one worker. What is too short to be seen alone is drawn as a bar, the higher the more of that time it filled. Point at a piece for its name."
            }
        }
    }
}

fn legend(story: &Story) -> Vec<(Kind, &'static str)> {
    let mut kinds = Vec::new();
    if !story.parts.is_empty() {
        kinds.push((Kind::Asked, "waits for an answer"));
        kinds.push((Kind::Coming, "bytes come"));
    }
    let runs = story.jobs.iter().any(|job| !job.runs.is_empty());
    kinds.extend(runs.then_some((Kind::Running, "job runs")));
    if story.jobs.iter().any(|job| fails(job, job.runs.len())) {
        kinds.push((Kind::Failed, "run that failed or was cut off (hatched)"));
    }
    if waits_of_workers(story).next().is_some() {
        kinds.push((Kind::Waiting, "processor waits for data (upper edge)"));
    }
    if story.jobs.iter().any(|job| job.upload.is_some()) {
        kinds.push((Kind::Uploading, "result is uploaded"));
    }
    kinds
}

/// Whether one of its runs did not end well.
fn fails(job: &super::story::JobSpan, runs: usize) -> bool {
    runs > 1 || (runs == 1 && job.has_failed())
}

fn lines(story: &Story) -> Vec<Lane> {
    let mut lanes: BTreeMap<u16, Vec<Span>> = BTreeMap::new();
    for (item, part) in story.parts.iter().enumerate() {
        let item = item as u32;
        let spans = lanes.entry(part.line).or_default();
        let answered = part
            .answered
            .unwrap_or(part.ended)
            .clamp(part.begun, part.ended.max(part.begun));
        let piece = |from, to, kind| Span {
            from,
            to,
            kind,
            item,
        };
        if answered > part.begun {
            spans.push(piece(part.begun, answered, Kind::Asked));
        }
        if part.ended > answered || answered == part.begun {
            spans.push(piece(answered, part.ended, Kind::Coming));
        }
    }
    named(lanes)
}

fn workers(story: &Story) -> Vec<Lane> {
    // Those that had nothing to do have a lane, too.
    let numbers = story
        .processes
        .iter()
        .filter(|process| process.role == Role::Worker);
    let mut lanes: BTreeMap<u16, Vec<Span>> = numbers
        .map(|process| (process.number, Vec::new()))
        .collect();
    for (item, job) in story.jobs.iter().enumerate() {
        for (place, run) in job.runs.iter().enumerate() {
            let last = place + 1 == job.runs.len();
            let kind = match last && !job.has_failed() {
                true => Kind::Running,
                false => Kind::Failed,
            };
            lanes.entry(run.worker).or_default().push(Span {
                from: run.begun,
                to: run.ended,
                kind,
                item: item as u32,
            });
        }
    }
    for (item, wait) in waits_of_workers(story) {
        if let Some(spans) = lanes.get_mut(&wait.process) {
            spans.push(Span {
                from: wait.begun,
                to: wait.ended,
                kind: Kind::Waiting,
                item: item as u32,
            });
        }
    }
    named(lanes)
}

/// Lanes are numbered from 1, whatever their numbers were.
fn named(lanes: BTreeMap<u16, Vec<Span>>) -> Vec<Lane> {
    let named = lanes.into_values().enumerate().map(|(at, spans)| Lane {
        name: (at + 1).to_string(),
        spans,
        together: 1,
    });
    named.collect()
}

/// Uploads that go on at the same time stand below each other.
fn uploads(story: &Story) -> Vec<Lane> {
    let uploads = story.jobs.iter().enumerate();
    let uploads = uploads.filter_map(|(item, job)| job.upload.map(|(from, to)| (from, to, item)));
    let mut uploads: Vec<(f64, f64, usize)> = uploads.collect();
    uploads.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lanes: Vec<Vec<Span>> = Vec::new();
    for (from, to, item) in uploads {
        let free = lanes
            .iter()
            .position(|lane| lane.last().is_none_or(|last| last.to <= from));
        let lane = free.unwrap_or_else(|| {
            // The last one takes what does not fit.
            if lanes.len() < 8 {
                lanes.push(Vec::new());
            }
            lanes.len() - 1
        });
        lanes[lane].push(Span {
            from,
            to,
            kind: Kind::Uploading,
            item: item as u32,
        });
    }
    named(
        lanes
            .into_iter()
            .enumerate()
            .map(|(at, lane)| (at as u16, lane))
            .collect(),
    )
}

fn title(story: &Story, span: &Span) -> String {
    let when = format!(
        "{} to {} ({})",
        duration(span.from),
        duration(span.to),
        duration(span.to - span.from)
    );
    let object = |slot: u32| {
        story
            .objects
            .get(slot as usize)
            .map_or("", |object| &object.key)
    };
    match span.kind {
        Kind::Asked | Kind::Coming => {
            let part = story.parts.get(span.item as usize);
            let key = part.map_or("", |part| object(part.slot));
            let size = part.map_or(0, |part| part.bytes);
            let what = match span.kind {
                Kind::Asked => "waits for an answer",
                _ => "comes",
            };
            format!("{}, part of {} {what}: {when}", shown(key), bytes(size))
        }
        Kind::Waiting => {
            let wait = story.waits.get(span.item as usize);
            format!(
                "waits for {}: {when}",
                shown(wait.map_or("", |wait| object(wait.slot)))
            )
        }
        Kind::Running | Kind::Failed | Kind::Uploading => {
            let name = story
                .jobs
                .get(span.item as usize)
                .map_or("", |job| &job.name);
            let what = match span.kind {
                Kind::Running => "runs",
                Kind::Failed => "runs without success",
                _ => "is uploaded",
            };
            format!("{} {what}: {when}", shown(name))
        }
    }
}

fn short(story: &Story, span: &Span) -> String {
    match span.kind {
        Kind::Running | Kind::Uploading => {
            let name = story
                .jobs
                .get(span.item as usize)
                .map_or("", |job| &job.name);
            shown(name).into_owned()
        }
        _ => String::new(),
    }
}

/// The chart in words.
fn says(story: &Story) -> String {
    let ends = story.parts.iter().map(|part| part.ended);
    let downloaded = ends.fold(0.0, f64::max);
    let runs = || story.jobs.iter().flat_map(|job| &job.runs);
    let first = runs().map(|run| run.begun).fold(f64::INFINITY, f64::min);
    let last = runs().map(|run| run.ended).fold(0.0, f64::max);
    let worked: f64 = runs().map(|run| run.ended - run.begun).sum();
    let all = story.workers as f64 * story.seconds;
    let mut said = vec![format!(
        "Downloads and jobs over {}",
        duration(story.seconds)
    )];
    if !story.parts.is_empty() {
        said.push(format!(
            "{} came until {}",
            count(story.parts.len() as u64, "part"),
            duration(downloaded)
        ));
    }
    if first.is_finite() {
        said.push(format!(
            "jobs ran from {} to {}, and {} busy for {} of the run",
            duration(first),
            duration(last),
            match story.workers {
                1 => "the worker was".to_owned(),
                n => format!("the {n} workers were"),
            },
            percent(worked / all)
        ));
    }
    said.join("; ") + "."
}
