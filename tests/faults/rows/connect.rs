//! Connections that are not made, or do not last.

use crate::row::Row;
use crate::server::{Greeting, On};

pub fn rows() -> Vec<Row> {
    let unreachable = &["check the endpoint and the network"][..];
    vec![
        Row::host("nobody listens", On::Nobody)
            .stops(3, &["onnection refused"])
            .in_a_run_too(),
        Row::host("nobody answers the connection", On::FullQueue).stops(3, unreachable),
        Row::connections("closed at accept, for ever", |_| Greeting::Close).stops(3, unreachable),
        Row::connections("reset at accept, for ever", |_| Greeting::Reset).stops(3, unreachable),
        Row::connections("every second one closed at accept", |n| match n % 2 {
            0 => Greeting::Close,
            _ => Greeting::Serve,
        })
        .in_a_run_too(),
        Row::connections("every second one reset at accept", |n| match n % 2 {
            0 => Greeting::Reset,
            _ => Greeting::Serve,
        }),
    ]
}
