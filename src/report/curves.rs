//! Bandwidth, connections and jobs over time.

use maud::{Markup, html};

use crate::values::human::{bytes, duration};

use super::profile::Profile;
use super::story::Story;
use super::svg::{LEFT, RIGHT, TimeAxis, WIDTH, chart, line, nice, num, path, text};
use super::words::{count, number};

/// Points of a curve.
const BINS: usize = 296;

/// A curve with its own height, above the same time axis as others.
struct Strip {
    name: &'static str,
    class: &'static str,
    height: f64,
    means: Vec<f64>,
    /// A limit that changed at these times.
    limit: Vec<(f64, f64)>,
    is_count: bool,
    label: fn(f64) -> String,
}

impl Strip {
    fn most(&self) -> f64 {
        let limits = self.limit.iter().map(|(_, limit)| *limit);
        self.means.iter().copied().chain(limits).fold(0.0, f64::max)
    }

    fn draw(&self, axis: &TimeAxis, top: f64) -> Markup {
        let most = self.most();
        // A line for each 40 units or so; what is counted has no halves.
        let step = nice(most / (self.height / 40.0).round().max(1.0));
        let step = match self.is_count {
            true => step.ceil(),
            false => step,
        };
        let full = (most / step).ceil().max(1.0) * step;
        let bottom = top + self.height;
        let y = |value: f64| bottom - value / full * self.height;
        let marks = (full / step).round() as usize;
        html! {
            (text(LEFT, top - 6.0, "start", "head", self.name))
            @for mark in 0..=marks {
                @let value = mark as f64 * step;
                @if mark > 0 { (line((LEFT, y(value)), (RIGHT, y(value)), "grid")) }
                (text(LEFT - 8.0, y(value) + 4.0, "end", "", &(self.label)(value)))
            }
            (path(&self.area(&y, bottom), self.class))
            (path(&self.steps(axis, &y), "step"))
        }
    }

    /// The curve as an area with steps.
    fn area(&self, y: &dyn Fn(f64) -> f64, bottom: f64) -> String {
        let unit = (RIGHT - LEFT) / self.means.len().max(1) as f64;
        let mut commands = format!("M{} {}", num(LEFT), num(bottom));
        let mut before = String::new();
        for (at, mean) in self.means.iter().enumerate() {
            let height = num(y(*mean));
            if height != before {
                commands.push_str(&format!("H{}V{height}", num(LEFT + at as f64 * unit)));
                before = height;
            }
        }
        commands.push_str(&format!("H{}V{}z", num(RIGHT), num(bottom)));
        commands
    }

    fn steps(&self, axis: &TimeAxis, y: &dyn Fn(f64) -> f64) -> String {
        let Some((_, first)) = self.limit.first() else {
            return String::new();
        };
        let mut commands = format!("M{} {}", num(LEFT), num(y(*first)));
        // Later changes than can be seen are not drawn.
        for (at, limit) in self.limit.iter().take(4000) {
            commands.push_str(&format!("H{}V{}", num(axis.x(*at)), num(y(*limit))));
        }
        commands.push_str(&format!("H{}", num(RIGHT)));
        commands
    }
}

fn stack(name: &str, strips: &[Strip], axis: &TimeAxis, says: &str) -> Markup {
    let gap = 30.0;
    let bottom = strips.iter().map(|strip| strip.height + gap).sum::<f64>();
    let mut tops = Vec::new();
    let mut top = gap - 8.0;
    for strip in strips {
        tops.push(top);
        top += strip.height + gap;
    }
    let bottom = bottom - 8.0;
    let body = html! {
        (axis.draw(gap - 8.0, bottom))
        @for (strip, top) in strips.iter().zip(tops) {
            (line((LEFT, top + strip.height), (RIGHT, top + strip.height), "base"))
            (strip.draw(axis, top))
        }
    };
    html! {
        div.scroll.chart tabindex="0" role="region" aria-label=(name) {
            (chart(WIDTH, bottom + 26.0, says, body))
        }
    }
}

/// Bandwidth and connections; nothing if nothing was downloaded.
pub fn network(story: &Story) -> Markup {
    let fetched: u64 = story.objects.iter().map(|object| object.fetched).sum();
    if story.parts.is_empty() && fetched == 0 {
        return html! {};
    }
    let axis = TimeAxis::new(story.seconds);
    let mut rate = Profile::new(axis.seconds(), BINS);
    let mut busy = Profile::new(axis.seconds(), BINS);
    for part in &story.parts {
        let from = part.answered.unwrap_or(part.begun);
        rate.spread(from, part.ended, part.bytes as f64);
        busy.add(part.begun, part.ended, 1.0);
    }
    if story.parts.is_empty() {
        for object in &story.objects {
            if let (Some(begun), Some(ended)) = (object.begun, object.ended) {
                rate.spread(begun, ended, object.fetched as f64);
            }
        }
    }
    // An amount of each bin, as a rate.
    let rates = rate.means();
    let most = rates.iter().copied().fold(0.0, f64::max);
    let mut limit: Vec<(f64, f64)> = (story.settings.iter())
        .map(|setting| (setting.at, f64::from(setting.connections)))
        .collect();
    if limit.is_empty() {
        limit.extend(story.connections_set.map(|n| (0.0, n as f64)));
    }
    let allowed = limit.iter().map(|(_, n)| *n).fold(0.0, f64::max);
    let connections = busy.means();
    let at_work = connections.iter().copied().fold(0.0, f64::max);
    let says = format!(
        "Bandwidth over {}: {}/s on average over the whole run, at most {}/s. At most {} connections at work, {} allowed.",
        duration(story.seconds),
        bytes((fetched as f64 / axis.seconds()) as u64),
        bytes(most as u64),
        number(at_work.round() as u64),
        number(allowed as u64)
    );
    let mut strips = vec![Strip {
        name: "Bytes a second",
        class: "net",
        height: 130.0,
        means: rates,
        limit: Vec::new(),
        is_count: false,
        label: |rate| bytes(rate as u64),
    }];
    if !story.parts.is_empty() {
        strips.push(Strip {
            name: "Connections at work",
            class: "net",
            height: 70.0,
            means: connections,
            limit,
            is_count: true,
            label: plain,
        });
    }
    html! {
        h2 { "Bandwidth over time" }
        figure {
            (stack("Bandwidth over time, chart", &strips, &axis, &says))
            figcaption {
                "Each point is the mean of " (duration(axis.seconds() / BINS as f64)) ". "
                @if strips.len() > 1 { "The dashed line is the number of connections that were allowed." }
            }
        }
    }
}

/// Jobs by what they wait for, or that they run.
pub fn jobs(story: &Story) -> Markup {
    if story.jobs.iter().all(|job| job.runs.is_empty()) {
        return html! {};
    }
    let axis = TimeAxis::new(story.seconds);
    let new = || Profile::new(axis.seconds(), BINS);
    let (mut waiting, mut ready, mut running) = (new(), new(), new());
    for job in story.jobs.iter().filter(|job| !job.earlier) {
        let first = job.runs.first().map(|run| run.begun);
        let over = match job.state.ended() {
            // One that failed without having run has waited until nobody knows when.
            true => job.registered,
            false => axis.seconds(),
        };
        let there = job.ready.or(first).unwrap_or(over);
        waiting.add(
            job.registered,
            first.map_or(there, |first| first.min(there)),
            1.0,
        );
        let begun = first.unwrap_or(over);
        ready.add(there, begun, 1.0);
        for run in &job.runs {
            running.add(run.begun, run.ended, 1.0);
        }
    }
    let (waiting, ready, running) = (waiting.means(), ready.means(), running.means());
    let most = |means: &[f64]| number(means.iter().copied().fold(0.0, f64::max).round() as u64);
    let says = format!(
        "Jobs over {}: at most {} waiting for data, {} ready and waiting for a worker, {} running on {}.",
        duration(story.seconds),
        most(&waiting),
        most(&ready),
        most(&running),
        count(story.workers as u64, "worker")
    );
    let strip = |name, class, height, means| Strip {
        name,
        class,
        height,
        means,
        limit: Vec::new(),
        is_count: true,
        label: plain,
    };
    let mut strips = vec![
        strip("Waiting for data", "net", 60.0, waiting),
        strip("Ready, waiting for a worker", "wait", 60.0, ready),
        strip("Running", "job", 60.0, running),
    ];
    strips[2].limit = vec![(0.0, story.workers as f64)];
    html! {
        h2 { "Jobs over time" }
        figure {
            (stack("Jobs over time, chart", &strips, &axis, &says))
            figcaption { "The dashed line is the number of workers. Where it is not reached and no job is ready, the workers waited for the network." }
        }
    }
}

fn plain(value: f64) -> String {
    match value.fract() == 0.0 {
        true => number(value as u64),
        false => format!("{value:.1}"),
    }
}
