//! `s3://bucket/key` as users write it.

use std::fmt;
use std::str::FromStr;

use super::StoreError;

/// A bucket and a key or prefix in it, written `s3://bucket/key`.
///
/// The key is taken as it stands, byte for byte: it is not percent-decoded, and a second slash
/// after the bucket belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The bucket's name, never empty.
    pub bucket: String,
    /// The key or prefix; empty for the whole bucket.
    pub key: String,
}

impl FromStr for Address {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Address, StoreError> {
        let wrong = |what: &str| {
            StoreError::config(format!(
                "`{text}`: {what}; write s3://bucket/key or s3://bucket/prefix"
            ))
        };
        let rest = text
            .strip_prefix("s3://")
            .ok_or_else(|| wrong("not an s3:// address"))?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(wrong("the bucket's name is missing"));
        }
        Ok(Address {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_keys_as_they_are() {
        for (text, bucket, key) in [
            ("s3://b", "b", ""),
            ("s3://b/", "b", ""),
            ("s3://b/a b+%41/../c", "b", "a b+%41/../c"),
            ("s3://b//lead", "b", "/lead"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(
                (address.bucket.as_str(), address.key.as_str()),
                (bucket, key)
            );
        }
        for text in ["b/key", "s3:///key", "s3://", "/tmp/x", "https://b/key"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(error.to_string().contains("s3://bucket/key"), "{error}");
        }
    }
}
