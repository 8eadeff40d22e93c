//! Flags, environment and profile made into one [`StoreConfig`].

use super::config::{check_endpoint, check_region};
use super::profile::Profiles;
use super::{Credentials, Environment, Secret, StoreConfig, StoreError, StoreOptions};

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
            stall_timeout: opts.stall_timeout(),
        })
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
