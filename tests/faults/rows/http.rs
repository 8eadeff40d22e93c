//! Answers that are no HTTP, or HTTP as one rarely sees it.

use crate::answer::{Answer, Sending};
use crate::row::Row;

fn instead(right: Answer, bytes: impl Into<Vec<u8>>) -> Answer {
    right.sent(Sending::Instead(bytes.into()))
}

pub fn rows() -> Vec<Row> {
    vec![
        Row::object("garbage instead of HTTP, twice", |ask, right| match ask.number {
            0..2 => instead(right, "220 mail.example ESMTP\r\n\r\n"),
            _ => right,
        }),
        Row::object("garbage instead of HTTP, for ever", |_, right| {
            instead(right, "220 mail.example ESMTP\r\n\r\n")
        })
        .fails("protocol", &["in/big"])
        .in_a_run_too(),
        Row::object("zeroes instead of HTTP, for ever", |_, right| {
            instead(right, vec![0; 100_000])
        })
        .fails("protocol", &["in/big"]),
        Row::all("garbage for everything", |_, right| {
            instead(right, "220 mail.example ESMTP\r\n\r\n")
        })
        .stops(3, &["http"]),
        Row::object("a head of a megabyte, for ever", |_, right| {
            right.with("X-Long", "x".repeat(1 << 20))
        })
        .fails("protocol", &["in/big"]),
        Row::object("a head without an end, for ever", |_, right| {
            let line = "X-More: again\r\n".repeat(1 << 16);
            instead(right, format!("HTTP/1.1 206 Partial Content\r\n{line}"))
        })
        .fails("protocol", &["in/big"]),
        Row::object("half a head, twice", |ask, right| match ask.number {
            0..2 => instead(right, "HTTP/1.1 206 Partial Content\r\nETa"),
            _ => right,
        }),
        Row::object("two lengths that differ", |_, right| {
            let length = right.body.len();
            let head = format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Length: {length}\r\nContent-Length: 5\r\n\r\n"
            );
            let mut bytes = head.into_bytes();
            bytes.extend_from_slice(&right.body);
            instead(right, bytes)
        })
        .fails("protocol", &["in/big"]),
        Row::all("closed after each answer, unannounced", |_, right| {
            right.sent(Sending::ThenClosed)
        })
        .in_a_run_too(),
        Row::all("Connection: close with each answer", |_, right| {
            right.with("Connection", "close").sent(Sending::ThenClosed)
        }),
        Row::all("100 Continue before each answer", |_, right| {
            right.sent(Sending::After(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()))
        }),
        Row::all("102 and 103 before each answer", |_, right| {
            let first = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
            right.sent(Sending::After(first.as_bytes().to_vec()))
        }),
        Row::object("100 Continue without an end", |_, right| {
            right.sent(Sending::Repeated(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()))
        })
        .fails("protocol", &["in/big"]),
        Row::all("HTTP/1.0", |_, right| right.sent(Sending::Version("HTTP/1.0"))),
        Row::object("HTTP/3.7", |_, right| right.sent(Sending::Version("HTTP/3.7")))
            .fails("protocol", &["in/big"]),
    ]
}
