//! Which store is meant: flags, environment, profiles, and which of them wins.

use std::fs;

use cotec::store::{
    Addressing, Credentials, Environment, ErrorKind, StoreConfig, StoreError, StoreOptions,
};
use tempfile::TempDir;

use crate::client::block_on;

const CREDENTIALS: &str = "\
# the usual file
[default]
aws_access_key_id = DEFAULTKEY
aws_secret_access_key = DEFAULTHUSH

[work]
  aws_access_key_id=WORKKEY
  aws_secret_access_key=WORK/HUSH+=
  aws_session_token = WORKTOKEN==

[half]
aws_access_key_id = HALFKEY
";

const CONFIG: &str = "\
[default]
region = eu-west-1
[profile work]
region = eu-central-1   ; a comment
endpoint_url = https://s3.work.example
s3 =
    addressing_style = virtual
    max_concurrent_requests = 20
output = json
[profile \"with space\"]
aws_access_key_id = SPACEKEY
aws_secret_access_key = SPACEHUSH
[profile copernicus]
services = cdse
aws_access_key_id = CDSEKEY
aws_secret_access_key = CDSEHUSH
endpoint_url = https://not-this.example
[services cdse]
s3 =
  endpoint_url = https://eodata.dataspace.copernicus.eu/
[profile console]
login_session = arn:aws:iam::0123456789012:user/Admin
[profile odd]
s3 =
  addressing_style = sideways
";

struct Home(TempDir);

impl Home {
    fn new() -> Home {
        let home = Home(TempDir::new().unwrap());
        fs::create_dir(home.0.path().join(".aws")).unwrap();
        home.write("credentials", CREDENTIALS);
        home.write("config", CONFIG);
        home
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.0.path().join(".aws").join(name), text).unwrap();
    }

    fn env(&self, vars: &[(&str, &str)]) -> Environment {
        Environment::new(vars.iter().copied(), Some(self.0.path().to_owned()))
    }
}

fn options(change: impl FnOnce(&mut StoreOptions)) -> StoreOptions {
    let mut options = StoreOptions {
        bucket: Some("b".to_owned()),
        ..StoreOptions::default()
    };
    change(&mut options);
    options
}

fn profile(name: &str) -> StoreOptions {
    options(|o| o.profile = Some(name.to_owned()))
}

/// Access key, secret key and token, which are looked for only when they are needed.
fn keys(config: &StoreConfig) -> (String, String, Option<String>) {
    match block_on(config.credentials.found()).unwrap() {
        Credentials::Keys {
            access,
            secret,
            token,
        } => {
            let token = token.map(|t| t.expose().to_owned());
            (access, secret.expose().to_owned(), token)
        }
        other => panic!("{other:?}"),
    }
}

/// What [`keys`] gives.
fn found(access: &str, secret: &str, token: Option<&str>) -> (String, String, Option<String>) {
    let token = token.map(str::to_owned);
    (access.to_owned(), secret.to_owned(), token)
}

fn refused(options: &StoreOptions, env: &Environment) -> (ErrorKind, String) {
    let error: StoreError = StoreConfig::resolve(options, env).unwrap_err();
    let text = error.to_string();
    assert!(
        !text.contains("HUSH") && !format!("{error:?}").contains("HUSH"),
        "{text}"
    );
    (error.kind(), text)
}

#[test]
fn files() {
    let home = Home::new();
    let config = StoreConfig::resolve(&options(|_| {}), &home.env(&[])).unwrap();
    assert_eq!(keys(&config), found("DEFAULTKEY", "DEFAULTHUSH", None));
    assert_eq!(
        (config.region.as_deref(), config.endpoint.as_deref()),
        (Some("eu-west-1"), None)
    );
    assert_eq!(config.addressing, Addressing::Auto);

    let config = StoreConfig::resolve(&profile("work"), &home.env(&[])).unwrap();
    assert_eq!(
        keys(&config),
        found("WORKKEY", "WORK/HUSH+=", Some("WORKTOKEN=="))
    );
    assert_eq!(config.region.as_deref(), Some("eu-central-1"));
    assert_eq!(config.endpoint.as_deref(), Some("https://s3.work.example"));
    assert_eq!(config.addressing, Addressing::VirtualHost);

    let config = StoreConfig::resolve(&profile("with space"), &home.env(&[])).unwrap();
    assert_eq!(keys(&config).0, "SPACEKEY");
    let config = StoreConfig::resolve(&profile("copernicus"), &home.env(&[])).unwrap();
    assert_eq!(
        config.endpoint.as_deref(),
        Some("https://eodata.dataspace.copernicus.eu")
    );

    let other = home.0.path().join("elsewhere");
    fs::write(
        &other,
        "[default]\naws_access_key_id=OTHERKEY\naws_secret_access_key=OTHERHUSH\n",
    )
    .unwrap();
    let env = home.env(&[("AWS_SHARED_CREDENTIALS_FILE", other.to_str().unwrap())]);
    assert_eq!(
        keys(&StoreConfig::resolve(&options(|_| {}), &env).unwrap()).0,
        "OTHERKEY"
    );
    let env = home.env(&[("AWS_SHARED_CREDENTIALS_FILE", "~/elsewhere")]);
    assert_eq!(
        keys(&StoreConfig::resolve(&options(|_| {}), &env).unwrap()).0,
        "OTHERKEY"
    );
    let env = home.env(&[("AWS_CONFIG_FILE", "/nonexistent/config")]);
    assert_eq!(
        StoreConfig::resolve(&options(|_| {}), &env).unwrap().region,
        None
    );
}

#[test]
fn what_wins() {
    let home = Home::new();
    let vars = [
        ("AWS_ACCESS_KEY_ID", "ENVKEY"),
        ("AWS_SECRET_ACCESS_KEY", "ENVHUSH"),
        ("AWS_SESSION_TOKEN", "ENVTOKEN"),
    ];
    let config = StoreConfig::resolve(&options(|_| {}), &home.env(&vars)).unwrap();
    assert_eq!(keys(&config), found("ENVKEY", "ENVHUSH", Some("ENVTOKEN")));
    // A profile of the environment gives way to keys of the environment, one of the flags does not.
    let with_profile: Vec<_> = vars.into_iter().chain([("AWS_PROFILE", "work")]).collect();
    let config = StoreConfig::resolve(&options(|_| {}), &home.env(&with_profile)).unwrap();
    assert_eq!(
        (keys(&config).0.as_str(), config.region.as_deref()),
        ("ENVKEY", Some("eu-central-1"))
    );
    let config = StoreConfig::resolve(&profile("work"), &home.env(&vars)).unwrap();
    assert_eq!(
        keys(&config),
        found("WORKKEY", "WORK/HUSH+=", Some("WORKTOKEN=="))
    );
    let config = StoreConfig::resolve(&options(|o| o.anonymous = true), &home.env(&vars)).unwrap();
    assert_eq!(config.credentials, Credentials::Anonymous);
    // Empty variables count as unset.
    let empty = [
        ("AWS_ACCESS_KEY_ID", ""),
        ("AWS_SECRET_ACCESS_KEY", ""),
        ("AWS_PROFILE", ""),
    ];
    let config = StoreConfig::resolve(&options(|_| {}), &home.env(&empty)).unwrap();
    assert_eq!(keys(&config).0, "DEFAULTKEY");

    let mut env = vec![("AWS_PROFILE", "work")];
    for (variable, value) in [
        ("", "https://s3.work.example"),
        ("AWS_ENDPOINT_URL", "https://all.example"),
        ("AWS_ENDPOINT_URL_S3", "https://s3.example"),
    ] {
        env.extend((!variable.is_empty()).then_some((variable, value)));
        let config = StoreConfig::resolve(&options(|_| {}), &home.env(&env)).unwrap();
        assert_eq!(config.endpoint.as_deref(), Some(value));
    }
    let flag = options(|o| o.endpoint = Some("http://flag.example:9000/".to_owned()));
    let config = StoreConfig::resolve(&flag, &home.env(&env)).unwrap();
    assert_eq!(config.endpoint.as_deref(), Some("http://flag.example:9000"));
    env.push(("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true"));
    assert_eq!(
        StoreConfig::resolve(&options(|_| {}), &home.env(&env))
            .unwrap()
            .endpoint,
        None
    );

    let mut env = vec![];
    for (variable, value) in [
        ("", "eu-west-1"),
        ("AWS_DEFAULT_REGION", "ap-south-1"),
        ("AWS_REGION", "us-west-2"),
    ] {
        env.extend((!variable.is_empty()).then_some((variable, value)));
        let config = StoreConfig::resolve(&options(|_| {}), &home.env(&env)).unwrap();
        assert_eq!(config.region.as_deref(), Some(value));
    }
    let flag = options(|o| o.region = Some("sa-east-1".to_owned()));
    let config = StoreConfig::resolve(&flag, &home.env(&env)).unwrap();
    assert_eq!(config.region.as_deref(), Some("sa-east-1"));
    let flag = options(|o| {
        o.profile = Some("work".to_owned());
        o.addressing = Some(Addressing::Path);
    });
    assert_eq!(
        StoreConfig::resolve(&flag, &home.env(&[]))
            .unwrap()
            .addressing,
        Addressing::Path
    );
}

#[test]
fn errors_say_what_to_do() {
    let home = Home::new();
    let empty = Environment::new([("AWS_EC2_METADATA_DISABLED", "true")], None);
    for (options, vars, kind, says) in [
        (
            profile("wrok"),
            vec![],
            ErrorKind::Config,
            "did you mean `work`?",
        ),
        (
            profile("nothing-like-it"),
            vec![],
            ErrorKind::Config,
            ".aws/credentials",
        ),
        (
            options(|_| {}),
            vec![("AWS_PROFILE", "copernicsu")],
            ErrorKind::Config,
            "did you mean `copernicus`?",
        ),
        (
            profile("half"),
            vec![],
            ErrorKind::Refused,
            "no aws_secret_access_key",
        ),
        (
            profile("console"),
            vec![],
            ErrorKind::Refused,
            "export-credentials --profile console",
        ),
        (
            options(|_| {}),
            vec![("AWS_ACCESS_KEY_ID", "X")],
            ErrorKind::Refused,
            "AWS_SECRET_ACCESS_KEY is not",
        ),
        (
            options(|_| {}),
            vec![("AWS_SECRET_ACCESS_KEY", "TOPHUSH")],
            ErrorKind::Refused,
            "AWS_ACCESS_KEY_ID is not",
        ),
        (
            options(|o| (o.anonymous, o.requester_pays) = (true, true)),
            vec![],
            ErrorKind::Config,
            "--requester-pays needs credentials",
        ),
        (
            options(|o| o.bucket = None),
            vec![],
            ErrorKind::Config,
            "--bucket",
        ),
        (
            options(|o| o.bucket = Some("b/prefix".to_owned())),
            vec![],
            ErrorKind::Config,
            "no slash",
        ),
        (
            options(|o| o.region = Some("eu west".to_owned())),
            vec![],
            ErrorKind::Config,
            "eu-central-1",
        ),
    ] {
        let (got, text) = refused(&options, &home.env(&vars));
        assert_eq!(got, kind, "{text}");
        assert!(text.contains(says), "{text}");
    }
    let (kind, text) = refused(&options(|_| {}), &empty);
    assert_eq!(kind, ErrorKind::Refused);
    assert!(text.contains("--anonymous"), "{text}");
    let odd = options(|o| {
        o.profile = Some("odd".to_owned());
        o.anonymous = true;
    });
    assert!(refused(&odd, &home.env(&[])).1.contains("sideways"));
}

#[test]
fn endpoints() {
    let home = Home::new();
    for (endpoint, says) in [
        ("s3.example.com", "scheme is missing"),
        ("ftp://s3.example.com", "neither http nor https"),
        ("https://", "empty host"),
        ("https://user:HUSH@s3.example.com", "user name or password"),
        ("https://s3.example.com/?x=HUSH", "query"),
        ("http://s3.example.com:99999", "port"),
    ] {
        let options = options(|o| o.endpoint = Some(endpoint.to_owned()));
        let (kind, text) = refused(&options, &home.env(&[]));
        assert_eq!(kind, ErrorKind::Config, "{text}");
        assert!(
            text.contains(says) && text.contains("https://HOST"),
            "{text}"
        );
        assert!(text.contains("--endpoint"), "{text}");
    }
}

#[test]
fn broken_files() {
    let home = Home::new();
    for (text, line, says) in [
        ("[default]\naws_secret_access_key HUSH\n", 2, "name = value"),
        ("aws_secret_access_key = HUSH\n", 1, "before the first"),
        ("[default]\n\n[broken\n", 3, "`]`"),
    ] {
        home.write("credentials", text);
        let (kind, text) = refused(&options(|_| {}), &home.env(&[]));
        assert_eq!(kind, ErrorKind::Config);
        assert!(
            text.contains(&format!("credentials, line {line}:")) && text.contains(says),
            "{text}"
        );
    }
}

#[test]
fn debug_shows_no_secret() {
    let home = Home::new();
    let env = home.env(&[
        ("AWS_ACCESS_KEY_ID", "K"),
        ("AWS_SECRET_ACCESS_KEY", "TOPHUSH"),
        ("AWS_SESSION_TOKEN", "TOKHUSH"),
    ]);
    let config = StoreConfig::resolve(&options(|_| {}), &env).unwrap();
    let store = cotec::store::S3Store::new(config.clone()).unwrap();
    let shown = format!("{env:?} {config:?} {store:?}");
    assert!(shown.contains("AWS_SECRET_ACCESS_KEY"), "{shown}");
    assert!(
        !shown.contains("TOPHUSH") && !shown.contains("TOKHUSH"),
        "{shown}"
    );
}
