//! Signature version 2, checked by a server that works it out from Amazon's description alone:
//! from the request as it came, and with the HMAC of another crate than the signer's.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::front::{Front, Request, answer, unescaped};
use super::refused::listing;
use super::world::World;
use crate::store_common::{ACCESS, SECRET};

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", ACCESS),
    ("AWS_SECRET_ACCESS_KEY", SECRET),
];
const TOKEN: &str = "session/tok+en=";

/// What Amazon lists as parts of the resource, as far as this project uses any.
const SUB_RESOURCES: [&str; 4] = ["acl", "partNumber", "uploadId", "uploads"];

/// The signature of a request in path style that ends at `expires`, in base64.
fn signature(request: &Request, secret: &str, expires: &str) -> String {
    let (path, query) = request
        .target()
        .split_once('?')
        .unwrap_or((request.target(), ""));
    let mut amz = BTreeMap::new();
    let mut sub = BTreeMap::new();
    for line in request.head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(':')
            && name.to_lowercase().starts_with("x-amz-")
        {
            amz.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name.starts_with("x-amz-") {
            amz.insert(name.to_owned(), unescaped(value));
        } else if SUB_RESOURCES.contains(&name) {
            sub.insert(name.to_owned(), unescaped(value));
        }
    }
    let header = |name| request.header(name).unwrap_or_default();
    let mut text = vec![
        request.method().to_owned(),
        header("content-md5").to_owned(),
        header("content-type").to_owned(),
        expires.to_owned(),
    ];
    text.extend(amz.iter().map(|(name, value)| format!("{name}:{value}")));
    let sub: Vec<String> = sub
        .iter()
        .map(|(name, value)| match value.as_str() {
            "" => name.clone(),
            value => format!("{name}={value}"),
        })
        .collect();
    let mark = if sub.is_empty() { "" } else { "?" };
    text.push(format!("{path}{mark}{}", sub.join("&")));
    hmac_sha1(secret, &text.join("\n"))
}

/// In base64.
fn hmac_sha1(key: &str, text: &str) -> String {
    use sha1::{Digest, Sha1};
    assert!(key.len() <= 64);
    let mut padded = [0u8; 64];
    padded[..key.len()].copy_from_slice(key.as_bytes());
    let inner = Sha1::new()
        .chain_update(padded.map(|b| b ^ 0x36))
        .chain_update(text)
        .finalize();
    let outer = Sha1::new()
        .chain_update(padded.map(|b| b ^ 0x5c))
        .chain_update(inner)
        .finalize();
    let bits: String = outer.iter().map(|b| format!("{b:08b}")).collect();
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut base64 = String::new();
    for at in (0..bits.len()).step_by(6) {
        let six = format!("{:0<6}", &bits[at..bits.len().min(at + 6)]);
        let digit = usize::from_str_radix(&six, 2).unwrap();
        base64.push(digits.chars().nth(digit).unwrap());
    }
    while !base64.len().is_multiple_of(4) {
        base64.push('=');
    }
    base64
}

fn request(head: &str) -> Request {
    Request {
        head: format!("{head}\r\n\r\n"),
        body: Vec::new(),
    }
}

#[test]
fn the_checker_gives_amazons_own_examples() {
    let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
    for (head, expires, known) in [
        (
            "GET /johnsmith/photos/puppy.jpg HTTP/1.1",
            "1175139620",
            "NpgCjnDzrM+WFzoENXmpNDUsSn8=",
        ),
        (
            "GET /johnsmith/photos/puppy.jpg HTTP/1.1",
            "Tue, 27 Mar 2007 19:36:42 +0000",
            "bWq2s1WEIj+Ydj0vQ697zp+IXMU=",
        ),
        (
            "PUT /johnsmith/photos/puppy.jpg HTTP/1.1\r\nContent-Type: image/jpeg",
            "Tue, 27 Mar 2007 21:15:45 +0000",
            "MyyxeRY7whkBe+bq8fHCL/2kKUg=",
        ),
        (
            "GET /johnsmith/?prefix=photos&max-keys=50&marker=puppy HTTP/1.1",
            "Tue, 27 Mar 2007 19:42:41 +0000",
            "htDYFYduRNen8P9ZfE/s9SuKy0U=",
        ),
        (
            "GET /johnsmith/?acl HTTP/1.1",
            "Tue, 27 Mar 2007 19:44:46 +0000",
            "c2WLPFtWHVgbEmeEG93a4cG37dM=",
        ),
    ] {
        assert_eq!(signature(&request(head), secret, expires), known, "{head}");
    }
}

/// Refuses whatever is not signed right, and says why.
fn judge(request: &Request, token: Option<&str>) -> Option<Vec<u8>> {
    let asked = |name: &str| request.parameter(name).unwrap_or_default();
    let expires = asked("Expires");
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let valid = expires.parse::<u64>().is_ok_and(|at| at > now);
    let right = asked("Signature") == signature(request, SECRET, &expires)
        && asked("AWSAccessKeyId") == ACCESS
        && request.parameter("x-amz-security-token").as_deref() == token
        && !request.target().contains("X-Amz-");
    let refusal = |code: &str| {
        let body = format!("<Error><Code>{code}</Code><Message>v2</Message></Error>");
        Some(answer("403 Forbidden", &body))
    };
    match (right, valid) {
        (false, _) => refusal("SignatureDoesNotMatch"),
        (true, false) => refusal("AccessDenied"),
        (true, true) => None,
    }
}

#[test]
fn a_store_that_knows_nothing_else() {
    let world = World::new(3);
    let front = Front::start(None, &world.server.url, |request| judge(request, None));
    world.write(".aws/config", "[default]\ns3 =\n  signature_version = s3\n");
    let run = |args: &[&str]| {
        let told = world.cotec(&front.url, &KEYS, args);
        assert_eq!(told.code, 0, "{told:?}");
        told
    };
    run(&["ls", "--recursive", "s3://b"]).listed(3);
    let odd = world.write("in/ü a+b & c=d.bin", "small");
    // Large enough to go up in parts.
    let large: String = (0..70 << 17)
        .map(|n: u32| format!("{:08x}", n.wrapping_mul(77)))
        .collect();
    let large = world.write("large", &large);
    run(&["put", &odd, "s3://b/up/"]);
    run(&["put", &large, "s3://b/up/"]);
    assert!(
        front
            .seen()
            .iter()
            .any(|r| r.target().contains("partNumber=2&"))
    );
    run(&["get", "s3://b/up/", "down"]);
    for (sent, name) in [(&odd, "ü a+b & c=d.bin"), (&large, "large")] {
        let came = world.sandbox.path("down").join(name);
        assert!(
            std::fs::read(came).unwrap() == std::fs::read(sent).unwrap(),
            "{name}"
        );
    }
    let outcome = world
        .run(&front.url, &KEYS)
        .args(["--product", "p000,p001,p002"])
        .run();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    // Without being told so, it is version 4, which this store does not know.
    world.write(".aws/config", "");
    let told = world.cotec(&front.url, &KEYS, &["ls", "s3://b"]);
    told.refused(3, &["SignatureDoesNotMatch"]);
}

#[test]
fn by_flag_with_a_token_and_who_pays() {
    let world = World::new(3);
    let front = Front::alone(|request| {
        let pays = request.parameter("x-amz-request-payer");
        match judge(request, Some(TOKEN)) {
            None if pays.as_deref() == Some("requester") => listing(),
            None => answer("402 Payment Required", ""),
            Some(refusal) => refusal,
        }
    });
    let env = [KEYS[0], KEYS[1], ("AWS_SESSION_TOKEN", TOKEN)];
    let args = ["ls", "--recursive", "s3://b", "--signature-version", "s3"];
    let args = [&args[..], &["--requester-pays"]].concat();
    world.cotec(&front.url, &env, &args).listed(1);
    let told = world.cotec(
        &front.url,
        &env,
        &["ls", "s3://b", "--signature-version", "s5"],
    );
    told.refused(2, &["s3v4"]);
}

#[test]
fn a_second_opinion() {
    // The embedded server checks version 2 too.
    let world = World::new(3);
    let flag = ["--signature-version", "s3"];
    world.ls(&KEYS, &flag).listed(3);
    let wrong = [KEYS[0], ("AWS_SECRET_ACCESS_KEY", "another")];
    world.ls(&wrong, &flag).refused(3, &["refused"]);
}
