//! No secret and no signature is anywhere but in the processes that sign, at the most verbose
//! level of logging.

use super::front::{Front, Request};
use super::places::{NAMES, Places};
use super::services::{ROLE, TOKEN, in_seconds, sts};
use super::world::World;
use crate::store_common::{ACCESS, SECRET};

/// Held until it is told to go on.
const JOB: &str = r#"
[store]
bucket = "b"
[products]
prefix = ""
[[task]]
name = "t"
run = ["sh", "HOLD", "{B01}", "{out}"]
"#;
/// What only the test's own products hold: it must be found in every place that is searched.
const PLANTED: &str = "planted-m4rk";
/// Stands in a command of the profile.
const ARGUMENT: &str = "hush-arg-91";
/// Stands in the file of a web identity.
const IDENTITY: &str = "eyJ.web.identity-77";

fn world() -> World {
    let world = World::new(0);
    let key = format!("{PLANTED}/B01.tif");
    world
        .sandbox
        .object("b", &key, format!("the bytes of {PLANTED}"));
    let hold = world.sandbox.path("hold.sh");
    world
        .sandbox
        .job_file(&JOB.replace("HOLD", hold.to_str().unwrap()));
    world
}

/// Whatever is secret about these requests, and what shows that one of them was printed.
fn needles(requests: &[Request]) -> Vec<String> {
    let mut needles: Vec<String> = [SECRET, TOKEN, ARGUMENT, IDENTITY, ACCESS]
        .map(str::to_owned)
        .into();
    for name in [
        "X-Amz-Signature",
        "X-Amz-Credential",
        "AWSAccessKeyId",
        "Signature",
    ] {
        needles.push(format!("{name}="));
        needles.extend(requests.iter().filter_map(|r| r.parameter(name)));
    }
    let escaped: Vec<String> = needles
        .iter()
        .map(|n| percent_encoding::utf8_percent_encode(n, percent_encoding::NON_ALPHANUMERIC))
        .map(|n| n.to_string())
        .collect();
    needles.extend(escaped);
    needles
}

/// Fails where a run, by these options and variables, leaves a secret anywhere.
fn search(
    world: &World,
    url: &str,
    env: &[(&str, &str)],
    args: &[&str],
    requests: &dyn Fn() -> Vec<Request>,
) {
    let places = Places::of(world, world.run(url, env).args(args));
    assert_eq!(places.outcome.code, Some(0), "{}", places.outcome);
    // The search looks into each place.
    assert_eq!(places.with(PLANTED), NAMES, "{}", places.outcome);
    let requests = requests();
    assert!(requests.len() > 2);
    for needle in needles(&requests) {
        let there = places.with(&needle);
        assert!(
            there.is_empty(),
            "{needle:?} in {there:?}: {}",
            places.outcome
        );
    }
}

#[test]
fn of_the_environment_in_either_version() {
    // The server behind takes no token of version 2.
    let version2 = &["--signature-version", "s3"][..];
    for (args, token) in [(&["--json"][..], TOKEN), (&[], TOKEN), (version2, "")] {
        let world = world();
        let front = Front::start(None, &world.server.url, |_| None);
        let env = [
            ("AWS_ACCESS_KEY_ID", ACCESS),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_SESSION_TOKEN", token),
        ];
        search(&world, &front.url, &env, args, &|| front.seen());
    }
}

#[test]
fn of_a_process_whose_command_holds_one_too() {
    let world = world();
    let front = Front::start(None, &world.server.url, |_| None);
    let expires = in_seconds(3600);
    let text = format!(
        "echo '{{\"Version\": 1, \"AccessKeyId\": \"{ACCESS}\", \"SecretAccessKey\": \
         \"{SECRET}\", \"SessionToken\": \"{TOKEN}\", \"Expiration\": \"{expires}\"}}'"
    );
    let command = world.script("give.sh", &text);
    let profile = format!("[profile p]\ncredential_process = {command} {ARGUMENT}\n");
    world.write(".aws/config", &profile);
    search(&world, &front.url, &[], &["--profile", "p"], &|| {
        front.seen()
    });
}

#[test]
fn of_a_web_identity() {
    let world = world();
    let front = Front::start(None, &world.server.url, |_| None);
    let service = Front::alone(|request| sts(request, IDENTITY, "none"));
    let token = world.write("token", IDENTITY);
    let env = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ENDPOINT_URL_STS", &service.url),
    ];
    search(&world, &front.url, &env, &[], &|| front.seen());
}

#[test]
fn of_a_directory_that_is_served() {
    // Its keys are made for the run, so only what shows that a URL was printed can be looked for.
    let world = world();
    let places = Places::of(&world, world.sandbox.coord().serve());
    assert_eq!(places.outcome.code, Some(0), "{}", places.outcome);
    for needle in ["X-Amz-Signature", "X-Amz-Credential", "x-amz-signature"] {
        let there = places.with(needle);
        assert!(
            there.is_empty(),
            "{needle:?} in {there:?}: {}",
            places.outcome
        );
    }
}
