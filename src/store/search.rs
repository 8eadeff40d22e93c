//! Where credentials are to be looked for.

use std::path::PathBuf;

use super::Environment;

/// Where to look for credentials. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    pub(super) env: Environment,
    /// The profile of the options, which beats keys of the environment.
    pub(super) chosen: Option<String>,
    /// The region of the services that give credentials.
    pub(super) region: Option<String>,
    /// Certificates that those services may have too.
    pub(super) ca_bundle: Option<PathBuf>,
}

impl Search {
    /// The profile's name, where anything names one.
    pub(super) fn named(&self) -> Option<&str> {
        let chosen = self.chosen.as_deref().filter(|name| !name.is_empty());
        chosen.or_else(|| self.env.var("AWS_PROFILE"))
    }
}
