//! Bodies that are too short, too long, wrong, or break off.

use crate::answer::{Answer, Sending};
use crate::row::Row;

fn one_byte_less(right: Answer) -> Answer {
    let sent = right.body.len() - 1;
    right.sent(Sending::Cut(sent))
}

fn one_byte_wrong(mut right: Answer) -> Answer {
    if let Some(byte) = right.body.last_mut() {
        *byte ^= 1;
    }
    right
}

pub fn rows() -> Vec<Row> {
    let short = &["in/big", "before the end of"][..];
    let long = &["in/big", "more than"][..];
    vec![
        Row::object("closed after 1.5 MB of each body", |_, right| {
            right.sent(Sending::Cut(1_500_003))
        }),
        Row::object("closed after the head, for ever", |_, right| {
            right.sent(Sending::Cut(0))
        })
        .fails("unreachable", short)
        .in_a_run_too(),
        Row::object("one byte too short, once", |ask, right| match ask.number {
            0 => one_byte_less(right),
            _ => right,
        }),
        Row::object("half of what is missing, for ever", |_, right| {
            let half = right.body.len() / 2;
            right.sent(Sending::Cut(half))
        })
        .fails("unreachable", short),
        Row::object("one byte too long", |ask, right| match ask.number {
            0 => {
                let mut right = right;
                right.body.push(0);
                right
            }
            _ => right,
        }),
        Row::object("one byte too long, for ever", |_, mut right| {
            right.body.push(0);
            right
        })
        .fails("protocol", &["in/big"]),
        Row::object("bytes after the end of each answer", |_, right| {
            right.sent(Sending::Before(b"more".to_vec()))
        }),
        Row::object("a body without an end", |_, right| {
            right.sent(Sending::Endless)
        })
        .fails("protocol", long)
        .in_a_run_too(),
        Row::object("a wrong byte, once", |ask, right| match ask.number {
            0 => one_byte_wrong(right),
            _ => right,
        })
        .in_a_run_too(),
        Row::object("a wrong byte in each answer, for ever", |_, right| {
            one_byte_wrong(right)
        })
        .fails("corrupt", &["in/big", "its ETag says MD5"])
        .in_a_run_too(),
        Row::object("reset after the head, twice", |ask, right| {
            match ask.number {
                0..2 => right.sent(Sending::Reset(0)),
                _ => right,
            }
        }),
        Row::object("reset at byte 1,500,003 of each body", |_, right| {
            right.sent(Sending::Reset(1_500_003))
        })
        .in_a_run_too(),
        Row::object("reset after the head, for ever", |_, right| {
            right.sent(Sending::Reset(0))
        })
        .fails("unreachable", short),
        Row::object("chunked", |_, right| right.sent(Sending::Chunked(70_001))),
        Row::object("chunked, and cut off twice", |ask, right| {
            match ask.number {
                0..2 => right.sent(Sending::ChunkedCut(70_001)),
                _ => right,
            }
        }),
        Row::object("chunked, and garbage for a size", |ask, right| {
            match ask.number {
                0..2 => {
                    let head = "HTTP/1.1 206 Partial Content\r\nTransfer-Encoding: chunked\r\n";
                    let (_, range) = right
                        .headers
                        .iter()
                        .find(|(n, _)| n == "Content-Range")
                        .unwrap();
                    let bytes = format!("{head}Content-Range: {range}\r\n\r\nzz\r\nabc\r\n");
                    right.sent(Sending::Instead(bytes.into_bytes()))
                }
                _ => right,
            }
        }),
        Row::object("gzip as Content-Encoding", |_, right| {
            right.with("Content-Encoding", "gzip")
        }),
    ]
}
