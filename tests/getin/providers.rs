//! Each way to credentials, through `cotec ls` and the service that the way needs.

use sha1::{Digest, Sha1};

use super::front::Front;
use super::services::{ROLE, TOKEN, container, in_seconds, instance, sign_on, sts};
use super::world::World;
use crate::store_common::{ACCESS, SECRET};

/// No instance, so that what is meant to answer does.
const NO_INSTANCE: (&str, &str) = ("AWS_EC2_METADATA_DISABLED", "true");

#[test]
fn keys_of_the_environment_with_and_without_a_token() {
    let world = World::new(3);
    let keys = [
        ("AWS_ACCESS_KEY_ID", ACCESS),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ];
    world.ls(&keys, &[]).listed(3);
    let with_token = [keys[0], keys[1], ("AWS_SESSION_TOKEN", TOKEN)];
    world.ls(&with_token, &[]).listed(3);
    let wrong = [keys[0], ("AWS_SECRET_ACCESS_KEY", "another")];
    world.ls(&wrong, &[]).refused(3, &["secret key"]);
}

#[test]
fn keys_of_a_profile() {
    let world = World::new(3);
    let text = format!("[p]\naws_access_key_id = {ACCESS}\naws_secret_access_key = {SECRET}\n");
    world.write(".aws/credentials", &text);
    world.ls(&[], &["--profile", "p"]).listed(3);
    world.ls(&[("AWS_PROFILE", "p")], &[]).listed(3);
}

#[test]
fn a_web_identity() {
    let world = World::new(3);
    let token = world.write("token", "eyJ.web.identity");
    let service = Front::alone(|request| sts(request, "eyJ.web.identity", "none"));
    let env = [
        NO_INSTANCE,
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ENDPOINT_URL_STS", &service.url),
    ];
    world.ls(&env, &[]).listed(3);
    assert_eq!(service.seen().len(), 1);
    world.write("token", "stolen");
    world.ls(&env, &[]).refused(
        3,
        &[
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_ROLE_ARN",
            "not this one",
        ],
    );
}

#[test]
fn a_role_of_a_profile() {
    let world = World::new(3);
    let service = Front::alone(|request| sts(request, "none", "SOURCEKEY"));
    world.write(
        ".aws/config",
        &format!(
            "[profile role]\nrole_arn = {ROLE}\nsource_profile = source\nregion = eu-west-1\n\
             [profile source]\naws_access_key_id = SOURCEKEY\naws_secret_access_key = x\n\
             [profile other]\nrole_arn = {ROLE}\nsource_profile = stranger\n\
             [profile stranger]\naws_access_key_id = STRANGER\naws_secret_access_key = x\n\
             [profile both]\nrole_arn = {ROLE}\nsource_profile = both\n\
             aws_access_key_id = SOURCEKEY\naws_secret_access_key = x\n"
        ),
    );
    let env = [("AWS_ENDPOINT_URL_STS", service.url.as_str())];
    world.ls(&env, &["--profile", "role"]).listed(3);
    // The profile's own keys are those of the one who takes the role, and not for the store.
    world.ls(&env, &["--profile", "both"]).listed(3);
    world.ls(&env, &["--profile", "other"]).refused(
        3,
        &[
            "profile `other`",
            "role_arn",
            "not this one",
            "whom the role trusts",
        ],
    );
}

#[test]
fn a_container() {
    let world = World::new(3);
    let service = Front::alone(|request| container(request, "pass w0rd"));
    let uri = format!("{}/get-credentials", service.url);
    let env = |password| {
        [
            NO_INSTANCE,
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", password),
        ]
    };
    world.ls(&env("pass w0rd"), &[]).listed(3);
    let told = world.ls(&env("guessed"), &[]);
    told.refused(3, &["AWS_CONTAINER_CREDENTIALS_FULL_URI", "403"]);
}

#[test]
fn an_instance() {
    let world = World::new(3);
    let service = Front::alone(instance);
    let endpoint = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", service.url.as_str());
    world.ls(&[endpoint], &[]).listed(3);
    assert_eq!(service.seen().len(), 3);
    // Who may not ask does not.
    world.ls(&[endpoint, NO_INSTANCE], &[]).refused(
        3,
        &[
            "no credentials found",
            "instance metadata (AWS_EC2_METADATA_DISABLED)",
        ],
    );
    assert_eq!(service.seen().len(), 3);
}

#[test]
fn a_process() {
    let world = World::new(3);
    let expires = in_seconds(3600);
    let command = world.script(
        "give.sh",
        &format!(
            "echo '{{\"Version\": 1, \"AccessKeyId\": \"{ACCESS}\", \"SecretAccessKey\": \
             \"{SECRET}\", \"SessionToken\": \"{TOKEN}\", \"Expiration\": \"{expires}\"}}'"
        ),
    );
    let refusing = world.script("refuse.sh", "echo 'the vault is locked' >&2; exit 7");
    world.write(
        ".aws/config",
        &format!(
            "[profile process]\ncredential_process = {command}\n\
             [profile locked]\ncredential_process = {refusing}\n"
        ),
    );
    world.ls(&[], &["--profile", "process"]).listed(3);
    world.ls(&[("AWS_PROFILE", "process")], &[]).listed(3);
    world.ls(&[], &["--profile", "locked"]).refused(
        3,
        &[
            "profile `locked`",
            "credential_process",
            "the vault is locked",
            "by hand",
        ],
    );
}

#[test]
fn single_sign_on() {
    let world = World::new(3);
    let service = Front::alone(|request| sign_on(request, "signed-in"));
    world.write(
        ".aws/config",
        "[profile sso]\nsso_session = corp\nsso_account_id = 123456789012\n\
         sso_role_name = reader\n[sso-session corp]\nsso_region = eu-west-1\n\
         sso_start_url = https://corp.example/start\n",
    );
    let name: String = Sha1::digest("corp")
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let cached = |expires: &str| {
        world.write(
            &format!(".aws/sso/cache/{name}.json"),
            &format!(
                "{{\"startUrl\": \"https://corp.example/start\", \"region\": \"eu-west-1\", \
                 \"accessToken\": \"signed-in\", \"expiresAt\": \"{expires}\"}}"
            ),
        )
    };
    let env = [("AWS_ENDPOINT_URL_SSO", service.url.as_str())];
    let login = "aws sso login --profile sso";
    world
        .ls(&env, &["--profile", "sso"])
        .refused(3, &["profile `sso`", login]);
    cached(&in_seconds(3600));
    world.ls(&env, &["--profile", "sso"]).listed(3);
    cached("2020-01-01T00:00:00Z");
    world
        .ls(&env, &["--profile", "sso"])
        .refused(3, &["expired", login]);
}
