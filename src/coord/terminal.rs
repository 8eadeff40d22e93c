//! Progress on a terminal: two lines that are drawn again and again, and everything else above.

use std::collections::BTreeMap;
use std::io::{Write, stdout};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::observe::{Happening, Observer, Progress, What};
use super::plain::{line, progress_parts, summary_text};

/// Draws on standard error; the summary goes to standard output.
pub struct TerminalObserver {
    bar: ProgressBar,
    notes_seen: BTreeMap<String, u64>,
}

impl TerminalObserver {
    /// An observer that draws on standard error. It draws when told of progress and has no
    /// thread of its own.
    pub fn new() -> TerminalObserver {
        let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr_with_hz(10));
        let template = "{bar:30.cyan/blue} {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        }
        TerminalObserver {
            bar,
            notes_seen: BTreeMap::new(),
        }
    }
}

impl Default for TerminalObserver {
    fn default() -> TerminalObserver {
        TerminalObserver::new()
    }
}

impl Observer for TerminalObserver {
    fn happening(&mut self, happening: &Happening) {
        if let What::Ended(summary) = &happening.what {
            self.bar.finish_and_clear();
            let _ = stdout().write_all(summary_text(summary).as_bytes());
        } else if let Some(line) = line(&happening.what, &mut self.notes_seen) {
            self.bar.println(line);
        }
    }

    fn progress(&mut self, progress: &Progress<'_>) {
        let to_fetch = progress.tally.to_fetch();
        self.bar.set_length(to_fetch.max(1));
        self.bar.set_position(progress.bytes.min(to_fetch));
        self.bar.set_message(progress_parts(progress).join("\n"));
    }
}
