//! Refusals: rights, clocks, and URLs that are no longer good.

use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use crate::answer::Answer;
use crate::bucket::Ask;
use crate::row::Row;

fn refused(code: &str, words: &str) -> Answer {
    Answer::error("403 Forbidden", code, words)
}

/// The time at which a URL was signed.
fn signed(ask: &Ask) -> String {
    ask.query("X-Amz-Date").unwrap_or_default().to_owned()
}

/// A server whose clock is an hour ahead, and which takes what is signed by that clock.
fn an_hour_ahead(ask: &Ask, right: Answer) -> Answer {
    let ahead = SystemTime::now() + Duration::from_secs(3600);
    let date = httpdate::fmt_http_date(ahead);
    // 20261120T11…: the difference of a quarter of an hour at most is what stores allow.
    let near = (0..=30).any(|minute| {
        let at = ahead + Duration::from_secs(900) - Duration::from_secs(60 * minute);
        signed(ask).starts_with(&minute_of(at))
    });
    match near {
        true => right,
        false => refused(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
    }
    .with("Date", date)
}

/// A time as far as its minute, as signatures write it.
fn minute_of(at: SystemTime) -> String {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seconds = i64::try_from(since.as_secs()).unwrap();
    let at = jiff::Timestamp::from_second(seconds).unwrap();
    at.strftime("%Y%m%dT%H%M").to_string()
}

pub fn rows() -> Vec<Row> {
    let first = OnceLock::new();
    vec![
        Row::object("403 AccessDenied", |_, _| {
            refused("AccessDenied", "Access Denied")
        })
        .fails("refused", &["in/big", "AccessDenied", "--requester-pays"])
        .in_a_run_too(),
        Row::all("403 AccessDenied for everything", |_, _| {
            refused("AccessDenied", "Access Denied")
        })
        .stops(3, &["AccessDenied", "check the profile"])
        .in_a_run_too(),
        Row::object("403 with an HTML page", |_, _| {
            Answer::new("403 Forbidden", "<html>Blocked by the proxy</html>")
                .with("Content-Type", "text/html")
        })
        .fails("refused", &["HTTP 403"]),
        Row::all("the store's clock is an hour ahead", an_hour_ahead).in_a_run_too(),
        Row::all(
            "the store's clock is an hour ahead, and it does not say so",
            |ask, right| an_hour_ahead(ask, right).without("Date"),
        )
        .stops(3, &["RequestTimeTooSkewed", "set the clock"]),
        Row::object("the URL expires in the middle", move |ask, right| {
            let first = first.get_or_init(|| signed(ask));
            match ask.number >= 2 && signed(ask) <= *first {
                true => refused("AccessDenied", "Request has expired"),
                false => right,
            }
        }),
        Row::object("every URL has expired", |_, _| {
            refused("AccessDenied", "Request has expired")
        })
        .fails("refused", &["in/big", "expired"]),
        Row::all("the session token has expired", |_, _| {
            let words = "The provided token has expired.";
            Answer::error("400 Bad Request", "ExpiredToken", words)
        })
        .stops(3, &["temporary credentials"]),
        Row::object("a listed object is gone", |_, _| {
            Answer::error("404 Not Found", "NoSuchKey", "There is no such key.")
        })
        .fails("not-found", &["in/big", "not found", "NoSuchKey"])
        .in_a_run_too(),
    ]
}
