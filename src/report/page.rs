//! The page: everything in one string, with its style and its script inside.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::curves;
use super::facts;
use super::figures::Figures;
use super::gantt;
use super::histogram;
use super::pictures;
use super::replayed;
use super::story::Story;
use super::tables;
use super::verdict;
use super::whatif;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// A run as one HTML page that needs no network and nothing else, of a few megabytes at most.
pub fn page(story: &Story) -> String {
    let figures = Figures::of(story);
    let replay = replayed::replay(story, &figures);
    let verdict = verdict::verdict(story, &figures, replay.as_ref().ok());
    let body = html! {
        main {
            header {
                h1 { "cotec · report of a run" }
                p.verdict { (verdict.join(" ")) }
                @if figures.failed > 0 {
                    p { a href="#jobs" { "What failed stands first in the table of jobs." } }
                }
            }
            (facts::facts(story, &figures))
            (facts::notes(story))
            (gantt::gantt(story))
            (curves::network(story))
            (curves::jobs(story))
            (histogram::waits(story))
            (pictures::pictures(story))
            (whatif::what_if(story, &replay))
            (tables::jobs(story))
            (tables::failed_objects(story))
            footer { p { "Made by cotec " (env!("CARGO_PKG_VERSION")) "." } }
        }
    };
    frame(story, body).into_string()
}

fn frame(story: &Story, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="color-scheme" content="light dark";
                link rel="icon" href="data:,";
                title { "cotec run: " (super::words::count(story.jobs.len() as u64, "job")) ", " (story.outcome) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (body)
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// Nothing is loaded from anywhere, and no other script or style counts than those of this page,
/// whatever stands in a name.
fn policy() -> String {
    let hash = |text: &str| BASE64_STANDARD.encode(Sha256::digest(text));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:",
        hash(STYLE),
        hash(SCRIPT)
    )
}
