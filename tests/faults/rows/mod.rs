//! All rows, by what is wrong.

mod access;
mod body;
mod changed;
mod connect;
mod http;
mod listing;
mod range;
mod slow;
mod status;

use crate::row::Row;

pub fn all() -> Vec<Row> {
    let all = [
        connect::rows(),
        status::rows(),
        access::rows(),
        range::rows(),
        changed::rows(),
        body::rows(),
        slow::rows(),
        http::rows(),
        listing::rows(),
    ];
    all.into_iter().flatten().collect()
}
