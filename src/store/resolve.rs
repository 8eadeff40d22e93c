//! Flags, environment and profile made into one [`StoreConfig`].

use super::config::{check_endpoint, check_region};
use super::credentials::{DISABLED, Place};
use super::profile::Profiles;
use super::{Credentials, Environment, Search, StoreConfig, StoreError, StoreOptions, tls};

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
        let chosen = opts.profile.clone().filter(|p| !p.is_empty());
        let named = chosen.as_deref().or_else(|| env.var("AWS_PROFILE"));
        let profiles = Profiles::read(env)?;
        let profile = profiles.find(named)?;
        let region = opts
            .region
            .as_deref()
            .or_else(|| env.var("AWS_REGION"))
            .or_else(|| env.var("AWS_DEFAULT_REGION"))
            .or_else(|| profile.get("region"))
            .map(|region| check_region(region.trim()))
            .transpose()?;
        let ca_bundle = opts
            .ca_bundle
            .clone()
            .or_else(|| env.path("AWS_CA_BUNDLE"))
            .or_else(|| profile.get("ca_bundle").map(|path| env.expanded(path)));
        if let Some(path) = &ca_bundle {
            tls::read_bundle(path)?;
        }
        let credentials = if opts.anonymous {
            Credentials::Anonymous
        } else {
            let search = Search {
                env: env.clone(),
                chosen,
                region: region.clone(),
                ca_bundle: ca_bundle.clone(),
            };
            // Looked at now, so that what is plainly wrong is said at once; read when needed.
            if matches!(search.place(&profile)?, Place::Elsewhere) && !search.may_be_elsewhere() {
                let message = search.nothing(&profiles, DISABLED);
                return Err(StoreError::NoCredentials { message });
            }
            Credentials::Sought(search)
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
        let addressing = match opts.addressing {
            Some(style) => style,
            None => profile.addressing()?,
        };
        let signature = match opts.signature {
            Some(version) => version,
            None => profile.signature()?,
        };
        Ok(StoreConfig {
            endpoint,
            bucket,
            region,
            addressing,
            signature,
            ca_bundle,
            credentials,
            requester_pays: opts.requester_pays,
            stall_timeout: opts.stall_timeout(),
            limits: opts.limits,
        })
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
