//! Numbers and names as the page shows them.

use std::borrow::Cow;

use crate::values::human::duration;

/// So many characters of a name are shown; of a longer one its beginning and its end.
const LONGEST: usize = 240;

/// A text from outside, such that it cannot change what stands around it: characters that control
/// the line or the direction of writing are written as escapes, and the middle of a long text is
/// left out.
pub fn shown(text: &str) -> Cow<'_, str> {
    let is_short = text.len() <= LONGEST;
    if is_short && !text.chars().any(controls) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::new();
    let count = match is_short {
        true => 0,
        false => text.chars().count(),
    };
    for (at, c) in text.chars().enumerate() {
        if count > LONGEST && at >= LONGEST / 2 && at < count - LONGEST / 2 {
            if at == LONGEST / 2 {
                escaped.push_str(" … ");
            }
            continue;
        }
        match controls(c) {
            true => escaped.extend(c.escape_unicode()),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// Whether a character does something else than standing there.
fn controls(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

/// Seconds that something is estimated to take, no more exact than an estimate is.
pub fn about(seconds: f64) -> String {
    if seconds < 0.95 {
        return format!("about {} ms", rounded(seconds * 1000.0));
    }
    if seconds < 90.0 {
        return counted(rounded(seconds), "second");
    }
    if seconds < 5400.0 {
        return counted((seconds / 60.0).round(), "minute");
    }
    counted((seconds / 1800.0).round() / 2.0, "hour")
}

fn counted(number: f64, noun: &str) -> String {
    match number == 1.0 {
        true => format!("about 1 {noun}"),
        false => format!("about {number} {noun}s"),
    }
}

/// To whole numbers below 10, to fives below 50, to tens below 100, and so on.
fn rounded(number: f64) -> f64 {
    let step = match number {
        n if n < 10.0 => 1.0,
        n if n < 50.0 => 5.0,
        n if n < 100.0 => 10.0,
        _ => 50.0,
    };
    (number / step).round() * step
}

/// A share of a whole; 0 % and 100 % only if it is none or all.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent.round() {
        _ if !percent.is_finite() => "0%".to_owned(),
        r if r >= 100.0 && percent < 100.0 => "99%".to_owned(),
        r if r <= 0.0 && percent > 0.0 => "under 1%".to_owned(),
        r => format!("{:.0}%", r.max(0.0)),
    }
}

/// A number with its thousands apart.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut apart = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// A number with its noun, and its thousands apart.
pub fn count(n: u64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{} {noun}s", number(n)),
    }
}

/// How long something took, where that is known.
pub fn took(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), lasted)
}

/// How long something took; what took no time to speak of, but some, is not nothing.
pub fn lasted(seconds: f64) -> String {
    match seconds > 0.0 && seconds < 0.001 {
        true => "under 1 ms".to_owned(),
        false => duration(seconds.max(0.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_controls_is_escaped_and_what_is_long_is_cut() {
        assert_eq!(shown("ndvi/S2A <b>"), "ndvi/S2A <b>");
        assert_eq!(shown("a\nb\u{202e}c\0"), "a\\u{a}b\\u{202e}c\\u{0}");
        let long = "é".repeat(10_000) + "end";
        let cut = shown(&long);
        assert!(cut.chars().count() < 260 && cut.ends_with("end") && cut.contains(" … "));
        assert_eq!(shown(&"x".repeat(240)).len(), 240);
    }

    #[test]
    fn estimates_are_not_exact() {
        let said = [0.123, 1.2, 17.0, 63.0, 191.0, 5500.0, 9000.0].map(about);
        let expected = [
            "about 100 ms",
            "about 1 second",
            "about 15 seconds",
            "about 60 seconds",
            "about 3 minutes",
            "about 1.5 hours",
            "about 2.5 hours",
        ];
        assert_eq!(said, expected);
        assert_eq!(percent(0.996), "99%");
        assert_eq!(percent(0.002), "under 1%");
        assert_eq!((percent(0.0), percent(1.0)), ("0%".into(), "100%".into()));
        assert_eq!(percent(f64::NAN), "0%");
        assert_eq!(
            (number(999), number(1_234_567)),
            ("999".into(), "1,234,567".into())
        );
    }
}
