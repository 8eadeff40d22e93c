//! Where a bucket is and who asks: flags, environment and profile made into one [`StoreConfig`].

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::profile::Profiles;
use super::{Secret, StoreError};

/// How the bucket is named in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Addressing {
    /// Virtual-host style for Amazon's own endpoints where the bucket's name allows it, path style
    /// everywhere else.
    #[default]
    Auto,
    /// `https://endpoint/bucket/key`
    Path,
    /// `https://bucket.endpoint/key`
    #[serde(alias = "virtual")]
    VirtualHost,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Requests are not signed.
    Anonymous,
    /// Requests are signed with these keys.
    Keys {
        /// The access key's name; not secret, but kept out of messages all the same.
        access: String,
        /// The secret access key.
        secret: Secret,
        /// The session token of temporary credentials.
        token: Option<Secret>,
    },
}

/// What flags and the job file say about a store. Everything may be left out but the bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// `--endpoint`, a URL such as `https://eodata.dataspace.copernicus.eu`.
    pub endpoint: Option<String>,
    /// `--bucket`.
    pub bucket: Option<String>,
    /// `--region`.
    pub region: Option<String>,
    /// `--profile`: a profile of the AWS files. Given here it beats keys in the environment.
    pub profile: Option<String>,
    /// The addressing style; `None` leaves it to the profile, then to [`Addressing::Auto`].
    pub addressing: Option<Addressing>,
    /// `--anonymous`: do not sign.
    pub anonymous: bool,
    /// `--requester-pays`: the caller pays for requests and transfer.
    pub requester_pays: bool,
}

/// One bucket, and how to reach it. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The endpoint, a checked URL without a trailing slash; `None` for Amazon S3 in `region`.
    pub endpoint: Option<String>,
    /// The bucket's name.
    pub bucket: String,
    /// The region to sign for; `None` is `us-east-1`.
    pub region: Option<String>,
    /// The addressing style.
    pub addressing: Addressing,
    /// Who asks.
    pub credentials: Credentials,
    /// Whether the caller pays.
    pub requester_pays: bool,
}

/// The variables and the home directory that [`StoreConfig::resolve`] looks at. `Debug` shows only
/// the names of the variables.
#[derive(Clone, Default)]
pub struct Environment {
    vars: BTreeMap<String, String>,
    home: Option<PathBuf>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("vars", &self.vars.keys().collect::<Vec<_>>())
            .field("home", &self.home)
            .finish()
    }
}

impl Environment {
    /// An environment made by hand.
    pub fn new<K: Into<String>, V: Into<String>>(
        vars: impl IntoIterator<Item = (K, V)>,
        home: Option<PathBuf>,
    ) -> Environment {
        let vars = vars
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect();
        Environment { vars, home }
    }

    /// The `AWS_*` variables and the home directory of this process.
    pub fn from_process() -> Environment {
        let vars = std::env::vars_os()
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
            .filter(|(k, _)| k.starts_with("AWS_"));
        Environment {
            vars: vars.collect(),
            home: std::env::home_dir(),
        }
    }

    /// A variable's value; an empty one counts as not set, as with the AWS tools.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.vars
            .get(name)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// A file of the AWS tools: the path in `variable`, else `~/.aws/NAME`.
    pub(super) fn aws_file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        match (self.var(variable), &self.home) {
            (Some(path), Some(home)) => Some(match path.strip_prefix("~/") {
                Some(rest) => home.join(rest),
                None => PathBuf::from(path),
            }),
            (Some(path), None) => Some(PathBuf::from(path)),
            (None, home) => home.as_ref().map(|h| h.join(".aws").join(name)),
        }
    }
}

impl StoreConfig {
    /// Makes the configuration from options, then environment, then profile, as the AWS command
    /// line does: a profile named in the options beats keys in the environment, one named by
    /// `AWS_PROFILE` does not.
    ///
    /// # Errors
    /// `Config` when the bucket is missing, the endpoint is no usable URL, a named profile does not
    /// exist or a file cannot be read as a profile file; `NoCredentials` when nothing gives keys
    /// and the options do not say anonymous.
    pub fn resolve(opts: &StoreOptions, env: &Environment) -> Result<StoreConfig, StoreError> {
        let bucket = opts
            .bucket
            .clone()
            .filter(|b| !b.is_empty())
            .ok_or_else(|| {
                StoreError::config(
                    "no bucket is named; give --bucket NAME or name it in the job file",
                )
            })?;
        check_bucket(&bucket)?;
        let chosen = opts.profile.as_deref().filter(|p| !p.is_empty());
        let named = chosen.or_else(|| env.var("AWS_PROFILE"));
        let profiles = Profiles::read(env)?;
        let profile = profiles.find(named)?;

        let credentials = if opts.anonymous {
            Credentials::Anonymous
        } else {
            let from_env = if chosen.is_some() {
                None
            } else {
                keys_of_environment(env)?
            };
            match from_env {
                Some(keys) => keys,
                None => profile
                    .credentials()?
                    .ok_or_else(|| no_credentials(&profiles, named))?,
            }
        };
        if opts.requester_pays && credentials == Credentials::Anonymous {
            return Err(StoreError::config(
                "--requester-pays needs credentials: somebody must be charged; leave out --anonymous",
            ));
        }
        let ignored = env
            .var("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let endpoint = match &opts.endpoint {
            Some(url) => Some((url.as_str(), "--endpoint")),
            None if ignored => None,
            None => env
                .var("AWS_ENDPOINT_URL_S3")
                .map(|url| (url, "AWS_ENDPOINT_URL_S3"))
                .or_else(|| {
                    env.var("AWS_ENDPOINT_URL")
                        .map(|url| (url, "AWS_ENDPOINT_URL"))
                })
                .or_else(|| {
                    profile
                        .endpoint()
                        .map(|url| (url, "the profile's endpoint_url"))
                }),
        };
        let endpoint = endpoint
            .map(|(url, from)| check_endpoint(url, from))
            .transpose()?;
        let region = opts
            .region
            .as_deref()
            .or_else(|| env.var("AWS_REGION"))
            .or_else(|| env.var("AWS_DEFAULT_REGION"))
            .or_else(|| profile.get("region"))
            .map(|region| check_region(region.trim()))
            .transpose()?;
        let addressing = match opts.addressing {
            Some(style) => style,
            None => profile.addressing()?,
        };
        Ok(StoreConfig {
            endpoint,
            bucket,
            region,
            addressing,
            credentials,
            requester_pays: opts.requester_pays,
        })
    }

    /// The same store with another bucket.
    pub fn with_bucket(&self, bucket: &str) -> StoreConfig {
        StoreConfig {
            bucket: bucket.to_owned(),
            ..self.clone()
        }
    }

    /// The region that requests are signed for.
    pub fn signing_region(&self) -> &str {
        self.region.as_deref().unwrap_or("us-east-1")
    }

    /// The endpoint's URL, Amazon's own where none is configured.
    pub fn endpoint_url(&self) -> Result<Url, StoreError> {
        match &self.endpoint {
            Some(text) => {
                let checked = check_endpoint(text, "the endpoint")?;
                Url::parse(&checked)
                    .map_err(|e| StoreError::config(format!("endpoint `{checked}`: {e}")))
            }
            None => {
                let region = check_region(self.signing_region())?;
                let suffix = if region.starts_with("cn-") {
                    "amazonaws.com.cn"
                } else {
                    "amazonaws.com"
                };
                let text = format!("https://s3.{region}.{suffix}");
                Url::parse(&text).map_err(|e| StoreError::config(format!("endpoint `{text}`: {e}")))
            }
        }
    }

    /// Whether URLs carry the bucket in the path (else in the host name).
    pub(super) fn path_style(&self, endpoint: &Url) -> bool {
        match self.addressing {
            Addressing::Path => true,
            Addressing::VirtualHost => false,
            Addressing::Auto => {
                let host = endpoint.host_str().unwrap_or_default();
                let amazon =
                    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn");
                let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                // A dot in the name would break the certificate's wildcard.
                let fits = self.bucket.chars().all(label) && self.bucket.len() <= 63;
                !(amazon && fits)
            }
        }
    }
}

fn keys_of_environment(env: &Environment) -> Result<Option<Credentials>, StoreError> {
    match (
        env.var("AWS_ACCESS_KEY_ID"),
        env.var("AWS_SECRET_ACCESS_KEY"),
    ) {
        (Some(access), Some(secret)) => Ok(Some(Credentials::Keys {
            access: access.trim().to_owned(),
            secret: Secret::new(secret.trim()),
            token: env
                .var("AWS_SESSION_TOKEN")
                .or_else(|| env.var("AWS_SECURITY_TOKEN"))
                .map(|t| Secret::new(t.trim())),
        })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(StoreError::NoCredentials {
            message:
                "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; set both or neither"
                    .to_owned(),
        }),
        (None, Some(_)) => Err(StoreError::NoCredentials {
            message:
                "AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not; set both or neither"
                    .to_owned(),
        }),
    }
}

fn no_credentials(profiles: &Profiles, named: Option<&str>) -> StoreError {
    let looked = match named {
        Some(name) => format!("profile `{name}` ({})", profiles.places()),
        None => format!(
            "AWS_ACCESS_KEY_ID, profile `default` ({})",
            profiles.places()
        ),
    };
    StoreError::NoCredentials {
        message: format!(
            "no credentials found; looked in {looked}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
             name a profile with --profile, or use --anonymous for a public bucket"
        ),
    }
}

fn check_bucket(bucket: &str) -> Result<(), StoreError> {
    let bad = |c: char| c == '/' || c.is_control() || c.is_whitespace();
    if bucket == "." || bucket == ".." || bucket.contains(bad) {
        return Err(StoreError::config(format!(
            "bucket `{}`: a bucket's name has no slash, space or control character; give a prefix separately",
            bucket.escape_debug()
        )));
    }
    Ok(())
}

fn check_region(region: &str) -> Result<String, StoreError> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if region.is_empty() || !region.chars().all(good) {
        return Err(StoreError::config(format!(
            "region `{}`: a region is letters, digits and hyphens, such as eu-central-1",
            region.escape_debug()
        )));
    }
    Ok(region.to_owned())
}

/// Checks an endpoint and gives it back without its trailing slashes. Messages repeat the URL only
/// where it can hold no password.
fn check_endpoint(text: &str, from: &str) -> Result<String, StoreError> {
    let wrong = |what: &str| {
        // Anything before an `@` may be a password.
        let shown = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
        let shown = shown.split(['?', '#']).next().unwrap_or_default();
        StoreError::config(format!(
            "{from} `{}`: {what}; write it as https://HOST or http://HOST:PORT",
            shown.escape_debug()
        ))
    };
    let trimmed = text.trim();
    if !trimmed.contains("://") {
        return Err(wrong("the scheme is missing"));
    }
    let url = Url::parse(trimmed).map_err(|e| wrong(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("the scheme is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "a user name or password does not belong in an endpoint",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("a query or fragment does not belong in an endpoint"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Whether `host` is this machine, which no proxy stands in front of.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
