//! Plain lines for people: what ends, fails or is said, and the summary.

use std::collections::BTreeMap;
use std::io::Write;

use super::observe::{Happening, Observer, Progress, What};
use super::summary::Summary;
use super::voice::{Voice, detail};
use crate::values::human::{bytes, count, duration, printable};
use crate::values::{JobState, Verified, verified};
use crate::watch::Why;
use crate::work::ResultStats;

/// How often a line of progress appears where there is no terminal, in seconds.
const EVERY: f64 = 5.0;

/// Writes lines: results and the summary to `out`, progress and failures to `err`.
pub struct PlainObserver<O, E> {
    out: O,
    err: E,
    voice: Voice,
    next_line: f64,
    notes_seen: BTreeMap<String, u64>,
}

impl<O: Write, E: Write> PlainObserver<O, E> {
    /// Writes to `out` and `err`. When they can no longer be written the run goes on.
    pub fn new(out: O, err: E, voice: Voice) -> PlainObserver<O, E> {
        PlainObserver {
            out,
            err,
            voice,
            next_line: EVERY,
            notes_seen: BTreeMap::new(),
        }
    }
}

impl<O: Write, E: Write> Observer for PlainObserver<O, E> {
    fn wants_all(&self) -> bool {
        self.voice.verbose
    }

    fn happening(&mut self, happening: &Happening) {
        if let What::Ended(summary) = &happening.what {
            if !self.voice.quiet {
                let _ = self.out.write_all(summary_text(summary).as_bytes());
                let _ = self.out.flush();
            }
        } else if let Some(line) = line(happening, self.voice, &mut self.notes_seen) {
            let _ = writeln!(self.err, "{line}");
        }
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        if !self.voice.quiet && progress.at >= self.next_line {
            self.next_line = progress.at + EVERY;
            let _ = writeln!(self.err, "{}", progress_text(progress));
        }
    }
}

/// The line for a happening, if it deserves one.
pub(super) fn line(
    happening: &Happening,
    voice: Voice,
    notes_seen: &mut BTreeMap<String, u64>,
) -> Option<String> {
    let said = said(&happening.what, notes_seen).filter(|line| voice.says(line));
    said.map(|line| voice.paint(&line))
        .or_else(|| voice.verbose.then(|| detail(happening)).flatten())
}

/// What is said of a happening. A sentence that is said of many jobs is shown once.
fn said(what: &What, notes_seen: &mut BTreeMap<String, u64>) -> Option<String> {
    match what {
        What::Started { workers, store } => {
            Some(format!("{} · {store}", count(*workers as u64, "worker")))
        }
        What::Planned { products, jobs } => Some(format!(
            "planned: {}, {}",
            count(*products, "product"),
            count(*jobs, "job")
        )),
        What::Note { text, error } => {
            let seen = notes_seen.entry(text.clone()).or_default();
            *seen += 1;
            (*seen == 1).then(|| {
                if *error {
                    format!("error: {text}")
                } else {
                    format!("note: {text}")
                }
            })
        }
        What::Job {
            state: JobState::Failed,
            name,
            result,
            why,
            ..
        } => {
            let why = why.as_ref().map(Why::to_string).unwrap_or_default();
            let end = result
                .as_ref()
                .and_then(|r| r.log_end.as_deref())
                .unwrap_or_default();
            let mut text = format!("failed: {name}: {why}");
            for line in end.lines() {
                text.push_str("\n    | ");
                text.push_str(&printable(line));
            }
            Some(text)
        }
        What::HandedOn { name } => Some(format!("the worker of {name} died: the job is handed on")),
        What::Died {
            role,
            pid,
            how,
            replaced,
        } => {
            let then = if *replaced { ": started again" } else { "" };
            Some(format!("the {role} (process {pid}) ended with {how}{then}"))
        }
        What::Object { .. }
        | What::Job { .. }
        | What::UploadBegun { .. }
        | What::Retry { .. }
        | What::Ended(_) => None,
    }
}

/// One line that says how far the run is.
fn progress_text(progress: &Progress<'_>) -> String {
    let [objects, jobs] = progress_parts(progress);
    format!("{:>4.0} s  {objects} · {jobs}", progress.at)
}

/// How far the run is: with its objects, and with its jobs.
pub(super) fn progress_parts(progress: &Progress<'_>) -> [String; 2] {
    let tally = progress.tally;
    // Until everything is registered there may be more.
    let more = if progress.planned { "" } else { "+" };
    let objects = format!(
        "{} of {}{more} · {}/s · objects {}/{}{more}",
        bytes(progress.bytes),
        bytes(tally.to_fetch()),
        bytes((progress.bytes as f64 / progress.at.max(0.001)) as u64),
        tally.objects_ready.min(tally.objects),
        tally.objects,
    );
    let mut jobs = format!(
        "jobs: {} waiting, {} ready, {} running, {} done",
        tally.waiting(),
        tally.jobs_ready,
        tally.running,
        tally.done,
    );
    if tally.uploading > 0 {
        jobs.push_str(&format!(", {} uploading", tally.uploading));
    }
    if tally.failed > 0 {
        jobs.push_str(&format!(", {} failed", tally.failed));
    }
    if let Some(left) = time_left(progress) {
        jobs.push_str(&format!(" · about {} left", duration(left)));
    }
    [objects, jobs]
}

/// Seconds left, from the slower of what is to be fetched and what is to be run.
fn time_left(progress: &Progress<'_>) -> Option<f64> {
    let tally = progress.tally;
    if !progress.planned || progress.at < 1.0 || tally.objects == 0 {
        return None;
    }
    let ended = tally.done + tally.failed;
    let fetched = (tally.objects_ready as f64 / tally.objects as f64).min(1.0);
    let fetching = (fetched > 0.0).then(|| progress.at * (1.0 - fetched) / fetched);
    let left = tally.jobs.saturating_sub(ended);
    let running = (ended > 0).then(|| {
        let per_job = tally.processing_seconds / ended as f64;
        per_job * left as f64
    });
    match (fetching, running) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b).filter(|_| left > 0),
    }
}

/// How many results, failed objects or failed jobs are named one by one.
const SHOWN: usize = 40;

/// The summary that a person reads.
pub(super) fn summary_text(s: &Summary) -> String {
    if s.never_began() {
        return String::new();
    }
    let mut lines = Vec::new();
    listed(&mut lines, &results(s));
    let mut notes: BTreeMap<&str, u64> = BTreeMap::new();
    for note in s.results.iter().flat_map(|r| &r.notes) {
        *notes.entry(note).or_default() += 1;
    }
    for (note, times) in notes {
        lines.push(format!("note ({}): {note}", count(times, "job")));
    }
    let objects = s.failed_objects.iter();
    let objects = objects.map(|o| format!("object failed: {}: {}", printable(&o.key), o.error));
    listed(&mut lines, &objects.collect::<Vec<_>>());
    let failed = s.results.iter().filter(|r| r.state == "failed");
    let failed = failed.map(|r| {
        let why = r.error.as_deref().unwrap_or_default();
        format!("job failed: {}: {why}", printable(&r.job))
    });
    listed(&mut lines, &failed.collect::<Vec<_>>());
    if s.synthetic {
        lines.push(
            "The products are a synthetic sample, made by cotec: they show no place on Earth."
                .into(),
        );
    }
    lines.push(jobs_text(s));
    lines.push(times_text(s));
    lines.extend(verified_text(s));
    match s.outcome.as_str() {
        "done" | "some-failed" => lines.push(held_back_text(s)),
        "interrupted" => lines.push(
            "interrupted: staging is kept, and the same command takes what is there".to_owned(),
        ),
        _ => lines.push("given up: see the error above".to_owned()),
    }
    lines.push(String::new());
    lines.join("\n")
}

/// The first lines of a list, and how many more there are.
fn listed(lines: &mut Vec<String>, list: &[String]) {
    lines.extend(list.iter().take(SHOWN).cloned());
    if let Some(more @ 1..) = list.len().checked_sub(SHOWN) {
        lines.push(format!("... and {more} more in summary.json"));
    }
}

/// A line for each file; the figures stand beside the image that they are of.
fn results(s: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    for result in &s.results {
        for (place, path) in result.outputs.iter().enumerate() {
            let figures = match &result.stats {
                Some(stats) if place == 0 => figures(stats),
                _ => String::new(),
            };
            lines.push(format!("{}{figures}", path.display()));
        }
        for (place, object) in result.uploaded.iter().enumerate() {
            let figures = match &result.stats {
                Some(stats) if place == 0 => figures(stats),
                _ => String::new(),
            };
            lines.push(format!("{}{figures}", printable(&object.url)));
        }
    }
    lines
}

fn jobs_text(s: &Summary) -> String {
    let objects = &s.objects;
    let fetched = if objects.total == 0 {
        "nothing to fetch".to_owned()
    } else if objects.bytes_fetched == 0 && objects.bytes_ready > 0 {
        format!(
            "nothing to fetch: {} were in staging",
            bytes(objects.bytes_ready)
        )
    } else {
        let seconds = s.overlap.download_seconds.max(0.001);
        format!(
            "{} of {} fetched ({}/s)",
            bytes(objects.bytes_fetched),
            bytes(objects.bytes),
            bytes((objects.bytes_fetched as f64 / seconds) as u64),
        )
    };
    let mut text = format!(
        "{} of {} done in {}",
        s.jobs.done,
        count(s.jobs.total, "job"),
        duration(s.seconds)
    );
    if s.jobs.earlier > 0 {
        text.push_str(&format!(" ({} by an earlier run)", s.jobs.earlier));
    }
    if s.jobs.failed > 0 {
        text.push_str(&format!(", {} failed", s.jobs.failed));
    }
    if s.jobs.left > 0 {
        text.push_str(&format!(", {} not run", s.jobs.left));
    }
    format!("{text}; {fetched}")
}

fn times_text(s: &Summary) -> String {
    let overlap = &s.overlap;
    let processing = duration(overlap.processing_seconds);
    if s.objects.bytes_fetched == 0 {
        return format!("no download, processing {processing}");
    }
    format!(
        "download {}, processing {processing}; {:.0}% of the download was hidden behind processing",
        duration(overlap.download_seconds),
        overlap.hidden_share * 100.0,
    )
}

/// How the objects were verified; nothing where there are none.
fn verified_text(s: &Summary) -> Option<String> {
    let of = |v: Verified| s.objects.verified.get(v.name()).map(|n| (v, *n));
    let counts: Vec<_> = Verified::ALL.into_iter().filter_map(of).collect();
    (!counts.is_empty()).then(|| format!("verified: {}", verified::in_words(&counts)))
}

fn held_back_text(s: &Summary) -> String {
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    let held = &s.held_back;
    match held.by.as_str() {
        "network" => format!(
            "held back by the network: workers waited for data in {} of the time",
            percent(held.waiting_for_data)
        ),
        "disk" => format!(
            "held back by the staging disk: {} of the download went into writing",
            percent(held.writing_to_staging)
        ),
        "workers" => format!(
            "held back by the workers: ready jobs waited for one in {} of the time; {}",
            percent(held.waiting_for_workers),
            if held.cores_busy > 0.8 {
                "all cores were busy: more cores would help"
            } else {
                "more --workers may help"
            }
        ),
        _ => "held back by nothing in particular".to_owned(),
    }
}

fn figures(stats: &ResultStats) -> String {
    let size = format!("  {}x{}", stats.width, stats.height);
    match (stats.mean, stats.min, stats.max) {
        (Some(mean), Some(min), Some(max)) => {
            format!("{size}  mean {mean:.4}  min {min:.4}  max {max:.4}")
        }
        _ => format!("{size}  no valid pixel"),
    }
}

/// A line for the person, outside of a run. A reader that has gone away is no error.
pub(super) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
