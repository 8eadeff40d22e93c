//! What all charts share: the frame, the time axis, and numbers as SVG has them.

use maud::{Markup, PreEscaped, html};

/// Units of a wide chart from left to right.
pub const WIDTH: f64 = 1000.0;
/// Where its plot begins and ends; labels stand left of it.
pub const LEFT: f64 = 96.0;
/// Where its plot ends.
pub const RIGHT: f64 = 984.0;

/// A number with no more digits than are seen.
pub fn num(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// A chart that says in words what it shows.
pub fn chart(width: f64, height: f64, says: &str, inside: Markup) -> Markup {
    let view = format!("0 0 {} {}", num(width), num(height));
    html! { svg viewBox=(view) role="img" aria-label=(says) { (inside) } }
}

/// Text at a point, anchored at its `start`, `middle` or `end`.
pub fn text(x: f64, y: f64, anchor: &str, class: &str, text: &str) -> Markup {
    let class = (!class.is_empty()).then_some(class);
    html! { text x=(num(x)) y=(num(y)) text-anchor=(anchor) class=[class] { (text) } }
}

/// A line between two points.
pub fn line(from: (f64, f64), to: (f64, f64), class: &str) -> Markup {
    html! { line x1=(num(from.0)) y1=(num(from.1)) x2=(num(to.0)) y2=(num(to.1)) class=(class) {} }
}

/// A path from its commands.
pub fn path(commands: &str, class: &str) -> Markup {
    match commands.is_empty() {
        true => PreEscaped(String::new()),
        false => html! { path d=(PreEscaped(commands)) class=(class) {} },
    }
}

/// The time of a run from left to right.
#[derive(Clone, Copy, Debug)]
pub struct TimeAxis {
    seconds: f64,
}

impl TimeAxis {
    /// An axis of so many seconds.
    pub fn new(seconds: f64) -> TimeAxis {
        TimeAxis {
            seconds: if seconds > 1e-6 { seconds } else { 1e-6 },
        }
    }

    /// All of it.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// Where a point in time is.
    pub fn x(&self, at: f64) -> f64 {
        LEFT + (at / self.seconds).clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Lines through the plot and the times below it.
    pub fn draw(&self, top: f64, bottom: f64) -> Markup {
        let step = step(self.seconds / 10.0);
        let count = (self.seconds / step + 1e-9) as usize;
        html! {
            @for n in 0..=count {
                @let at = n as f64 * step;
                @let x = self.x(at);
                (line((x, top), (x, bottom), "grid"))
                @if x < RIGHT - 12.0 || n == 0 {
                    (text(x, bottom + 16.0, "middle", "", &moment(at, step)))
                }
            }
            (line((LEFT, bottom), (RIGHT, bottom), "base"))
        }
    }
}

/// The next round number of seconds.
fn step(least: f64) -> f64 {
    const ROUND: [f64; 12] = [
        1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
    ];
    if least <= 0.5 {
        return nice(least);
    }
    let round = ROUND.into_iter().find(|round| *round >= least);
    round.unwrap_or_else(|| nice(least / 3600.0) * 3600.0)
}

/// The next of 1, 2, 2.5 and 5 times a power of ten.
pub fn nice(least: f64) -> f64 {
    if !(least.is_finite() && least > 0.0) {
        return 1.0;
    }
    let power = 10_f64.powf(least.log10().floor());
    let times = [1.0, 2.0, 2.5, 5.0, 10.0];
    let times = times.into_iter().find(|t| t * power >= least * 0.999_999);
    times.unwrap_or(10.0) * power
}

/// A point in time as steps of this size tell it.
fn moment(at: f64, step: f64) -> String {
    match step {
        s if s < 0.001 => format!("{:.1} ms", at * 1000.0),
        s if s < 0.1 => format!("{:.0} ms", at * 1000.0),
        s if s < 1.0 => format!("{at:.1} s"),
        s if s < 60.0 && at < 120.0 => format!("{at:.0} s"),
        s if s < 60.0 => format!("{}:{:02}", at as u64 / 60, at as u64 % 60),
        s if s < 3600.0 && at < 5400.0 => format!("{:.0} min", at / 60.0),
        s if s < 3600.0 => format!("{}:{:02} h", at as u64 / 3600, at as u64 / 60 % 60),
        _ => format!("{:.0} h", at / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_few() {
        for seconds in [1e-6, 0.003, 0.7, 4.0, 61.0, 599.0, 7000.0, 90_000.0, 3e6] {
            let step = step(seconds / 10.0);
            assert!(
                seconds / step <= 10.001 && seconds / step > 1.9,
                "{seconds}: {step}"
            );
        }
        assert_eq!((nice(0.3), nice(20.0), nice(51.0)), (0.5, 20.0, 100.0));
        assert_eq!(nice(f64::NAN), 1.0);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([num(3.0), num(2.57), num(-0.01)], ["3", "2.6", "0"]);
    }

    #[test]
    fn points_outside_stay_inside() {
        let axis = TimeAxis::new(10.0);
        assert_eq!((axis.x(-5.0), axis.x(50.0)), (LEFT, RIGHT));
        assert_eq!(TimeAxis::new(f64::NAN).seconds(), 1e-6);
    }
}
