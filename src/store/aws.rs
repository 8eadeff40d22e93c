//! The ways to credentials that take more than reading a file, by `aws-config`: roles, single
//! sign-on, web identities, processes, containers and instances.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds::{self, credentials::ImdsCredentialsProvider};
use aws_config::profile::ProfileFileCredentialsProvider;
#[expect(
    deprecated,
    reason = "the types under their new name are those of another crate"
)]
use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};

use super::keys::Keys;
use super::xml::scrubbed;
use super::{Search, Secret, StoreError, tls};

/// How long an instance's service may take for each of its few answers, unless
/// `AWS_METADATA_SERVICE_TIMEOUT` says otherwise. Where there is none, nothing answers at all.
const INSTANCE_SECONDS: u64 = 1;
/// An explanation longer than this explains nothing.
const MAX_EXPLANATION: usize = 400;

/// The ways, each with what it has learnt in earlier searches.
pub(super) struct Ways {
    profile: ProfileFileCredentialsProvider,
    web_identity: Option<WebIdentityTokenCredentialsProvider>,
    container: EcsCredentialsProvider,
    instance: ImdsCredentialsProvider,
    instance_limit: Duration,
}

/// Why a way gave no keys.
pub(super) enum Failure {
    /// It is not there at all.
    Absent(String),
    /// It is there and does not work.
    Broken(String),
}

impl Ways {
    /// # Errors
    /// `Config` where the CA bundle or the address of the instance's service is none.
    pub fn new(search: &Search) -> Result<Ways, StoreError> {
        let env = &search.env;
        let region = search.region.clone();
        let region = region.unwrap_or_else(|| "us-east-1".to_owned());
        let config = ProviderConfig::without_region()
            .with_behavior_version(Some(BehaviorVersion::latest()))
            .with_region(Some(Region::new(region)));
        let trust = trusted(search.ca_bundle.as_deref())?;
        // What is on this machine is never asked through a proxy.
        let near = over_http(config.clone(), trust.clone(), false);
        let far = over_http(config, trust, true);

        let seconds = env.number("AWS_METADATA_SERVICE_TIMEOUT");
        let seconds = Duration::from_secs(seconds.unwrap_or(INSTANCE_SECONDS).clamp(1, 60));
        let attempts = env.number("AWS_METADATA_SERVICE_NUM_ATTEMPTS").unwrap_or(1);
        let attempts = u32::try_from(attempts).unwrap_or(1).clamp(1, 10);
        let mut service = imds::Client::builder()
            .configure(&near)
            .connect_timeout(seconds)
            .read_timeout(seconds)
            .operation_attempt_timeout(seconds)
            .max_attempts(attempts);
        let name = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        if let Some(endpoint) = env.var(name) {
            service = service.endpoint(endpoint).map_err(|e| {
                StoreError::config(format!("{name} `{endpoint}`: {e}; write it as http://HOST"))
            })?;
        }
        let instance = || {
            let builder = ImdsCredentialsProvider::builder().configure(&near);
            builder.imds_client(service.clone().build()).build()
        };
        let container = || EcsCredentialsProvider::builder().configure(&near).build();
        let profile = ProfileFileCredentialsProvider::builder()
            .configure(&far)
            .with_custom_provider("Ec2InstanceMetadata", instance())
            .with_custom_provider("EcsContainer", container())
            .profile_name(search.named().unwrap_or("default"))
            .profile_files(files(search))
            .build();
        let web_identity = env.var("AWS_WEB_IDENTITY_TOKEN_FILE").map(|file| {
            let session = env.var("AWS_ROLE_SESSION_NAME").unwrap_or("cotec");
            WebIdentityTokenCredentialsProvider::builder()
                .configure(&far)
                .static_configuration(StaticConfiguration {
                    web_identity_token_file: env.expanded(file),
                    role_arn: env.var("AWS_ROLE_ARN").unwrap_or_default().to_owned(),
                    session_name: session.to_owned(),
                })
                .build()
        });
        Ok(Ways {
            profile,
            web_identity,
            container: container(),
            instance: instance(),
            // The token, the role's name and the keys.
            instance_limit: seconds * 3 * attempts,
        })
    }

    /// As the profile says.
    pub async fn profile(&self) -> Result<Keys, Failure> {
        asked(&self.profile).await
    }

    /// For a token that stands in a file.
    pub async fn web_identity(&self) -> Result<Keys, Failure> {
        match &self.web_identity {
            Some(provider) => asked(provider).await,
            None => Err(Failure::Absent("not set".to_owned())),
        }
    }

    /// From the service of a container.
    pub async fn container(&self) -> Result<Keys, Failure> {
        asked(&self.container).await
    }

    /// From the service of an instance.
    pub async fn instance(&self) -> Result<Keys, Failure> {
        let asked = tokio::time::timeout(self.instance_limit, asked(&self.instance)).await;
        let silent = || Failure::Absent(format!("no answer in {:?}", self.instance_limit));
        asked.unwrap_or_else(|_| Err(silent()))
    }
}

async fn asked(provider: &impl ProvideCredentials) -> Result<Keys, Failure> {
    match provider.provide_credentials().await {
        Ok(keys) => Ok(Keys {
            access: keys.access_key_id().to_owned(),
            secret: Secret::new(keys.secret_access_key()),
            token: keys.session_token().map(Secret::new),
            expires: keys.expiry(),
        }),
        Err(error @ CredentialsError::CredentialsNotLoaded(_)) => {
            Err(Failure::Absent(explained(&error)))
        }
        Err(error) => Err(Failure::Broken(explained(&error))),
    }
}

/// What an error and its causes say, each thing once. They hold no key; what a process or a
/// service said is shortened.
fn explained(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    // The outermost only says that there was an error.
    let mut next = error.source().or(Some(error));
    let certificate = tls::explained(error);
    while let Some(cause) = next {
        let said = cause.to_string();
        if !said.is_empty() && !text.contains(&said) {
            let colon = if text.is_empty() { "" } else { ": " };
            // Writing to a String does not fail.
            let _ = write!(text, "{colon}{said}");
        }
        next = cause.source();
    }
    let text = certificate.unwrap_or(text);
    let text: String = scrubbed(&text).chars().take(MAX_EXPLANATION).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The files that the search is about, and no others.
#[expect(
    deprecated,
    reason = "the types under their new name are those of another crate"
)]
fn files(search: &Search) -> ProfileFiles {
    let mut files = ProfileFiles::builder()
        .include_default_config_file(false)
        .include_default_credentials_file(false)
        // None at all is a panic to it.
        .with_contents(ProfileFileKind::Config, "");
    let config = search.env.aws_file("AWS_CONFIG_FILE", "config");
    let credentials = search
        .env
        .aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    for (kind, path) in [
        (ProfileFileKind::Config, config),
        (ProfileFileKind::Credentials, credentials),
    ] {
        // One that is named and missing is an error to it.
        if let Some(path) = path.filter(|path| path.exists()) {
            files = files.with_file(kind, path);
        }
    }
    files.build()
}

/// The configuration with an HTTP client: ring, the system's roots and those of the bundle.
fn over_http(config: ProviderConfig, trust: TrustStore, proxies: bool) -> ProviderConfig {
    let client = Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(proxies.then(ProxyConfig::from_env));
        let connector = connector.tls_provider(Provider::Rustls(CryptoMode::Ring));
        match TlsContext::builder()
            .with_trust_store(trust.clone())
            .build()
        {
            Ok(context) => connector.tls_context(context).build(),
            Err(_) => connector.build(),
        }
    });
    config.with_http_client(client)
}

/// The system's roots and those of the bundle.
fn trusted(bundle: Option<&Path>) -> Result<TrustStore, StoreError> {
    let trust = TrustStore::default();
    Ok(match bundle {
        Some(path) => trust.with_pem_certificate(tls::read_bundle(path)?.pem),
        None => trust,
    })
}
