//! No credentials: said clearly and soon, and nobody is asked who need not be.

use super::front::{Front, answer};
use super::listener::Listener;
use super::world::World;
use crate::common::processes::none_left;
use crate::store_common::{ACCESS, SECRET};

/// A network that swallows what is sent to an instance's service.
fn silent() -> Listener {
    Listener::start(|_, socket| {
        // Until it is closed.
        while super::listener::head(&socket).is_some() {}
    })
}

#[test]
fn nothing_is_found_offline_and_the_order_is_said() {
    let world = World::new(1);
    let nobody = silent();
    let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", nobody.url.as_str())];
    let told = world.ls(&env, &[]);
    told.refused(3, &["set AWS_ACCESS_KEY_ID", "--profile", "--anonymous"]);
    let places = [
        "AWS_ACCESS_KEY_ID (not set)",
        "profile `default` (no keys in ",
        "AWS_WEB_IDENTITY_TOKEN_FILE (not set)",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI (not set)",
        "instance metadata (",
    ];
    let at: Vec<usize> = places.iter().map(|p| told.err.find(p).unwrap()).collect();
    assert!(at.is_sorted(), "{told:?}");
}

#[test]
fn a_run_without_credentials_ends_with_one_message() {
    let world = World::new(3);
    let nobody = silent();
    let env = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", nobody.url.as_str())];
    let outcome = world.run(&world.server.url, &env).expect(3);
    assert_eq!(
        outcome.stderr.matches("no credentials found").count(),
        1,
        "{outcome}"
    );
    none_left(&world.sandbox);

    let command = world.script("refuse.sh", "echo 'the vault is locked' >&2; exit 7");
    let profile = format!("[profile locked]\ncredential_process = {command}\n");
    world.write(".aws/config", &profile);
    let outcome = world
        .run(&world.server.url, &[])
        .args(["--profile", "locked"])
        .expect(3);
    assert_eq!(
        outcome.stderr.matches("the vault is locked").count(),
        1,
        "{outcome}"
    );
    let dry = world
        .run(&world.server.url, &[])
        .args(["--profile", "locked", "--dry-run"])
        .expect(3);
    assert!(dry.stderr.contains("the vault is locked"), "{dry}");
}

#[test]
fn who_has_keys_or_needs_none_asks_no_service() {
    let world = World::new(3);
    let service = Front::alone(|_| answer("500 Internal Server Error", ""));
    let open = Front::start(None, &world.server.url, |_| Some(listing()));
    let instance = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url.as_str());
    let container = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", service.url.as_str());
    let keys = [
        instance,
        container,
        ("AWS_ACCESS_KEY_ID", ACCESS),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ];
    world.ls(&keys, &[]).listed(3);
    let args = ["ls", "--anonymous", "s3://b"];
    world
        .cotec(&open.url, &[instance, container], &args)
        .listed(1);
    assert!(!open.seen()[0].target().contains("X-Amz"));
    assert_eq!(service.seen().len(), 0);
}

/// A listing of one key.
pub fn listing() -> Vec<u8> {
    answer(
        "200 OK",
        "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>k</Key><Size>1</Size>\
         </Contents></ListBucketResult>",
    )
}
