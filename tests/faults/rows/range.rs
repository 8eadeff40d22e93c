//! Answers with another range than was asked for, or from somewhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::answer::{Answer, Sending};
use crate::bucket::{Ask, BIG, object};
use crate::row::Row;

/// The right answer with another Content-Range: first byte, last byte and size, each moved.
fn moved(ask: &Ask, right: Answer, by: [i64; 3]) -> Answer {
    let Some((start, end)) = ask.range() else {
        return right;
    };
    let size = object(BIG).unwrap().bytes.len();
    let [start, last, size] =
        [(start, 0), (end - 1, 1), (size, 2)].map(|(value, at)| value as i64 + by[at]);
    right.with("Content-Range", format!("bytes {start}-{last}/{size}"))
}

fn whole(status: &str) -> Answer {
    let bytes = object(BIG).unwrap().bytes.clone();
    Answer::new(status, bytes)
}

const HTML: &str = "<html><body>Please sign in to the hotel's network</body></html>";

pub fn rows() -> Vec<Row> {
    let mut rows = vec![
        Row::object("Content-Range with another start", |ask, right| {
            moved(ask, right, [1, 0, 0])
        })
        .fails("protocol", &["in/big", "were asked for"])
        .in_a_run_too(),
        Row::object("Content-Range with another end", |ask, right| {
            moved(ask, right, [0, 1, 0])
        })
        .fails("protocol", &["in/big", "were asked for"]),
        Row::object("Content-Range with another size", |ask, right| {
            moved(ask, right, [0, 0, 7])
        })
        .fails("changed", &["in/big", "changed"]),
        Row::object("Content-Range that is none", |_, right| {
            right.with("Content-Range", "bytes all of it")
        })
        .fails("protocol", &["in/big", "Content-Range"]),
        Row::object("no Content-Range", |_, right| {
            right.without("Content-Range")
        })
        .fails("protocol", &["in/big", "Content-Range"]),
        Row::object("wrong Content-Range twice", |ask, right| match ask.number {
            0..2 => moved(ask, right, [1, 0, 0]),
            _ => right,
        }),
        Row::object("206 of several ranges", |_, right| {
            let multipart = "multipart/byteranges; boundary=x";
            right
                .without("Content-Range")
                .with("Content-Type", multipart)
        })
        .fails("protocol", &["in/big", "Content-Range"]),
        Row::object("200 with the whole object", |_, _| whole("200 OK"))
            .fails("protocol", &["in/big", "ranges"])
            .in_a_run_too(),
        Row::object("200 with the part", |_, right| Answer {
            status: "200 OK".to_owned(),
            ..right.without("Content-Range")
        })
        .fails("protocol", &["in/big"]),
        Row::object("200 with an HTML page", |_, _| {
            Answer::new("200 OK", HTML).with("Content-Type", "text/html")
        })
        .fails("protocol", &["in/big"]),
        Row::object("204 and nothing", |_, _| Answer::new("204 No Content", ""))
            .fails("protocol", &["in/big", "HTTP 204"]),
        Row::object("304 and nothing", |_, _| {
            Answer::new("304 Not Modified", "")
        })
        .fails("protocol", &["in/big", "HTTP 304"]),
        Row::object("206 of an empty part", |_, right| Answer {
            body: Vec::new(),
            ..right
        })
        .fails("protocol", &["in/big"]),
        Row::object("206 whose Content-Length is another", |_, right| {
            right.with("Content-Length", "5").sent(Sending::Cut(5))
        })
        .fails("protocol", &["in/big", "5 bytes"]),
    ];
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let followed = Arc::new(AtomicUsize::new(0));
        let name = format!("{} to elsewhere", &status[..3]);
        rows.push(
            Row::object(&name, move |ask, right| {
                // Whoever follows comes back and gets what it should not take.
                if ask.query("followed").is_some() {
                    followed.fetch_add(1, Ordering::SeqCst);
                    return right;
                }
                Answer::new(status, "").with("Location", "/bucket/in/big?followed=1")
            })
            .fails("protocol", &["in/big", "redirects", "not followed"]),
        );
    }
    rows
}
