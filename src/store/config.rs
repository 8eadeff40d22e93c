//! Where a bucket is and who asks: the options, and the [`StoreConfig`] made of them.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{EndpointSettings, Search, Secret, StoreError};

/// How long a store may be silent unless told otherwise.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);

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

impl FromStr for Addressing {
    type Err = StoreError;

    /// `auto`, `path` or `virtual`, as the AWS tools write them.
    fn from_str(text: &str) -> Result<Addressing, StoreError> {
        match text {
            "auto" => Ok(Addressing::Auto),
            "path" => Ok(Addressing::Path),
            "virtual" => Ok(Addressing::VirtualHost),
            other => Err(StoreError::config(format!(
                "addressing style `{}` is none of auto, path, virtual",
                other.escape_debug()
            ))),
        }
    }
}

/// How requests are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignatureVersion {
    /// Version 4, which every current store knows.
    #[default]
    V4,
    /// Version 2, for stores that know nothing else.
    V2,
}

impl FromStr for SignatureVersion {
    type Err = StoreError;

    /// `s3v4` or `s3`, as the AWS tools write them, or `v4` and `v2`.
    fn from_str(text: &str) -> Result<SignatureVersion, StoreError> {
        match text {
            "s3v4" | "s3v4-query" | "v4" => Ok(SignatureVersion::V4),
            "s3" | "s3-query" | "v2" => Ok(SignatureVersion::V2),
            other => Err(StoreError::config(format!(
                "signature version `{}` is none of s3v4 (version 4), s3 (version 2)",
                other.escape_debug()
            ))),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Requests are not signed.
    Anonymous,
    /// Looked for when the first request is signed, and again before they expire.
    Sought(Search),
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
    /// `--signature-version`; `None` leaves it to the profile, then to version 4.
    pub signature: Option<SignatureVersion>,
    /// `--ca-bundle`: a file of certificates to trust besides the system's.
    pub ca_bundle: Option<PathBuf>,
    /// `--anonymous`: do not sign.
    pub anonymous: bool,
    /// `--requester-pays`: the caller pays for requests and transfer.
    pub requester_pays: bool,
    /// `--stall-timeout`: how long the store may be silent; `None` for half a minute.
    pub stall_timeout: Option<Duration>,
    /// `--limit`: what may be asked of the endpoint, instead of what is built in for it.
    pub limits: EndpointSettings,
}

impl StoreOptions {
    /// How long the store may be silent before a connection is given up.
    pub fn stall_timeout(&self) -> Duration {
        self.stall_timeout.unwrap_or(STALL_TIMEOUT)
    }
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
    /// How requests are signed.
    pub signature: SignatureVersion,
    /// A file of certificates, in PEM form, to trust besides the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Who asks.
    pub credentials: Credentials,
    /// Whether the caller pays.
    pub requester_pays: bool,
    /// A connection on which nothing (or next to nothing) came for so long is given up.
    pub stall_timeout: Duration,
    /// What may be asked of the endpoint, instead of what is built in for it.
    pub limits: EndpointSettings,
}

impl StoreConfig {
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
                Url::parse(&checked).map_err(|e| {
                    StoreError::config(format!(
                        "endpoint `{checked}`: {e}; write it as https://HOST"
                    ))
                })
            }
            None => {
                let region = check_region(self.signing_region())?;
                let suffix = if region.starts_with("cn-") {
                    "amazonaws.com.cn"
                } else {
                    "amazonaws.com"
                };
                let text = format!("https://s3.{region}.{suffix}");
                Url::parse(&text).map_err(|e| {
                    StoreError::config(format!("endpoint `{text}`: {e}; check the region"))
                })
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

pub(super) fn check_region(region: &str) -> Result<String, StoreError> {
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
pub(super) fn check_endpoint(text: &str, from: &str) -> Result<String, StoreError> {
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
