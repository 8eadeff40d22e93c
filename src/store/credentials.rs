//! Where credentials are looked for, and in which order.
//!
//! The order is that of the AWS tools: keys of the environment, the profile, a web identity, a
//! container's service, an instance's. Keys that stand somewhere are read here, so that they are
//! the same whether or not the feature `aws` is there; all other ways are those of `aws-config`.
//! Nothing is kept before it is needed: a process that signs nothing never has a key.

#[cfg(feature = "aws")]
use super::aws::{Failure, Ways};
use super::keys::Keys;
use super::profile::{Profile, Profiles};
use super::{Credentials, Environment, Search, Secret, StoreError};

/// Why an instance's service was not asked.
pub(super) const DISABLED: &str = "AWS_EC2_METADATA_DISABLED";

/// What the first look shows.
pub(super) enum Place {
    /// Keys that stand in the environment or in a profile.
    Keys(Keys),
    /// The profile says where its keys come from, by this setting.
    #[cfg(feature = "aws")]
    Way(&'static str),
    /// Nothing of both: what is left are web identities, containers and instances.
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
            return by_way(profile, way);
        }
        Ok(profile.keys()?.map_or(Place::Elsewhere, Place::Keys))
    }

    /// Whether a web identity's token, a container's service, and an instance's are to be asked.
    fn services(&self) -> [bool; 3] {
        let set = |name: &str| cfg!(feature = "aws") && self.env.var(name).is_some();
        let disabled = self.env.var("AWS_EC2_METADATA_DISABLED");
        let disabled = disabled.is_some_and(|v| v.eq_ignore_ascii_case("true"));
        [
            // As with keys, a profile of the options beats the environment.
            self.chosen.is_none() && set("AWS_WEB_IDENTITY_TOKEN_FILE"),
            set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
                || set("AWS_CONTAINER_CREDENTIALS_FULL_URI"),
            cfg!(feature = "aws") && !disabled,
        ]
    }

    /// Whether looking further than the environment and the profile may find something.
    pub(super) fn may_be_elsewhere(&self) -> bool {
        self.services().contains(&true)
    }

    /// What to say where nothing gives credentials. `instance` is what came of asking there.
    pub(super) fn nothing(&self, profiles: &Profiles, instance: &str) -> String {
        let mut tried = Vec::new();
        if self.chosen.is_none() {
            tried.push("AWS_ACCESS_KEY_ID (not set)".to_owned());
        }
        let name = self.named().unwrap_or("default");
        tried.push(format!(
            "profile `{name}` (no keys in {})",
            profiles.places()
        ));
        if cfg!(feature = "aws") {
            if self.chosen.is_none() {
                tried.push("AWS_WEB_IDENTITY_TOKEN_FILE (not set)".to_owned());
            }
            tried.push("AWS_CONTAINER_CREDENTIALS_FULL_URI (not set)".to_owned());
            tried.push(format!("instance metadata ({instance})"));
        }
        format!(
            "no credentials found; tried in this order: {}; set AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, name a profile with --profile, or use --anonymous for a \
             public bucket",
            tried.join(", ")
        )
    }
}

/// The place of a profile's keys that it does not name, where this build can go there.
fn by_way(profile: &Profile<'_>, way: &'static str) -> Result<Place, StoreError> {
    #[cfg(feature = "aws")]
    if way != "login_session" {
        return Ok(Place::Way(way));
    }
    let why = if cfg!(feature = "aws") {
        "which is not supported"
    } else {
        "which this build cannot do (feature `aws`)"
    };
    Err(StoreError::NoCredentials {
        message: format!(
            "profile `{0}` gets its credentials by `{way}`, {why}; run \
             `eval \"$(aws configure export-credentials --profile {0} --format env)\"` first, \
             without naming the profile again",
            profile.name
        ),
    })
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
    #[cfg(feature = "aws")]
    ways: tokio::sync::OnceCell<Ways>,
}

impl Finder {
    pub fn new(search: Search) -> Finder {
        Finder {
            search,
            #[cfg(feature = "aws")]
            ways: tokio::sync::OnceCell::new(),
        }
    }

    /// New keys, or why there are none and what to do.
    pub async fn find(&self) -> Result<Keys, String> {
        let shown = |error: StoreError| error.to_string();
        let profiles = Profiles::read(&self.search.env).map_err(shown)?;
        let profile = profiles.find(self.search.named()).map_err(shown)?;
        match self.search.place(&profile).map_err(shown)? {
            Place::Keys(keys) => Ok(keys),
            #[cfg(feature = "aws")]
            Place::Way(way) => self.by_way(&profile.name, way).await,
            Place::Elsewhere => self.elsewhere(&profiles).await,
        }
    }

    #[cfg(feature = "aws")]
    async fn ways(&self) -> Result<&Ways, String> {
        let made = async || Ways::new(&self.search).map_err(|error| error.to_string());
        self.ways.get_or_try_init(made).await
    }

    /// Keys that a profile does not name.
    #[cfg(feature = "aws")]
    async fn by_way(&self, name: &str, way: &str) -> Result<Keys, String> {
        let found = self.ways().await?.profile().await;
        found.map_err(|(Failure::Absent(why) | Failure::Broken(why))| {
            let advice = match way {
                "credential_process" => "run its command by hand to see what it says".to_owned(),
                "sso_session" | "sso_start_url" | "sso_account_id" => {
                    format!("run `aws sso login --profile {name}`")
                }
                _ => "check the profile, and whom the role trusts".to_owned(),
            };
            format!("profile `{name}` gave no credentials by `{way}`: {why}; {advice}")
        })
    }

    /// Keys from the services that give them to programs in the cloud.
    #[cfg(feature = "aws")]
    async fn elsewhere(&self, profiles: &Profiles) -> Result<Keys, String> {
        let [web_identity, container, instance] = self.search.services();
        let ways = self.ways().await?;
        let refused = |who: &'static str, advice: &'static str| {
            move |(Failure::Absent(why) | Failure::Broken(why)): Failure| {
                format!("{who} gave no credentials: {why}; {advice}")
            }
        };
        if web_identity {
            let who = "the web identity of AWS_WEB_IDENTITY_TOKEN_FILE";
            let advice = "check the file, AWS_ROLE_ARN, and whom the role trusts";
            let found = ways.web_identity().await;
            return found.map_err(refused(who, advice));
        }
        if container {
            let who =
                "the container's service of AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI";
            let advice = "check the variable, and AWS_CONTAINER_AUTHORIZATION_TOKEN";
            return ways.container().await.map_err(refused(who, advice));
        }
        let why = if instance {
            match ways.instance().await {
                Ok(keys) => return Ok(keys),
                Err(Failure::Absent(why) | Failure::Broken(why)) => why,
            }
        } else {
            DISABLED.to_owned()
        };
        Err(self.search.nothing(profiles, &why))
    }

    #[cfg(not(feature = "aws"))]
    async fn elsewhere(&self, profiles: &Profiles) -> Result<Keys, String> {
        Err(self.search.nothing(profiles, DISABLED))
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
