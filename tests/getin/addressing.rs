//! Where the bucket stands in a URL, who pays, and what a job file says of both.

use super::front::Front;
use super::refused::listing;
use super::world::World;
use crate::store_common::{ACCESS, SECRET};

/// A store that no resolver knows is reached through a proxy, which sees what it is asked for.
#[test]
fn the_bucket_in_the_host_name_and_in_the_path() {
    let world = World::new(0);
    let proxy = Front::alone(|_| listing());
    let keys = [
        ("AWS_ACCESS_KEY_ID", ACCESS),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("http_proxy", proxy.url.as_str()),
    ];
    let ls = |args: &[&str]| {
        let args = [&["ls", "s3://b"], args].concat();
        world
            .cotec("http://s3.store.example", &keys, &args)
            .listed(1);
        let seen = proxy.seen();
        let last = seen.last().unwrap();
        let host = last.header("host").unwrap().to_owned();
        (last.target().split('?').next().unwrap().to_owned(), host)
    };
    let path = ("http://s3.store.example/b/", "s3.store.example");
    let virtual_host = ("http://b.s3.store.example/", "b.s3.store.example");
    for (args, (target, host)) in [
        (&[][..], path),
        (&["--addressing-style", "path"], path),
        (&["--addressing-style", "virtual"], virtual_host),
    ] {
        assert_eq!(ls(args), (target.to_owned(), host.to_owned()), "{args:?}");
    }
    world.write(
        ".aws/config",
        "[default]\ns3 =\n  addressing_style = virtual\n",
    );
    assert_eq!(ls(&[]).1, virtual_host.1);
    let told = world.cotec(
        "http://x",
        &keys,
        &["ls", "s3://b", "--addressing-style", "odd"],
    );
    told.refused(2, &["auto, path, virtual"]);
}

#[test]
fn what_a_job_file_says() {
    let world = World::new(1);
    let front = Front::start(None, &world.server.url, |_| None);
    let job = std::fs::read_to_string(world.sandbox.path("cotec.toml")).unwrap();
    let with = |line: &str| {
        let job = job.replace("[products]", &format!("{line}\n[products]"));
        world.sandbox.job_file(&job);
        let keys = [
            ("AWS_ACCESS_KEY_ID", ACCESS),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ];
        world.run(&front.url, &keys)
    };
    with("requester_pays = true").expect(0);
    let paid = |pays: bool| {
        let seen = front.seen();
        let said = |name| seen.last().unwrap().parameter(name).is_some();
        assert_eq!(said("x-amz-request-payer"), pays);
        said("AWSAccessKeyId")
    };
    assert!(!paid(true));
    std::fs::remove_dir_all(world.sandbox.path(".cotec")).unwrap();
    with("signature_version = \"s3\"").expect(0);
    assert!(paid(false));
    for (line, says) in [
        ("signature_version = \"v5\"", "s3v4"),
        ("addressing_style = \"sideways\"", "auto, path, virtual"),
        ("ca_bundle = \"\"", "empty"),
        ("ca_bundle = \"nowhere.pem\"", "nowhere.pem"),
    ] {
        let outcome = with(line).expect(2);
        assert!(outcome.stderr.contains(says), "{outcome}");
    }
}
