//! How much a run says to people, and in which colours.

use crate::values::human::{bytes, duration, printable};
use crate::values::{JobState, ObjectState, Verified};

use super::observe::{Happening, What};

/// How much is said, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voice {
    /// Nothing but what failed.
    pub quiet: bool,
    /// Every move of every object and job.
    pub verbose: bool,
    /// What failed is red, what is said green or yellow.
    pub colours: bool,
}

impl Voice {
    /// A line with the colour of its first word.
    pub fn paint(self, line: &str) -> String {
        let (word, rest) = line.split_at(line.find(':').unwrap_or(0));
        let colour = match word {
            "error" | "failed" => "31",
            "note" => "33",
            "planned" => "32",
            _ => return line.to_owned(),
        };
        match self.colours {
            true => format!("\u{1b}[{colour}m{word}\u{1b}[0m{rest}"),
            false => line.to_owned(),
        }
    }

    /// Whether a line is said at all.
    pub(super) fn says(self, line: &str) -> bool {
        !self.quiet || line.starts_with("error:") || line.starts_with("failed:")
    }
}

/// The line of a move that only the verbose are told of: when, who, what.
pub(super) fn detail(happening: &Happening) -> Option<String> {
    let what = match &happening.what {
        What::Object {
            state,
            key,
            size,
            fetched,
            verified,
            fault,
        } => {
            let mut text = format!("object {} {}", state.name(), printable(key));
            match (state, fault) {
                (_, Some(fault)) => text.push_str(&format!(": {fault}")),
                (ObjectState::Ready, None) => {
                    let how = verified.map_or("", Verified::name);
                    let fetched = bytes(fetched.unwrap_or(0));
                    let size = bytes(*size);
                    text.push_str(&format!(" ({fetched} of {size} fetched, verified: {how})"));
                }
                (_, None) => text.push_str(&format!(" ({})", bytes(*size))),
            }
            text
        }
        What::Job {
            state,
            name,
            attempt,
            result,
            ..
        } if *state != JobState::Failed => {
            let mut text = format!("job {} {}", state.name(), printable(name));
            if *attempt > 1 {
                text.push_str(&format!(", attempt {attempt}"));
            }
            if let Some(result) = result {
                text.push_str(&format!(" ({})", duration(result.seconds)));
            }
            text
        }
        What::Retry { key, fault } => format!("object {} asked for again: {fault}", printable(key)),
        _ => return None,
    };
    let (role, number) = happening.process;
    let at = happening.at;
    Some(format!("{at:9.3} s  {role}-{number:<3} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::{Fault, FaultCode};

    #[test]
    fn only_the_first_word_has_a_colour_and_only_where_asked_for() {
        let colours = Voice {
            colours: true,
            ..Voice::default()
        };
        assert_eq!(
            colours.paint("failed: a: b"),
            "\u{1b}[31mfailed\u{1b}[0m: a: b"
        );
        assert_eq!(colours.paint("2 workers · s3://b"), "2 workers · s3://b");
        assert_eq!(Voice::default().paint("failed: a"), "failed: a");
    }

    #[test]
    fn the_quiet_say_what_failed() {
        let quiet = Voice {
            quiet: true,
            ..Voice::default()
        };
        assert!(quiet.says("failed: t/p: why") && quiet.says("error: x"));
        assert!(!quiet.says("planned: 1 product, 1 job") && Voice::default().says("planned"));
    }

    #[test]
    fn a_move_is_one_line_with_process_and_name() {
        let mut happening = Happening {
            at: 1.5,
            process: ("downloader", 2),
            what: What::Retry {
                key: "p/\u{1b}B04.tif".into(),
                fault: Fault::new(FaultCode::Unreachable, 2),
            },
        };
        assert_eq!(
            detail(&happening).unwrap(),
            "    1.500 s  downloader-2   object p/B04.tif asked for again: store unreachable after 2 attempts"
        );
        happening.what = What::Job {
            state: JobState::Running,
            name: "t/p".into(),
            attempt: 2,
            inputs: None,
            result: None,
            fault: None,
            why: None,
        };
        assert!(
            detail(&happening)
                .unwrap()
                .ends_with("job running t/p, attempt 2")
        );
    }
}
