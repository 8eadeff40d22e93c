//! Errors that may pass, and errors that stay.

use std::time::{Duration, SystemTime};

use crate::answer::Answer;
use crate::row::Row;

fn slow_down() -> Answer {
    let words = "Please reduce your request rate.";
    Answer::error("503 Slow Down", "SlowDown", words)
}

pub fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for status in [
        "500 Internal Server Error",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
    ] {
        let number = &status[..3];
        rows.push(Row::object(
            &format!("{number} three times"),
            move |ask, right| {
                if ask.number < 3 {
                    Answer::new(status, "")
                } else {
                    right
                }
            },
        ));
        let words: &[&str] = match number {
            "500" => &["in/a", "HTTP 500"],
            "502" => &["in/a", "HTTP 502"],
            "503" => &["in/a", "HTTP 503"],
            _ => &["in/a", "HTTP 504"],
        };
        rows.push(
            Row::small(&format!("{number} for ever"), move |_, _| {
                Answer::new(status, "")
            })
            .fails("server", words),
        );
    }
    rows.extend([
        Row::object("SlowDown three times", |ask, right| match ask.number {
            0..3 => slow_down(),
            _ => right,
        })
        .in_a_run_too(),
        Row::small("SlowDown for ever", |_, _| slow_down())
            .fails("server", &["in/a", "slow down", "SlowDown"])
            .in_a_run_too(),
        Row::all("every second answer is SlowDown", |ask, right| {
            match ask.number % 2 {
                0 => slow_down(),
                _ => right,
            }
        }),
        Row::object("429 with Retry-After: 2", |ask, right| match ask.number {
            0..3 => Answer::new("429 Too Many Requests", "").with("Retry-After", "2"),
            _ => right,
        })
        .not_before(2),
        Row::object("503 with Retry-After as a date", |ask, right| {
            // Dates have whole seconds.
            let then = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
            match ask.number {
                0..3 => Answer::new("503 Service Unavailable", "").with("Retry-After", then),
                _ => right,
            }
        })
        .not_before(2),
        Row::listing("500 for the listing, three times", |ask, right| {
            match ask.number {
                0..3 => Answer::new("500 Internal Server Error", ""),
                _ => right,
            }
        }),
        Row::listing("500 for the listing, for ever", |_, _| {
            Answer::error("500 Internal Server Error", "InternalError", "We failed.")
        })
        .stops(3, &["HTTP 500", "InternalError", "We failed."])
        .in_a_run_too(),
        Row::listing("SlowDown for the listing, for ever", |_, _| slow_down())
            .stops(3, &["slow down"]),
        Row::small("an HTML page with 500", |_, _| {
            Answer::new("500 Internal Server Error", "<html>Oops</html>")
                .with("Content-Type", "text/html")
        })
        .fails("server", &["HTTP 500"]),
    ]);
    rows
}
