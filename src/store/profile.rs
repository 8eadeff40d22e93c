//! The files of the AWS tools: `~/.aws/credentials` and `~/.aws/config`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::keys::Keys;
use super::{Addressing, Environment, Secret, SignatureVersion, StoreError};

/// Keys of a section; a nested group's are written `s3.addressing_style`.
type Section = BTreeMap<String, String>;

/// Settings that give keys in ways other than naming them.
const OTHER_WAYS: [&str; 8] = [
    "credential_source",
    "role_arn",
    "web_identity_token_file",
    "sso_session",
    "sso_start_url",
    "sso_account_id",
    "login_session",
    "credential_process",
];

/// Every profile of both files.
pub(super) struct Profiles {
    profiles: BTreeMap<String, Section>,
    services: BTreeMap<String, Section>,
    files: Vec<PathBuf>,
}

/// One profile, empty where nothing names it.
pub(super) struct Profile<'a> {
    pub name: String,
    section: Section,
    services: Option<&'a Section>,
}

impl Profiles {
    /// Reads the files that exist. What the credentials file says beats the config file.
    pub(super) fn read(env: &Environment) -> Result<Profiles, StoreError> {
        let mut all = Profiles {
            profiles: BTreeMap::new(),
            services: BTreeMap::new(),
            files: Vec::new(),
        };
        let config = env.aws_file("AWS_CONFIG_FILE", "config");
        let credentials = env.aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
        for (path, is_config) in [(config, true), (credentials, false)] {
            let Some(path) = path else { continue };
            let text = match std::fs::read(&path) {
                Ok(text) => String::from_utf8_lossy(&text).into_owned(),
                // A missing file is no profile; so is one inside a home that may not be entered.
                Err(e)
                    if matches!(
                        e.kind(),
                        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                    ) =>
                {
                    all.files.push(path);
                    continue;
                }
                Err(e) => return Err(super::error::local(&path, "read")(e)),
            };
            let sections = parse(&text).map_err(|(line, what)| {
                StoreError::config(format!(
                    "{}, line {line}: {what}; mend the line",
                    path.display()
                ))
            })?;
            for (name, section) in sections {
                let mut words = name.split_whitespace();
                let target = match (is_config, words.next(), words.next()) {
                    (true, Some("profile"), Some(_)) => (&mut all.profiles, after_word(&name)),
                    (true, Some("services"), Some(_)) => (&mut all.services, after_word(&name)),
                    (true, Some("default"), None) => (&mut all.profiles, name.as_str()),
                    (true, ..) => continue,
                    (false, ..) => (&mut all.profiles, name.as_str()),
                };
                let (map, name) = target;
                map.entry(name.to_owned()).or_default().extend(section);
            }
            all.files.push(path);
        }
        Ok(all)
    }

    /// The profile of that name; an error where it is named and does not exist.
    pub(super) fn find(&self, named: Option<&str>) -> Result<Profile<'_>, StoreError> {
        let name = named.unwrap_or("default");
        let section = match self.profiles.get(name) {
            Some(section) => section.clone(),
            None if named.is_none() || name == "default" => Section::new(),
            None => {
                let near = self
                    .profiles
                    .keys()
                    .map(|known| (strsim::damerau_levenshtein(known, name), known))
                    .min()
                    .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2);
                let near = match near {
                    Some((_, known)) => format!("; did you mean `{known}`?"),
                    None => "; name one that is there, or leave it out".to_owned(),
                };
                return Err(StoreError::config(format!(
                    "profile `{name}` is not in {}{near}",
                    self.places()
                )));
            }
        };
        let services = section.get("services").and_then(|s| self.services.get(s));
        Ok(Profile {
            name: name.to_owned(),
            section,
            services,
        })
    }

    /// The files that were looked at, for messages.
    pub(super) fn places(&self) -> String {
        let shown: Vec<String> = self.files.iter().map(|f| f.display().to_string()).collect();
        if shown.is_empty() {
            "~/.aws (no home directory)".to_owned()
        } else {
            shown.join(" or ")
        }
    }
}

impl Profile<'_> {
    /// A setting; an empty one counts as not set.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.section
            .get(key)
            .map(String::as_str)
            .filter(|v| !v.is_empty())
    }

    /// The setting by which the profile gets its keys, where that is not naming them.
    pub(super) fn other_way(&self) -> Option<&'static str> {
        OTHER_WAYS.into_iter().find(|way| self.get(way).is_some())
    }

    /// The keys that the profile names, `None` where it has none.
    pub(super) fn keys(&self) -> Result<Option<Keys>, StoreError> {
        let missing = |have: &str, lack: &str| StoreError::NoCredentials {
            message: format!(
                "profile `{}` has {have} but no {lack}; give both",
                self.name
            ),
        };
        match (
            self.get("aws_access_key_id"),
            self.get("aws_secret_access_key"),
        ) {
            (Some(access), Some(secret)) => Ok(Some(Keys {
                access: access.to_owned(),
                secret: Secret::new(secret),
                token: self
                    .get("aws_session_token")
                    .or_else(|| self.get("aws_security_token"))
                    .map(Secret::new),
                expires: None,
            })),
            (Some(_), None) => Err(missing("aws_access_key_id", "aws_secret_access_key")),
            (None, Some(_)) => Err(missing("aws_secret_access_key", "aws_access_key_id")),
            (None, None) => Ok(None),
        }
    }

    /// How requests are signed: in the nested `s3` group, or in the profile itself.
    pub(super) fn signature(&self) -> Result<SignatureVersion, StoreError> {
        let version = self
            .get("s3.signature_version")
            .or_else(|| self.get("signature_version"));
        let Some(version) = version else {
            return Ok(SignatureVersion::default());
        };
        version
            .parse()
            .map_err(|e| StoreError::config(format!("profile `{}`: {e}", self.name)))
    }

    /// The endpoint for S3: of the profile's services section, then of the profile.
    pub(super) fn endpoint(&self) -> Option<&str> {
        let of_services = self
            .services
            .and_then(|s| s.get("s3.endpoint_url"))
            .map(String::as_str);
        of_services
            .filter(|v| !v.is_empty())
            .or_else(|| self.get("s3.endpoint_url"))
            .or_else(|| self.get("endpoint_url"))
    }

    /// The addressing style of the nested `s3` group.
    pub(super) fn addressing(&self) -> Result<Addressing, StoreError> {
        let Some(style) = self.get("s3.addressing_style") else {
            return Ok(Addressing::default());
        };
        style
            .parse()
            .map_err(|e| StoreError::config(format!("profile `{}`: {e}", self.name)))
    }
}

/// What follows the first word, without quotes.
fn after_word(name: &str) -> &str {
    let rest = name
        .split_once(char::is_whitespace)
        .map_or("", |(_, rest)| rest)
        .trim();
    rest.trim_matches(|c| c == '"' || c == '\'')
}

/// The sections of a file in order. Errors carry the line, and never its text, which may be secret.
fn parse(text: &str) -> Result<Vec<(String, Section)>, (usize, String)> {
    let mut sections: Vec<(String, Section)> = Vec::new();
    // The setting without a value whose indented lines are its group, as `s3 =`.
    let mut group: Option<String> = None;
    // How far the last setting was indented; what is indented further belongs to it.
    let mut level: Option<usize> = None;
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let wrong = |what: &str| (at + 1, what.to_owned());
        let indent = line.len() - line.trim_start().len();
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = trimmed.strip_prefix('[') {
            let (name, _) = rest
                .split_once(']')
                .ok_or_else(|| wrong("the `]` of a section is missing"))?;
            sections.push((name.trim().to_owned(), Section::new()));
            (group, level) = (None, None);
            continue;
        }
        let nested = level.is_some_and(|level| indent > level);
        let Some((_, section)) = sections.last_mut() else {
            return Err(wrong("a setting stands before the first [section]"));
        };
        let Some((key, value)) = trimmed.split_once('=') else {
            if nested {
                // The further lines of a long value, which nothing here needs.
                continue;
            }
            return Err(wrong("neither a [section] nor `name = value`"));
        };
        let (key, value) = (
            key.trim().to_ascii_lowercase(),
            without_comment(value).trim(),
        );
        match (&group, nested) {
            (Some(group), true) => {
                section.insert(format!("{group}.{key}"), value.to_owned());
            }
            (None, true) => {}
            (_, false) => {
                group = value.is_empty().then(|| key.clone());
                level = Some(indent);
                section.insert(key, value.to_owned());
            }
        }
    }
    Ok(sections)
}

/// A comment within a line begins with a space and `#` or `;`.
fn without_comment(value: &str) -> &str {
    let cut = [" #", " ;", "\t#", "\t;"]
        .iter()
        .filter_map(|mark| value.find(mark))
        .min();
    cut.and_then(|at| value.get(..at)).unwrap_or(value)
}
