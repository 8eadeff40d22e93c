//! `output = "s3://bucket/…"`: where a task's results go in a store.

use std::fmt;

use super::payload::Upload;
use super::template::{Template, TemplateError};

/// What an address of a store begins with.
pub(super) const SCHEME: &str = "s3://";

/// Where a task's results go in a store.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// The bucket.
    pub bucket: String,
    pub(super) key: Template,
    /// Whether the key ends with a slash, so that the files' own names come below it.
    pub(super) below: bool,
}

/// As it was written, with the task's name and parameters filled in.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.bucket, self.key)
    }
}

impl Destination {
    /// Whether a job's key depends on a placeholder.
    pub fn has(&self, placeholder: &str) -> bool {
        self.key.placeholders().any(|(name, _)| name == placeholder)
    }

    /// The address of one of the task's files, with the placeholders that are left.
    pub(super) fn of_file(&self, file: &str) -> String {
        match self.below {
            true => format!("{self}{file}"),
            false => {
                let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
                let whole = self.to_string();
                let stem = whole
                    .rsplit_once('.')
                    .map_or(whole.as_str(), |(stem, _)| stem);
                format!("{stem}.{extension}")
            }
        }
    }

    /// What all keys of the task begin with.
    pub fn head(&self) -> &str {
        self.key.head()
    }

    /// The files of a job with their keys, in the order in which they are to be uploaded: the
    /// first of `files`, the one that `{out}` names, comes last, so that who sees it may rely on
    /// the others.
    ///
    /// # Errors
    /// `value` does not know a placeholder.
    pub fn uploads(
        &self,
        files: &[String],
        value: impl Fn(&str) -> Option<String>,
    ) -> Result<Vec<Upload>, TemplateError> {
        let key = self.key.clone().fill(value)?;
        let main = files.first().map(String::as_str).unwrap_or_default();
        let of = |file: &String| match self.below {
            true => format!("{key}{file}"),
            false if file == main => key.clone(),
            // A companion differs in its extension.
            false => {
                let stem = key.rsplit_once('.').map_or(key.as_str(), |(stem, _)| stem);
                let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
                format!("{stem}.{extension}")
            }
        };
        let upload = |file: &String| Upload {
            file: file.clone(),
            key: of(file),
        };
        Ok(files.iter().rev().map(upload).collect())
    }

    /// The ending of the key's last component, with its dot, where it is plain.
    pub(super) fn extension(&self) -> String {
        let text = self.key.to_string();
        let last = text.rsplit('/').next().unwrap_or_default();
        match last.rsplit_once('.') {
            Some((_, end)) if !end.is_empty() && end.chars().all(char::is_alphanumeric) => {
                format!(".{end}")
            }
            _ => String::new(),
        }
    }
}
