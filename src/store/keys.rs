//! A pair of keys to sign with.

use std::time::SystemTime;

use super::Secret;

/// A pair of keys. `Debug` shows no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    pub access: String,
    pub secret: Secret,
    pub token: Option<Secret>,
    /// When they end; `None` where nobody says that they do.
    pub expires: Option<SystemTime>,
}
