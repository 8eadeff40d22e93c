//! Where credentials are looked for, and in which order.
//!
//! The order is that of the AWS tools: keys of the environment, then the profile. Nothing is kept before it is needed: a process that signs nothing never has a key.

use super::keys::Keys;
use super::profile::{Profile, Profiles};
use super::{Credentials, Environment, Search, Secret, StoreError};

/// What the first look shows.
pub(super) enum Place {
    /// Keys that stand in the environment or in a profile.
    Keys(Keys),
    /// Nothing of both.
    Elsewhere,
}

impl Search {
    /// Looks into the environment and the profile.
    pub(super) fn place(&self, profile: &Profile<'_>) -> Result<Place, StoreError> {
        if self.chosen.is_none()
            && let Some(keys) = keys_of_environment(&self.env)?
        {
            return Ok(Place::Keys(keys));
        }
        if let Some(way) = profile.other_way() {
            return Err(not_supported(profile, way));
        }
        Ok(profile.keys()?.map_or(Place::Elsewhere, Place::Keys))
    }

    /// The error where nothing gives credentials.
    pub(super) fn nothing(&self, profiles: &Profiles) -> String {
        let mut tried = Vec::new();
        if self.chosen.is_none() {
            tried.push("AWS_ACCESS_KEY_ID (not set)".to_owned());
        }
        tried.push(format!(
            "profile `{}` ({})",
            self.named().unwrap_or("default"),
            profiles.places()
        ));
        format!(
            "no credentials found; tried in this order: {}; set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, name a profile with --profile, or use --anonymous for a \
             public bucket",
            tried.join(", ")
        )
    }
}

/// The error where a profile asks for what cannot be done.
fn not_supported(profile: &Profile<'_>, way: &str) -> StoreError {
    StoreError::NoCredentials {
        message: format!(
            "profile `{0}` gets its credentials by `{way}`, which is not supported; run \
             `eval \"$(aws configure export-credentials --profile {0} --format env)\"` first, \
             without naming the profile again",
            profile.name
        ),
    }
}

fn keys_of_environment(env: &Environment) -> Result<Option<Keys>, StoreError> {
    let half = |have: &str, lack: &str| {
        let message = format!("{have} is set but {lack} is not; set both or neither");
        Err(StoreError::NoCredentials { message })
    };
    let (access, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
    match (env.var(access), env.var(secret)) {
        (Some(access), Some(secret)) => Ok(Some(Keys {
            access: access.trim().to_owned(),
            secret: Secret::new(secret.trim()),
            token: env
                .var("AWS_SESSION_TOKEN")
                .or_else(|| env.var("AWS_SECURITY_TOKEN"))
                .map(|t| Secret::new(t.trim())),
            expires: None,
        })),
        (None, None) => Ok(None),
        (Some(_), None) => half(access, secret),
        (None, Some(_)) => half(secret, access),
    }
}

/// Looks where a [`Search`] says, as often as new keys are needed.
pub(super) struct Finder {
    search: Search,
}

impl Finder {
    pub fn new(search: Search) -> Finder {
        Finder { search }
    }

    /// New keys, or why there are none and what to do.
    pub async fn find(&self) -> Result<Keys, String> {
        let shown = |error: StoreError| error.to_string();
        let profiles = Profiles::read(&self.search.env).map_err(shown)?;
        let profile = profiles.find(self.search.named()).map_err(shown)?;
        match self.search.place(&profile).map_err(shown)? {
            Place::Keys(keys) => Ok(keys),
            Place::Elsewhere => Err(self.search.nothing(&profiles)),
        }
    }

    /// Who was asked, for an error.
    pub fn asked(&self) -> String {
        match self.search.named() {
            Some(name) => format!("they were looked for as profile `{name}` says"),
            None => "they were looked for in environment and default profile".to_owned(),
        }
    }
}

impl Credentials {
    /// These credentials with keys in place of a search. Needs a tokio runtime.
    ///
    /// # Errors
    /// `NoCredentials` where the search finds nothing, with what was tried.
    pub async fn found(&self) -> Result<Credentials, StoreError> {
        let Credentials::Sought(search) = self else {
            return Ok(self.clone());
        };
        let keys = Finder::new(search.clone()).find().await;
        let keys = keys.map_err(|message| StoreError::NoCredentials { message })?;
        Ok(Credentials::Keys {
            access: keys.access,
            secret: keys.secret,
            token: keys.token,
        })
    }
}
