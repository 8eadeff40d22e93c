//! Listings that are none, do not end, or are of something else.

use crate::answer::{Answer, Sending};
use crate::bucket::{OBJECTS, entry, listing};
use crate::row::Row;

fn page(entries: &str) -> Answer {
    let body = format!(
        "<ListBucketResult><Name>bucket</Name><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    );
    Answer::new("200 OK", body)
}

pub fn rows() -> Vec<Row> {
    let none = &["no listing"][..];
    vec![
        Row::listing("a web page for the listing", |_, _| {
            Answer::new("200 OK", "<html><body>Sign in</body></html>")
        })
        .stops(3, &["no listing", "Sign in"])
        .in_a_run_too(),
        Row::listing("JSON for the listing", |_, _| {
            Answer::new("200 OK", "{\"error\": 1}")
        })
        .stops(3, none),
        Row::listing("an empty listing's body", |_, _| Answer::new("200 OK", "")).stops(3, none),
        Row::listing("XML that breaks off", |_, mut right| {
            right.body.truncate(right.body.len() / 2);
            right
        })
        .stops(3, none),
        Row::listing("a listing cut off twice", |ask, right| match ask.number {
            0..2 => {
                let half = right.body.len() / 2;
                right.sent(Sending::Cut(half))
            }
            _ => right,
        }),
        Row::listing("a size that is none", |_, _| {
            page("<Contents><Key>in/big</Key><Size>-1</Size></Contents>")
        })
        .stops(3, &["is no size"]),
        Row::listing("truncated without a token", |_, _| {
            Answer::new(
                "200 OK",
                "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            )
        })
        .stops(3, &["NextContinuationToken"]),
        Row::listing("the same token for ever", |_, _| {
            listing(OBJECTS.iter(), Some("same"))
        })
        .stops(3, &["same continuation token twice"])
        .in_a_run_too(),
        Row::listing("the same page with ever new tokens", |ask, _| {
            listing(OBJECTS.iter(), Some(&ask.number.to_string()))
        })
        .stops(3, &["does not end"]),
        Row::listing("ever new tokens and no keys", |ask, _| {
            listing([].iter(), Some(&ask.number.to_string()))
        })
        .stops(3, &["does not end"]),
        Row::listing("a listing of other keys", |_, _| {
            page(&entry("other/a", 10, "00000000000000000000000000000000"))
        })
        .stops(3, &["other/a"]),
        Row::listing("a listing without an end", |_, _| {
            let entries = entry("in/a", 10, "x").repeat(1 << 10).into_bytes();
            let head = Answer::new("200 OK", "<ListBucketResult>".as_bytes());
            Answer {
                body: entries,
                ..head
            }
            .sent(Sending::Endless)
        })
        .stops(3, &["longer than"]),
        Row::listing("a redirect of the listing", |_, _| {
            Answer::new("301 Moved Permanently", "").with("x-amz-bucket-region", "eu-central-1")
        })
        .stops(3, &["--region eu-central-1"]),
        Row::listing("no such bucket", |_, _| {
            Answer::error("404 Not Found", "NoSuchBucket", "There is no such bucket.")
        })
        .stops(1, &["NoSuchBucket"]),
    ]
}
