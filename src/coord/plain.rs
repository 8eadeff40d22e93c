//! Plain lines for people: what ends, fails or is said, and the summary.

use std::collections::BTreeMap;
use std::io::Write;

use super::observe::{Happening, Observer, Progress, What};
use super::summary::{ResultRecord, Summary};
use crate::values::JobState;

/// How often a line of progress appears where there is no terminal, in seconds.
const EVERY: f64 = 5.0;

/// Writes lines: results and the summary to `out`, progress and failures to `err`.
pub struct PlainObserver<O, E> {
    out: O,
    err: E,
    next_line: f64,
    notes_seen: BTreeMap<String, u64>,
}

impl<O: Write, E: Write> PlainObserver<O, E> {
    /// Writes to `out` and `err`. When they can no longer be written the run goes on.
    pub fn new(out: O, err: E) -> PlainObserver<O, E> {
        PlainObserver {
            out,
            err,
            next_line: EVERY,
            notes_seen: BTreeMap::new(),
        }
    }
}

impl<O: Write, E: Write> Observer for PlainObserver<O, E> {
    fn happening(&mut self, happening: &Happening) {
        if let What::Ended(summary) = &happening.what {
            let _ = self.out.write_all(summary_text(summary).as_bytes());
            let _ = self.out.flush();
        } else if let Some(line) = line(&happening.what, &mut self.notes_seen) {
            let _ = writeln!(self.err, "{line}");
        }
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        if progress.at >= self.next_line {
            self.next_line = progress.at + EVERY;
            let _ = writeln!(self.err, "{}", progress_text(progress));
        }
    }
}

/// The line for a happening, if it deserves one. A sentence that is said of many jobs is shown
/// once.
pub(super) fn line(what: &What, notes_seen: &mut BTreeMap<String, u64>) -> Option<String> {
    match what {
        What::Started { workers, store } => Some(format!(
            "{workers} {} · {store}",
            plural(*workers as u64, "worker")
        )),
        What::Planned { products, jobs } => Some(format!(
            "planned: {products} {}, {jobs} {}",
            plural(*products, "product"),
            plural(*jobs, "job")
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
            fault,
            ..
        } => {
            let said = result.as_ref().and_then(|r| r.error.clone());
            let why = said
                .or_else(|| fault.map(|f| f.to_string()))
                .unwrap_or_default();
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
        What::Died { role, pid, how } => Some(format!(
            "the {role} (process {pid}) ended with {how}: started again"
        )),
        What::Object { .. } | What::Job { .. } | What::Retry { .. } | What::Ended(_) => None,
    }
}

/// A command's output may hold anything; what would move the cursor is left out.
pub(super) fn printable(line: &str) -> String {
    line.chars()
        .filter(|c| !c.is_control() || *c == '\t')
        .collect()
}

/// One line that says how far the run is.
pub(super) fn progress_text(progress: &Progress<'_>) -> String {
    let tally = progress.tally;
    let of = if progress.planned { "" } else { "+" };
    let mut text = format!(
        "{:>4.0} s  {} of {}{of} · {}/s · objects {}/{}{of} · jobs {} waiting, {} ready, {} running, {} done",
        progress.at,
        bytes(progress.bytes),
        bytes(tally.object_bytes),
        bytes((progress.bytes as f64 / progress.at.max(0.001)) as u64),
        tally.objects_ready,
        tally.objects,
        tally.waiting(),
        tally.jobs_ready,
        tally.running,
        tally.done,
    );
    if tally.failed > 0 {
        text.push_str(&format!(", {} failed", tally.failed));
    }
    if let Some(left) = time_left(progress) {
        text.push_str(&format!(" · about {} left", duration(left)));
    }
    text
}

/// Seconds left, from the slower of what is to be fetched and what is to be run.
pub(super) fn time_left(progress: &Progress<'_>) -> Option<f64> {
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

/// The summary that a person reads.
pub(super) fn summary_text(s: &Summary) -> String {
    let mut text = String::new();
    let mut say = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for result in &s.results {
        for path in &result.outputs {
            say(format!("{}{}", path.display(), figures(result)));
        }
    }
    let mut notes: BTreeMap<&str, u64> = BTreeMap::new();
    for note in s.results.iter().flat_map(|r| &r.notes) {
        *notes.entry(note).or_default() += 1;
    }
    for (note, times) in notes {
        say(format!("note ({times} {}): {note}", plural(times, "job")));
    }
    for object in s.failed_objects.iter().take(20) {
        say(format!(
            "object failed: {}: {}",
            printable(&object.key),
            object.error
        ));
    }
    if s.failed_objects.len() > 20 {
        say(format!(
            "... and {} more in summary.json",
            s.failed_objects.len() - 20
        ));
    }
    let failed: Vec<_> = s.results.iter().filter(|r| r.state == "failed").collect();
    for result in failed.iter().take(20) {
        say(format!(
            "job failed: {}: {}",
            result.job,
            result.error.as_deref().unwrap_or("")
        ));
    }
    if failed.len() > 20 {
        say(format!(
            "... and {} more in summary.json",
            failed.len() - 20
        ));
    }
    if s.synthetic {
        say(
            "The products are a synthetic sample, made by cotec: they show no place on Earth."
                .into(),
        );
    }
    say(format!(
        "{} of {} {} done in {}{}{}; {} of {} fetched ({}/s)",
        s.jobs.done,
        s.jobs.total,
        plural(s.jobs.total, "job"),
        duration(s.seconds),
        if s.jobs.failed > 0 {
            format!(", {} failed", s.jobs.failed)
        } else {
            String::new()
        },
        if s.jobs.left > 0 {
            format!(", {} not run", s.jobs.left)
        } else {
            String::new()
        },
        bytes(s.objects.bytes_fetched),
        bytes(s.objects.bytes),
        bytes((s.objects.bytes_fetched as f64 / s.overlap.download_seconds.max(0.001)) as u64),
    ));
    say(format!(
        "download {}, processing {}; {:.0}% of the download was hidden behind processing",
        duration(s.overlap.download_seconds),
        duration(s.overlap.processing_seconds),
        s.overlap.hidden_share * 100.0,
    ));
    say(held_back_text(s));
    text
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
            "held back by the workers: ready jobs waited for one in {} of the time; more --workers may help",
            percent(held.waiting_for_workers)
        ),
        _ => "held back by nothing in particular".to_owned(),
    }
}

fn figures(result: &ResultRecord) -> String {
    let Some(stats) = &result.stats else {
        return String::new();
    };
    match (stats.mean, stats.min, stats.max) {
        (Some(mean), Some(min), Some(max)) => {
            format!(
                "  {}x{}  mean {mean:.4}  min {min:.4}  max {max:.4}",
                stats.width, stats.height
            )
        }
        _ => format!("  {}x{}  no valid pixel", stats.width, stats.height),
    }
}

fn plural(n: u64, noun: &str) -> String {
    if n == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

/// Bytes with a decimal unit, as networks and disks are sold.
pub(super) fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB", "TB"] {
        if value < 999.5 {
            return if unit == "B" || value >= 99.95 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} PB")
}

/// Seconds as a person says them.
pub(super) fn duration(seconds: f64) -> String {
    if seconds < 99.5 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (h, m, s) = (whole / 3600, whole / 60 % 60, whole % 60);
    if h > 0 {
        format!("{h} h {m:02} min")
    } else {
        format!("{m} min {s:02} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_read_well() {
        assert_eq!(
            [bytes(0), bytes(999), bytes(1000), bytes(123_456_789)],
            ["0 B", "999 B", "1.0 kB", "123 MB"]
        );
        assert_eq!(duration(1.25), "1.2 s");
        assert_eq!(
            (duration(125.0), duration(7300.0)),
            ("2 min 05 s".into(), "2 h 01 min".into())
        );
    }

    #[test]
    fn a_commands_output_cannot_move_the_cursor() {
        assert_eq!(printable("\u{1b}[2Jred\tx\r"), "[2Jred\tx");
    }
}
