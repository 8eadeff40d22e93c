//! Credentials that expire while they are used, and clocks that differ.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::front::{Front, Request, answer};
use super::world::World;
use crate::store_common::{ACCESS, SECRET};

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", ACCESS),
    ("AWS_SECRET_ACCESS_KEY", SECRET),
];

/// A profile whose process gives keys for `seconds`; their token says when they expire.
fn short_lived(world: &World, seconds: u32) {
    let text = format!(
        "now=$(date +%s%N); at=$((now / 1000000000 + {seconds}))\n\
         echo '{{\"Version\": 1, \"AccessKeyId\": \"{ACCESS}\", \"SecretAccessKey\": \"{SECRET}\",'\n\
         echo \"\\\"SessionToken\\\": \\\"$at-$now\\\",\"\n\
         echo \"\\\"Expiration\\\": \\\"$(date -u -d @$at +%Y-%m-%dT%H:%M:%SZ)\\\"}}\"\n"
    );
    let command = world.script("give.sh", &text);
    let profile = format!("[profile short]\ncredential_process = {command}\n");
    world.write(".aws/config", &profile);
}

fn token(request: &Request) -> String {
    request.parameter("X-Amz-Security-Token").unwrap()
}

fn expired() -> Vec<u8> {
    let body = "<Error><Code>ExpiredToken</Code><Message>too late</Message></Error>";
    answer("400 Bad Request", body)
}

#[test]
fn keys_that_expire_every_few_seconds_serve_a_whole_run() {
    let world = World::new(300);
    short_lived(&world, 4);
    let front = Front::start(None, &world.server.url, |request| {
        // A store far away: the run takes longer than a pair of keys lasts.
        std::thread::sleep(Duration::from_millis(300));
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let token = token(request);
        let until: u64 = token.split('-').next().unwrap().parse().unwrap();
        (now > until).then(expired)
    });
    let outcome = world
        .run(&front.url, &[])
        .args(["--profile", "short"])
        .expect(0);
    assert!(outcome.stdout.contains("300 of 300 jobs done"), "{outcome}");
    let tokens: HashSet<String> = front.seen().iter().map(token).collect();
    // Planner and downloader have each their own.
    assert!(tokens.len() > 2, "{tokens:?}");
}

#[test]
fn keys_that_a_store_calls_expired_are_replaced() {
    let world = World::new(40);
    short_lived(&world, 3600);
    let uses = Mutex::new(HashMap::new());
    let front = Front::start(None, &world.server.url, move |request| {
        let mut uses = uses.lock().unwrap();
        let of_this = uses.entry(token(request)).or_insert(0);
        *of_this += 1;
        (*of_this > 30).then(expired)
    });
    let outcome = world
        .run(&front.url, &[])
        .args(["--profile", "short"])
        .expect(0);
    assert!(outcome.stdout.contains("40 of 40 jobs done"), "{outcome}");
    // Planner and downloader have more than 30 requests each.
    let tokens: HashSet<String> = front.seen().iter().map(token).collect();
    assert!(tokens.len() > 2, "{tokens:?}");
}

/// A store whose clock is `ahead` seconds before ours, and which refuses what is not signed by it.
fn with_clock(world: &World, ahead: i64) -> Front {
    Front::start(None, &world.server.url, move |request| {
        let theirs = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
        let stamp = request.parameter("X-Amz-Date").unwrap();
        let signed = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", &stamp).unwrap();
        let signed = signed
            .to_zoned(jiff::tz::TimeZone::UTC)
            .unwrap()
            .timestamp();
        let off = signed.duration_since(theirs).as_secs().abs();
        (off > 900).then(|| {
            let date = theirs.strftime("%a, %d %b %Y %H:%M:%S GMT");
            let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>x</Message></Error>";
            let length = body.len();
            format!(
                "HTTP/1.1 403 Forbidden\r\nDate: {date}\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{body}"
            )
            .into_bytes()
        })
    })
}

#[test]
fn a_clock_that_is_an_hour_off_is_allowed_for() {
    // A URL of tomorrow is one that the server behind would refuse itself.
    let world = World::new(3);
    let front = with_clock(&world, -3600);
    let args = ["ls", "--recursive", "s3://b"];
    world.cotec(&front.url, &KEYS, &args).listed(3);
    let outcome = world.run(&front.url, &KEYS).expect(0);
    assert!(outcome.stdout.contains("3 of 3 jobs done"), "{outcome}");
}
