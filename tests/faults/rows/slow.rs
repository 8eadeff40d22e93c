//! Silence and near-silence.

use std::time::Duration;

use crate::answer::Sending;
use crate::row::Row;

pub fn rows() -> Vec<Row> {
    let second = Duration::from_secs(1);
    vec![
        Row::object("silence before the head, once", |ask, right| {
            match ask.number {
                0 => right.sent(Sending::Silent),
                _ => right,
            }
        }),
        Row::small("silence before the head, for ever", |_, right| {
            right.sent(Sending::Silent)
        })
        .fails("unreachable", &["in/a"]),
        Row::object(
            "silence in the middle of a body, once",
            |ask, right| match ask.number {
                0 => right.sent(Sending::Stalled(1_000_003)),
                _ => right,
            },
        )
        .in_a_run_too(),
        Row::small("silence after the head, for ever", |_, right| {
            right.sent(Sending::Stalled(0))
        })
        .fails("unreachable", &["in/a"]),
        Row::small("the head a byte a second, for ever", move |_, right| {
            right.sent(Sending::HeadInDrops(second))
        })
        .fails("unreachable", &["in/a"]),
        Row::object(
            "a body a byte a second, once",
            move |ask, right| match ask.number {
                0 => right.sent(Sending::BodyInDrops(second)),
                _ => right,
            },
        ),
        Row::small("a body a byte a second, for ever", move |_, right| {
            right.sent(Sending::BodyInDrops(second))
        })
        .fails("unreachable", &["in/a"]),
        Row::object("a body of two megabytes a second", |_, right| {
            right.sent(Sending::Paced(2_000_000))
        }),
        Row::listing("silence for the listing, once", |ask, right| {
            match ask.number {
                0 => right.sent(Sending::Silent),
                _ => right,
            }
        }),
        Row::listing("silence for the listing, for ever", |_, right| {
            right.sent(Sending::Silent)
        })
        .stops(3, &["no answer in time"]),
        Row::listing(
            "a listing that stops in the middle, once",
            |ask, right| match ask.number {
                0 => right.sent(Sending::Stalled(100)),
                _ => right,
            },
        ),
        Row::listing(
            "the listing's head a byte a second, for ever",
            move |_, right| right.sent(Sending::HeadInDrops(second)),
        )
        .stops(3, &["no answer in time"]),
        Row::listing("100 Continue without an end for the listing", |_, right| {
            right.sent(Sending::Repeated(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()))
        })
        .stops(3, &["no answer in time"]),
        Row::listing("the listing a byte a second, for ever", move |_, right| {
            right.sent(Sending::BodyInDrops(second))
        })
        .stops(3, &["no answer in time"]),
    ]
}
