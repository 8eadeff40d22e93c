//! The tables of jobs and of failed objects.

use std::borrow::Cow;
use std::path::PathBuf;

use maud::{Markup, PreEscaped, html};

use crate::values::JobState;
use crate::values::human::bytes;

use super::story::{JobSpan, ObjectSpan, Story};
use super::words::{count, shown, took};

/// So many rows with failures, and so many others, the slowest.
const ROWS: usize = 250;

/// The jobs, failures first, then those that ran longest.
pub fn jobs(story: &Story) -> Markup {
    let (mut failed, mut other): (Vec<&JobSpan>, Vec<&JobSpan>) =
        story.jobs.iter().partition(|job| job.has_failed());
    let failures = failed.len();
    failed.truncate(ROWS);
    let slowest = |a: &&JobSpan, b: &&JobSpan| {
        let seconds = |job: &JobSpan| job.ran().unwrap_or(-1.0);
        seconds(b).total_cmp(&seconds(a))
    };
    let others = other.len();
    if others > ROWS {
        other.select_nth_unstable_by(ROWS, slowest);
        other.truncate(ROWS);
    }
    other.sort_by(slowest);
    let said = said(failures, failed.len(), others, other.len());
    let is_uploaded = story.jobs.iter().any(|job| job.upload.is_some());
    html! {
        h2 id="jobs" { "Jobs" }
        @if story.jobs.is_empty() {
            p { "There was no job." }
        } @else {
            div.scroll tabindex="0" role="region" aria-label="Jobs" {
                table.sortable {
                    caption { (said) }
                    thead { tr {
                        (head("Job", false))
                        (head("State", false))
                        (head("Waited for data", true))
                        (head("Waited for a worker", true))
                        (head("Ran", true))
                        @if is_uploaded { (head("Upload", true)) }
                        (head("Inputs", true))
                        (head("Times", true))
                        (head("Result", false))
                    } }
                    tbody {
                        @for job in failed.into_iter().chain(other) { (row(story, job, is_uploaded)) }
                    }
                }
            }
        }
    }
}

fn said(failures: usize, failed: usize, others: usize, other: usize) -> String {
    let mut said = match failures {
        0 => "The jobs that ran longest first.".to_owned(),
        _ => "Failed jobs first, then those that ran longest.".to_owned(),
    };
    let left = (failures - failed) + (others - other);
    if left > 0 {
        said.push_str(&format!(
            " {} left out ({} of them failed); OUT/summary.json has them all.",
            count(left as u64, "job"),
            failures - failed
        ));
    }
    said
}

/// A header that sorts where there is a script; without it, a plain header.
fn head(name: &str, numbers: bool) -> Markup {
    html! { th.n[numbers] scope="col" { button type="button" disabled { (name) } } }
}

fn row(story: &Story, job: &JobSpan, is_uploaded: bool) -> Markup {
    let size = |slot: &u32| story.objects.get(*slot as usize).map(|o| o.size);
    let inputs: u64 = job.inputs.iter().filter_map(size).sum();
    let upload = job.upload.map(|(begun, ended)| ended - begun);
    html! {
        tr {
            td.name { bdi { (shown(&job.name)) } }
            td.bad[job.has_failed()] { (state(job)) }
            (seconds(job.waited_for_data()))
            (seconds(job.waited_for_a_worker()))
            (seconds(job.ran()))
            @if is_uploaded { (seconds(upload)) }
            td.n data-v=(inputs) { (bytes(inputs)) " in " (job.inputs.len()) }
            td.n data-v=(job.runs.len()) { (job.runs.len()) }
            td.why { (result(story, job)) }
        }
    }
}

fn state(job: &JobSpan) -> &'static str {
    match (job.state, job.earlier) {
        (JobState::Done, true) => "done earlier",
        (state, _) => state.name(),
    }
}

fn seconds(seconds: Option<f64>) -> Markup {
    let value = seconds.map_or_else(String::new, |s| format!("{s:.6}"));
    html! { td.n data-v=(value) { (took(seconds)) } }
}

/// Where the result is, or why there is none.
fn result(story: &Story, job: &JobSpan) -> Markup {
    if job.has_failed() {
        let fault = job.fault.map(|fault| fault.to_string());
        let why = job.error.as_deref().or(fault.as_deref());
        let code = job.fault.map_or("", |fault| fault.code.name());
        let way_out = job.fault.map_or("", |fault| fault.code.way_out());
        return html! {
            bdi { (shown(why.unwrap_or("not known"))) }
            @if job.error.is_none() && !way_out.is_empty() { ": " (way_out) }
            @if !code.is_empty() { " " span.soft { "(" (code) ")" } }
        };
    }
    // Below the directory of the results.
    let inside = |path: &PathBuf| path.strip_prefix(&story.out).unwrap_or(path).to_path_buf();
    let first = job.outputs.first().map(inside);
    let first = first.map(|path| path.to_string_lossy().into_owned().into());
    let first: Option<Cow<str>> = first.or_else(|| Some(job.uploaded.first()?.as_str().into()));
    let more = (job.outputs.len() + job.uploaded.len()).saturating_sub(1);
    html! {
        @if let Some(first) = first { bdi { (shown(&first)) } }
        @if more > 0 { " " span.soft { "and " (more) " more" } }
    }
}

/// The objects that failed; nothing if none did.
pub fn failed_objects(story: &Story) -> Markup {
    let failed: Vec<&ObjectSpan> = (story.objects.iter())
        .filter(|object| object.fault.is_some())
        .collect();
    if failed.is_empty() {
        return PreEscaped(String::new());
    }
    let left = failed.len().saturating_sub(ROWS);
    html! {
        h2 { "Objects that failed" }
        div.scroll tabindex="0" role="region" aria-label="Objects that failed" {
            table.sortable {
                caption {
                    (count(failed.len() as u64, "object")) " failed."
                    @if left > 0 { " " (count(left as u64, "object")) " left out; OUT/summary.json has them all." }
                }
                thead { tr {
                    (head("Object", false)) (head("Size", true)) (head("Tried again", true)) (head("Why", false))
                } }
                tbody {
                    @for object in failed.into_iter().take(ROWS) {
                        tr {
                            td.name { bdi { (shown(&object.key)) } }
                            td.n data-v=(object.size) { (bytes(object.size)) }
                            td.n data-v=(object.retries) { (object.retries) }
                            td.why {
                                @if let Some(fault) = object.fault {
                                    (fault) ": " (fault.code.way_out())
                                    " " span.soft { "(" (fault.code.name()) ")" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
