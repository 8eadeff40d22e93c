//! The facts of a run, and what was said while it went on.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::store::EndpointProfile;
use crate::values::human::{bytes, duration};

use super::figures::Figures;
use super::story::Story;
use super::words::{count, number, percent, shown};

/// So many sentences are shown.
const NOTES: usize = 40;

/// The facts as a list of names and values.
pub fn facts(story: &Story, figures: &Figures) -> Markup {
    let jobs = story.jobs.len() as u64;
    let connections = match story.connections_set {
        Some(n) => format!("{n}, as set"),
        None => {
            let most = story.settings.iter().map(|s| s.connections).max();
            most.map_or_else(|| "auto".to_owned(), |most| format!("auto, up to {most}"))
        }
    };
    let overlap = match story.held_back.download > 0.0 && figures.fetched > 0 {
        true => percent(story.held_back.hidden / story.held_back.download),
        false => "–".to_owned(),
    };
    let rows = [
        ("Outcome", outcome(&story.outcome).to_owned(), String::new()),
        ("Took", duration(story.seconds), begun(story.begun_unix)),
        ("Jobs", number(jobs), job_counts(figures)),
        (
            "Objects",
            number(story.objects.len() as u64),
            object_counts(figures),
        ),
        (
            "Downloaded",
            bytes(figures.fetched),
            match figures.staged > 0 {
                true => format!("{} were in staging", bytes(figures.staged)),
                false => String::new(),
            },
        ),
        (
            "Rate",
            match figures.fetched {
                0 => "–".to_owned(),
                _ => format!("{}/s", bytes(figures.rate() as u64)),
            },
            match figures.fetched {
                0 => String::new(),
                _ => format!("over {}", duration(figures.downloading)),
            },
        ),
        (
            "Connections",
            connections,
            match figures.retries {
                0 => String::new(),
                n => format!("{} tried again", count(n, "request")),
            },
        ),
        (
            "Workers",
            number(story.workers as u64),
            count(story.cores as u64, "core"),
        ),
        ("Download hidden", overlap, "behind running jobs".to_owned()),
        ("Endpoint allows", allowed(&story.allowed), String::new()),
        ("Order", story.order.name().to_owned(), String::new()),
        ("Store", shown(&story.store).into_owned(), String::new()),
        (
            "Results",
            shown(&story.out.to_string_lossy()).into_owned(),
            String::new(),
        ),
    ];
    html! {
        dl {
            @for (name, value, more) in rows.into_iter().filter(|row| !row.1.is_empty()) {
                div.wide[["Endpoint allows", "Store", "Results"].contains(&name)] {
                    dt { (name) }
                    dd {
                        bdi { (value) }
                        @if !more.is_empty() { small { (more) } }
                    }
                }
            }
        }
        @if story.synthetic {
            p.note { "The products are a synthetic sample, made by cotec: they show no place on Earth." }
        }
    }
}

/// What the endpoint allows; empty where it limits nothing.
fn allowed(profile: &EndpointProfile) -> String {
    let rate = |n: u64| format!("{}/s", bytes(n));
    let parts = [
        (profile.connections).map(|n| count(n.into(), "connection")),
        profile.bytes_per_second.map(rate),
        (profile.bytes_per_connection).map(|n| format!("{} on each", rate(n))),
        (profile.requests_per_minute).map(|n| format!("{} a minute", count(n.into(), "request"))),
        (profile.bytes_per_month).map(|n| format!("{} a month", bytes(n))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(", ")
}

/// What was said, failures first.
pub fn notes(story: &Story) -> Markup {
    let mut notes: Vec<_> = story.notes.iter().collect();
    notes.sort_by_key(|note| !note.error);
    let more = notes.len().saturating_sub(NOTES);
    html! {
        @if !notes.is_empty() {
            h2 { "What was said" }
            @for note in notes.iter().take(NOTES) {
                p.note.bad[note.error] {
                    @if note.error { strong { "Error " } }
                    bdi { (shown(&note.text)) }
                    " " span.soft { "at " (duration(note.at)) }
                }
            }
            @if more > 0 { p.soft { (count(more as u64, "more sentence")) " left out." } }
        }
    }
}

fn outcome(outcome: &str) -> &str {
    match outcome {
        "done" => "done",
        "some-failed" => "done, with failures",
        "usage" => "could not begin",
        "store" => "given up: store",
        "local" => "given up: machine",
        "interrupted" => "interrupted",
        other => other,
    }
}

fn begun(unix: u64) -> String {
    let at = i64::try_from(unix).ok();
    let at = at.and_then(|at| Timestamp::from_second(at).ok());
    at.map_or_else(String::new, |at| {
        format!("begun {} UTC", at.strftime("%Y-%m-%d %H:%M:%S"))
    })
}

fn job_counts(figures: &Figures) -> String {
    let mut parts = vec![format!("{} done", number(figures.done))];
    if figures.earlier > 0 {
        parts.push(format!("{} of them earlier", number(figures.earlier)));
    }
    if figures.failed > 0 {
        parts.push(format!("{} failed", number(figures.failed)));
    }
    if figures.left > 0 {
        parts.push(format!("{} left", number(figures.left)));
    }
    parts.join(", ")
}

fn object_counts(figures: &Figures) -> String {
    let mut parts = Vec::new();
    if figures.objects_staged > 0 {
        parts.push(format!("{} from staging", number(figures.objects_staged)));
    }
    if figures.objects_failed > 0 {
        parts.push(format!("{} failed", number(figures.objects_failed)));
    }
    parts.join(", ")
}
