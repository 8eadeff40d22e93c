//! An object that is replaced while it is downloaded.

use crate::answer::Answer;
use crate::bucket::{REPLACED, part};
use crate::row::Row;

pub fn rows() -> Vec<Row> {
    let says = &["in/big", "changed since it was listed"][..];
    vec![
        Row::object(
            "replaced half way, If-Match is known",
            |ask, right| match ask.number {
                0 => right,
                _ => part(ask, &REPLACED, true),
            },
        )
        .fails("changed", says)
        .in_a_run_too(),
        Row::object(
            "replaced half way, If-Match is not known",
            |ask, right| match ask.number {
                0 => right,
                _ => part(ask, &REPLACED, false),
            },
        )
        .fails("changed", says)
        .in_a_run_too(),
        Row::object("replaced before the first part", |ask, _| {
            part(ask, &REPLACED, true)
        })
        .fails("changed", says),
        Row::object("416: it is shorter now", |_, _| {
            Answer::error(
                "416 Range Not Satisfiable",
                "InvalidRange",
                "It is shorter.",
            )
        })
        .fails("changed", says),
    ]
}
