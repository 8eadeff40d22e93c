//! Progress on a terminal: two lines that are drawn again and again, and everything else above.

use std::collections::BTreeMap;
use std::io::{Write, stderr, stdout};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::sys::log::Relay;

use super::observe::{Happening, Observer, Progress, What};
use super::plain::{line, progress_parts, summary_text};
use super::voice::Voice;

/// Draws on standard error; the summary goes to standard output.
pub struct TerminalObserver {
    bar: ProgressBar,
    voice: Voice,
    /// What the run's processes log meanwhile.
    log: Option<Relay>,
    notes_seen: BTreeMap<String, u64>,
}

impl TerminalObserver {
    /// An observer that draws on standard error. It draws when told of progress and has no
    /// thread of its own.
    pub fn new(voice: Voice) -> TerminalObserver {
        let target = match voice.quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr_with_hz(10),
        };
        let bar = ProgressBar::with_draw_target(Some(1), target);
        let template = "{bar:30.cyan/blue} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        TerminalObserver {
            bar,
            voice,
            // Without it log and progress share the terminal as well as they can.
            log: (!voice.quiet).then(Relay::open).and_then(Result::ok),
            notes_seen: BTreeMap::new(),
        }
    }

    fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            let _ = writeln!(stderr(), "{line}");
        } else {
            self.bar.println(line);
        }
    }

    fn say_log(&mut self) {
        let lines = self.log.as_mut().map(Relay::lines).unwrap_or_default();
        for line in lines {
            self.say(&line);
        }
    }
}

impl Observer for TerminalObserver {
    fn wants_all(&self) -> bool {
        self.voice.verbose
    }

    fn happening(&mut self, happening: &Happening) {
        if let What::Ended(summary) = &happening.what {
            self.say_log();
            self.bar.finish_and_clear();
            if !self.voice.quiet {
                let _ = stdout().write_all(summary_text(summary).as_bytes());
            }
        } else if let Some(line) = line(happening, self.voice, &mut self.notes_seen) {
            self.say(&line);
        }
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        self.say_log();
        let to_fetch = progress.tally.to_fetch();
        self.bar.set_length(to_fetch.max(1));
        self.bar.set_position(progress.bytes.min(to_fetch));
        self.bar.set_message(progress_parts(progress).join("\n"));
    }
}
