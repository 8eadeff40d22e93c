//! What answers mean that were read elsewhere: the downloader speaks HTTP itself.

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap};

use super::explain::explain;
use super::headers::text;
use super::{S3Store, StoreError};

impl S3Store {
    /// The error that an unsuccessful answer to a GET of `key` says, excused where the clock or the
    /// credentials were put right.
    pub fn explain(&self, key: &str, status: u16, headers: &HeaderMap, body: &[u8]) -> StoreError {
        match StatusCode::from_u16(status) {
            Ok(status) => {
                let error = explain(status, headers, body, &self.place(key));
                self.excused(error, text(headers, DATE).as_deref())
            }
            Err(_) => self.strange(key, &format!("the answer is HTTP {status}")),
        }
    }

    /// No answer came for `key`.
    pub fn unreachable(&self, key: &str, detail: &str) -> StoreError {
        StoreError::Unreachable {
            place: self.place(key),
            detail: detail.to_owned(),
        }
    }

    /// The answer for `key` is not what S3 answers.
    pub fn strange(&self, key: &str, detail: &str) -> StoreError {
        StoreError::protocol(&self.place(key), detail)
    }

    /// The answer shows another object than the one that was listed as `key`.
    pub fn changed(&self, key: &str, detail: &str) -> StoreError {
        StoreError::Changed {
            place: self.place(key),
            detail: detail.to_owned(),
        }
    }
}
