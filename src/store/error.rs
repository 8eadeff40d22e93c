//! What can go wrong with a store, in words that say what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::values::way_out;

/// The class of a [`StoreError`], from which callers choose an exit code or a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The options, the profile or the address make no sense: nothing was asked of the store.
    Config,
    /// No connection, a time-out, or a connection that broke; or a refusal whose reason has been
    /// put right meanwhile.
    Unreachable,
    /// Credentials are missing, wrong or expired, or do not allow this; or the store's certificate
    /// is refused by this machine.
    Refused,
    /// No such bucket or key.
    NotFound,
    /// The object is not the one that was listed (If-Match failed, or its bytes are gone).
    Changed,
    /// The store asks to slow down (429, 503).
    Throttled,
    /// The store failed (5xx).
    Server,
    /// The answer is not what S3 answers.
    Protocol,
    /// A local file could not be read or written, or the caller stopped it.
    Local,
}

/// An error of a store. Its text names the place and what to do; it holds no secret, no signature
/// and no query of a signed URL.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The options or a profile are wrong.
    #[error("{message}")]
    Config {
        /// What is wrong and what to do.
        message: String,
    },
    /// There are no credentials to sign with.
    #[error("{message}")]
    NoCredentials {
        /// Where was looked and what to do.
        message: String,
    },
    /// The store could not be reached, or the connection broke.
    #[error("{place}: {detail}; check the endpoint and the network")]
    Unreachable {
        /// What was asked for, and of whom.
        place: String,
        /// What happened.
        detail: String,
    },
    /// The store did not prove who it is.
    #[error("{place}: {detail}")]
    Untrusted {
        /// What was asked for, and of whom.
        place: String,
        /// What is wrong with its certificate and what to do.
        detail: String,
    },
    /// The store refused the credentials or the permission.
    #[error("{place}: refused (HTTP {status}{}): {hint}", said(.code, .message))]
    Refused {
        /// What was asked for, and of whom.
        place: String,
        /// The HTTP status.
        status: u16,
        /// The S3 error code, where there was one.
        code: String,
        /// The store's own words, shortened.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A refusal whose reason has been put right meanwhile: the clock, or the credentials. The same
    /// request may succeed now.
    #[error(transparent)]
    Stale(Box<StoreError>),
    /// There is no such bucket or key.
    #[error("{place}: not found{}; check the bucket, the key and the endpoint", bracketed(.code))]
    NotFound {
        /// What was asked for, and of whom.
        place: String,
        /// The S3 error code (`NoSuchKey`, `NoSuchBucket`), where there was one.
        code: String,
    },
    /// The object changed since it was listed.
    #[error(
        "{place}: the object changed since it was listed ({detail}); start again to use the new one"
    )]
    Changed {
        /// What was asked for, and of whom.
        place: String,
        /// What showed it.
        detail: String,
    },
    /// The store asks for fewer requests.
    #[error("{place}: the store asks to slow down (HTTP {status}{}); try again later or with fewer connections", bracketed(.code))]
    Throttled {
        /// What was asked for, and of whom.
        place: String,
        /// The HTTP status.
        status: u16,
        /// The S3 error code, where there was one.
        code: String,
        /// How long the store asks to wait, where it says so.
        retry_after: Option<Duration>,
    },
    /// The store failed.
    #[error("{place}: the store failed (HTTP {status}{}); try again", said(.code, .message))]
    Server {
        /// What was asked for, and of whom.
        place: String,
        /// The HTTP status.
        status: u16,
        /// The S3 error code, where there was one.
        code: String,
        /// The store's own words, shortened.
        message: String,
    },
    /// The answer is not what S3 answers.
    #[error(
        "{place}: {detail}; check that the endpoint is an S3 store and not a proxy or a web page"
    )]
    Protocol {
        /// What was asked for, and of whom.
        place: String,
        /// What is wrong with the answer.
        detail: String,
    },
    /// The store names another place for the bucket.
    #[error("{place}: {detail}")]
    Elsewhere {
        /// What was asked for, and of whom.
        place: String,
        /// Where it points, and what to do.
        detail: String,
    },
    /// What may be downloaded in a month was downloaded.
    #[error(
        "{endpoint}: the {limit} bytes of this month are used up; wait for the next one, or set bytes_per_month in the job file's [endpoint] table or with --limit"
    )]
    UsedUp {
        /// The endpoint.
        endpoint: String,
        /// What is allowed in a month.
        limit: u64,
    },
    /// What was under way was stopped by whoever began it.
    #[error("{place}: stopped before it was complete; begin it again")]
    Stopped {
        /// What was asked for, and of whom.
        place: String,
    },
    /// A local file is not as it was when its upload began.
    #[error("{}: cannot upload: it changed meanwhile; upload it again when nothing writes to it", path.display())]
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// A local file could not be used.
    #[error("{}: cannot {action}: {source}; {}", path.display(), way_out::of_io(source))]
    Local {
        /// The file.
        path: PathBuf,
        /// What was tried, as a verb: "open", "read".
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl StoreError {
    /// The class of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            StoreError::Config { .. } => ErrorKind::Config,
            StoreError::NoCredentials { .. }
            | StoreError::Refused { .. }
            | StoreError::Untrusted { .. }
            | StoreError::UsedUp { .. } => ErrorKind::Refused,
            StoreError::Unreachable { .. } | StoreError::Stale(_) => ErrorKind::Unreachable,
            StoreError::NotFound { .. } => ErrorKind::NotFound,
            StoreError::Changed { .. } => ErrorKind::Changed,
            StoreError::Throttled { .. } => ErrorKind::Throttled,
            StoreError::Server { .. } => ErrorKind::Server,
            StoreError::Protocol { .. } | StoreError::Elsewhere { .. } => ErrorKind::Protocol,
            StoreError::Local { .. } | StoreError::Altered { .. } | StoreError::Stopped { .. } => {
                ErrorKind::Local
            }
        }
    }

    /// Whether a newly signed URL may do: this one had expired, or was signed by a clock or with
    /// credentials that another answer may have put right meanwhile.
    pub fn wants_new_signature(&self) -> bool {
        let StoreError::Refused { code, message, .. } = self else {
            return false;
        };
        match code.as_str() {
            "RequestTimeTooSkewed" | "ExpiredToken" | "TokenRefreshRequired" => true,
            "AccessDenied" | "" => says_expired(message),
            _ => false,
        }
    }

    /// How long the store asked to wait, where it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            StoreError::Throttled { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn config(message: impl Into<String>) -> StoreError {
        StoreError::Config {
            message: message.into(),
        }
    }

    pub(super) fn protocol(place: &str, detail: impl Into<String>) -> StoreError {
        StoreError::Protocol {
            place: place.to_owned(),
            detail: detail.into(),
        }
    }
}

/// Makes the error for a local file.
pub(super) fn local(
    path: &std::path::Path,
    action: &'static str,
) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Local {
        path,
        action,
        source,
    }
}

/// Stores say only in words that a signed URL has expired.
pub(super) fn says_expired(message: &str) -> bool {
    message.to_ascii_lowercase().contains("has expired")
}

fn bracketed(code: &str) -> String {
    if code.is_empty() {
        String::new()
    } else {
        format!(" ({code})")
    }
}

fn said(code: &str, message: &str) -> String {
    match (code.is_empty(), message.is_empty()) {
        (true, true) => String::new(),
        (false, true) => format!(" {code}"),
        (true, false) => format!(" \"{message}\""),
        (false, false) => format!(" {code} \"{message}\""),
    }
}
