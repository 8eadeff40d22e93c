//! Lanes of spans on a time axis. Spans that are too narrow to be seen alone become bars as high
//! as they cover the time, so that the picture of a run of any size has a bounded size.

use std::fmt::Write;

use maud::{Markup, html};

use super::profile::Profile;
use super::svg::{LEFT, RIGHT, TimeAxis, num, path, text};

/// Bins of all lanes together, and of one lane.
const BINS: usize = 24_000;
const BINS_OF_A_LANE: usize = 2_000;
/// A span of so many bins is drawn alone.
const WIDE: f64 = 3.0;
/// So high can a bar be.
const LEVELS: f64 = 8.0;
/// Units that a character takes.
const CHARACTER: f64 = 7.2;

/// What a span is; the order is that of drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A request without an answer.
    Asked,
    /// Bytes that come.
    Coming,
    /// A job that runs.
    Running,
    /// A run that ended with a failure.
    Failed,
    /// A processor that waits for objects.
    Waiting,
    /// A result on its way to a store.
    Uploading,
}

impl Kind {
    const ALL: [Kind; 6] = [
        Kind::Asked,
        Kind::Coming,
        Kind::Running,
        Kind::Failed,
        Kind::Waiting,
        Kind::Uploading,
    ];

    /// The name of its style.
    pub fn class(self) -> &'static str {
        match self {
            Kind::Asked => "ask",
            Kind::Coming => "net",
            Kind::Running => "job",
            Kind::Failed => "failed",
            Kind::Waiting => "wait",
            Kind::Uploading => "up",
        }
    }
}

/// A span of a lane.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// When it began.
    pub from: f64,
    /// When it ended.
    pub to: f64,
    /// What it is.
    pub kind: Kind,
    /// What it is of, for who names it.
    pub item: u32,
}

/// A lane with its name.
#[derive(Clone, Debug, Default)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Its spans, in any order.
    pub spans: Vec<Span>,
    /// So many lanes in one; 0 counts as 1.
    pub together: usize,
}

/// Puts neighbours together where there are more lanes than this.
pub fn at_most(lanes: Vec<Lane>, most: usize) -> Vec<Lane> {
    if lanes.len() <= most {
        return lanes;
    }
    let each = lanes.len().div_ceil(most);
    let joined = lanes.chunks(each).map(|chunk| Lane {
        name: match chunk {
            [one] => one.name.clone(),
            [first, .., last] => format!("{}–{}", first.name, last.name),
            [] => String::new(),
        },
        spans: chunk
            .iter()
            .flat_map(|lane| lane.spans.iter().copied())
            .collect(),
        together: chunk.len(),
    });
    joined.collect()
}

/// How many bins each of so many lanes has.
pub fn bins(lanes: usize) -> usize {
    (BINS / lanes.max(1)).clamp(100, BINS_OF_A_LANE)
}

/// Draws a lane from `top` downwards. `title` says what a span of an item is, `short` names it if
/// there is room for its name.
pub fn draw(
    lane: &Lane,
    axis: &TimeAxis,
    (top, height): (f64, f64),
    bins: usize,
    title: &dyn Fn(&Span) -> String,
    short: &dyn Fn(&Span) -> String,
) -> Markup {
    let bin = axis.seconds() / bins as f64;
    let together = lane.together.max(1) as f64;
    let alone = |span: &&Span| lane.together <= 1 && span.to - span.from >= WIDE * bin;
    html! {
        rect x=(num(LEFT)) y=(num(top)) width=(num(RIGHT - LEFT)) height=(num(height)) class="lane" {}
        (text(LEFT - 8.0, top + height / 2.0 + 4.0, "end", "", &lane.name))
        @for kind in Kind::ALL {
            @let narrow = lane.spans.iter().filter(|span| span.kind == kind && !alone(span));
            (path(&bars(narrow, axis, bins, together, (top, height)), kind.class()))
            @for span in lane.spans.iter().filter(|span| span.kind == kind).filter(alone) {
                @let x = axis.x(span.from);
                @let width = (axis.x(span.to) - x).max(0.5);
                @let (y, h) = inside(kind, top, height);
                rect x=(num(x)) y=(num(y)) width=(num(width)) height=(num(h)) class=(kind.class()) {
                    title { (title(span)) }
                }
            }
        }
        // Above everything else.
        @for span in lane.spans.iter().filter(alone) {
            @let name = short(span);
            @let x = axis.x(span.from);
            @let room = ((axis.x(span.to) - x - 8.0).max(0.0) / CHARACTER) as usize;
            @if height >= 13.0 && room >= 5 && !name.is_empty() {
                (text(x + 4.0, top + height - 4.0, "start", "in", &cut(&name, room)))
            }
        }
    }
}

/// Waits are drawn above the job that waits.
fn inside(kind: Kind, top: f64, height: f64) -> (f64, f64) {
    match kind {
        Kind::Waiting => (top, (height * 0.25).max(2.0)),
        _ => (top, height),
    }
}

/// The beginning of a name that has this many characters.
fn cut(name: &str, room: usize) -> String {
    match name.chars().count() <= room {
        true => name.to_owned(),
        false => name
            .chars()
            .take(room.saturating_sub(1))
            .chain(['…'])
            .collect(),
    }
}

/// A path of bars, each as high as its bin is covered.
fn bars<'a>(
    spans: impl Iterator<Item = &'a Span>,
    axis: &TimeAxis,
    bins: usize,
    together: f64,
    (top, height): (f64, f64),
) -> String {
    let mut profile = Profile::new(axis.seconds(), bins);
    let mut any = false;
    for span in spans {
        any = true;
        let least = axis.seconds() / bins as f64 / 1000.0;
        profile.add(span.from, span.to.max(span.from + least), 1.0);
    }
    let mut commands = String::new();
    if !any {
        return commands;
    }
    let level = |mean: &f64| match *mean > 1e-9 {
        true => (mean / together * LEVELS).ceil().clamp(1.0, LEVELS) as u8,
        false => 0,
    };
    let levels: Vec<u8> = profile.means().iter().map(level).collect();
    let unit = (RIGHT - LEFT) / bins as f64;
    let mut at = 0;
    while let Some(&level) = levels.get(at) {
        let rest = levels[at..].iter();
        let length = rest.take_while(|other| **other == level).count();
        if level > 0 {
            let h = height * f64::from(level) / LEVELS;
            let x = LEFT + at as f64 * unit;
            let w = length as f64 * unit;
            let _ = write!(
                commands,
                "M{} {}h{}v-{}h-{}z",
                num(x),
                num(top + height),
                num(w.max(0.4)),
                num(h),
                num(w.max(0.4))
            );
        }
        at += length;
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_spans_become_few_bars() {
        let spans = (0..100_000).map(|n| Span {
            from: f64::from(n) * 0.001,
            to: f64::from(n) * 0.001 + 0.0009,
            kind: Kind::Coming,
            item: n,
        });
        let lane = Lane {
            name: "a<b".into(),
            spans: spans.collect(),
            together: 1,
        };
        let axis = TimeAxis::new(100.0);
        let name = |_: &Span| "name".to_owned();
        let drawn = draw(&lane, &axis, (0.0, 14.0), 2000, &name, &name).into_string();
        assert!(drawn.len() < 1000 && drawn.contains("a&lt;b"), "{drawn}");
    }

    #[test]
    fn a_wide_span_has_its_name_and_many_lanes_become_fewer() {
        let lane = |n: usize| Lane {
            name: n.to_string(),
            spans: vec![Span {
                from: 1.0,
                to: 9.0,
                kind: Kind::Running,
                item: 7,
            }],
            together: 1,
        };
        let axis = TimeAxis::new(10.0);
        let title = |span: &Span| format!("job {}", span.item);
        let drawn = draw(&lane(0), &axis, (0.0, 14.0), 2000, &title, &title).into_string();
        assert!(drawn.contains("<title>job 7</title>") && drawn.contains(">job 7</text>"));
        let lanes = at_most((0..100).map(lane).collect(), 48);
        assert_eq!((lanes.len(), lanes[0].name.as_str()), (34, "0–2"));
        assert_eq!(lanes[33].together, 1);
        assert_eq!(cut("a/long name", 7), "a/long…");
    }
}
