//! What a process is given by its environment: the `AWS_*` variables and a home directory.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// The variables and the home directory that
/// [`StoreConfig::resolve`](super::StoreConfig::resolve) looks at. `Debug` shows only the names of
/// the variables.
#[derive(Clone, Default, PartialEq, Eq)]
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

    /// A variable that is a whole number.
    #[cfg(feature = "aws")]
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.var(name)?.trim().parse().ok()
    }

    /// A path in a variable, `~` expanded.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.var(name).map(|path| self.expanded(path))
    }

    /// A path as users write it, in which `~/` is the home directory.
    pub(super) fn expanded(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        }
    }

    /// A file of the AWS tools: the path in `variable`, else `~/.aws/NAME`.
    pub(super) fn aws_file(&self, variable: &str, name: &str) -> Option<PathBuf> {
        self.path(variable)
            .or_else(|| Some(self.home.as_ref()?.join(".aws").join(name)))
    }
}
