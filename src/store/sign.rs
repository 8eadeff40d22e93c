//! Presigned URLs for everything that is asked of a bucket.
//!
//! All that is signed is in the URL, so requests may carry a Range or an If-Match header that the
//! signature does not cover, and one URL serves all ranges of an object. That the caller pays is in
//! the query for the same reason.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::Url;
use rusty_s3::{Bucket, BucketError, Method, UrlStyle};

use super::dotkey;
use super::{Credentials, Secret, StoreConfig, StoreError};

/// How long a URL is good for unless told otherwise: a large object over a slow line is read with
/// one URL.
const EXPIRES: Duration = Duration::from_secs(12 * 3600);
/// Signature version 4 allows no more.
const MAX_EXPIRES: u64 = 7 * 24 * 3600;

/// Signs for one bucket.
pub(super) struct Signer {
    bucket: Bucket,
    credentials: Credentials,
    requester_pays: bool,
}

impl Signer {
    pub(super) fn new(config: &StoreConfig) -> Result<Signer, StoreError> {
        let endpoint = config.endpoint_url()?;
        let style = if config.path_style(&endpoint) {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let shown = endpoint.to_string();
        let bucket = Bucket::new(
            endpoint,
            style,
            config.bucket.clone(),
            config.signing_region().to_owned(),
        );
        let bucket = bucket.map_err(|error| match error {
            BucketError::ParseError(_) => StoreError::config(format!(
                "bucket `{}` cannot be part of a host name at {shown}; use path-style addressing",
                config.bucket.escape_debug()
            )),
            other => StoreError::config(format!("endpoint {shown}: {other}")),
        })?;
        Ok(Signer {
            bucket,
            credentials: config.credentials.clone(),
            requester_pays: config.requester_pays,
        })
    }

    /// The bucket's URL, ending with a slash.
    pub(super) fn base_url(&self) -> &Url {
        self.bucket.base_url()
    }

    pub(super) fn get(&self, key: &str) -> Url {
        self.get_for(key, EXPIRES)
    }

    pub(super) fn get_for(&self, key: &str, expires: Duration) -> Url {
        self.sign(Method::Get, key, &[], expires)
    }

    pub(super) fn head(&self, key: &str) -> Url {
        self.sign(Method::Head, key, &[], EXPIRES)
    }

    pub(super) fn put(&self, key: &str) -> Url {
        self.sign(Method::Put, key, &[], EXPIRES)
    }

    pub(super) fn create_multipart(&self, key: &str) -> Url {
        self.sign(Method::Post, key, &[("uploads", "")], EXPIRES)
    }

    pub(super) fn upload_part(&self, key: &str, upload: &str, number: u64) -> Url {
        let number = number.to_string();
        self.sign(
            Method::Put,
            key,
            &[("partNumber", &number), ("uploadId", upload)],
            EXPIRES,
        )
    }

    pub(super) fn complete_multipart(&self, key: &str, upload: &str) -> Url {
        self.sign(Method::Post, key, &[("uploadId", upload)], EXPIRES)
    }

    pub(super) fn abort_multipart(&self, key: &str, upload: &str) -> Url {
        self.sign(Method::Delete, key, &[("uploadId", upload)], EXPIRES)
    }

    /// A page of a listing. Keys come percent-encoded, since XML cannot hold every character.
    pub(super) fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        continuation: Option<&str>,
    ) -> Url {
        let mut query = vec![("list-type", "2"), ("encoding-type", "url")];
        query.extend((!prefix.is_empty()).then_some(("prefix", prefix)));
        query.extend(delimiter.map(|d| ("delimiter", d)));
        query.extend(continuation.map(|token| ("continuation-token", token)));
        self.sign(Method::Get, "", &query, EXPIRES)
    }

    fn sign(&self, method: Method, key: &str, query: &[(&str, &str)], expires: Duration) -> Url {
        self.sign_at(method, key, query, expires, Timestamp::now())
    }

    /// Signs for `key`, or for the bucket itself where that is empty, as if it were `now`.
    fn sign_at(
        &self,
        method: Method,
        key: &str,
        query: &[(&str, &str)],
        expires: Duration,
        now: Timestamp,
    ) -> Url {
        let mut query: BTreeMap<&str, &str> = query.iter().copied().collect();
        let dotted = dotkey::has_dot_segment(key);
        let bucket = self.bucket.base_url();
        let url = if dotted {
            dotkey::url(bucket, key)
        } else {
            self.bucket.object_url(key)
        };
        let Credentials::Keys {
            access,
            secret,
            token,
        } = &self.credentials
        else {
            let mut url = url;
            url.set_query(
                (!query.is_empty())
                    .then(|| dotkey::encode_query(&query))
                    .as_deref(),
            );
            return url;
        };
        if self.requester_pays {
            query.insert("x-amz-request-payer", "requester");
        }
        let expires = expires.as_secs().clamp(1, MAX_EXPIRES);
        let token = token
            .as_ref()
            .map(Secret::expose)
            .filter(|token| !token.is_empty());
        let region = self.bucket.region();
        if dotted {
            let request = dotkey::Request {
                method: method.to_str(),
                bucket,
                key,
                query: &query,
            };
            let who = dotkey::Signature {
                access,
                secret: secret.expose(),
                token,
                region,
            };
            return dotkey::presign(&request, &who, expires, now);
        }
        let query = query.iter().map(|(name, value)| (*name, *value));
        let headers = std::iter::empty::<(&str, &str)>();
        rusty_s3::signing::sign(
            &now,
            method,
            url,
            access,
            secret.expose(),
            token,
            region,
            expires,
            query,
            headers,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Addressing;

    fn config(endpoint: Option<&str>, bucket: &str, token: Option<&str>) -> StoreConfig {
        StoreConfig {
            endpoint: endpoint.map(str::to_owned),
            bucket: bucket.to_owned(),
            region: None,
            addressing: Addressing::Auto,
            credentials: Credentials::Keys {
                access: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                token: token.map(Secret::new),
            },
            requester_pays: false,
            stall_timeout: std::time::Duration::from_secs(30),
        }
    }

    /// 24 May 2013, as in Amazon's examples.
    fn then() -> Timestamp {
        Timestamp::from_second(1_369_353_600).unwrap()
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn amazons_own_example() {
        let signer = Signer::new(&config(
            Some("https://s3.amazonaws.com"),
            "examplebucket",
            None,
        ))
        .unwrap();
        let url = signer.sign_at(Method::Get, "test.txt", &[], DAY, then());
        assert_eq!(
            url.as_str(),
            "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
             &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
             &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=\
             aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
        );
    }

    #[test]
    fn both_signers_agree_where_both_can() {
        for (endpoint, token) in [
            ("http://127.0.0.1:9000", None),
            ("https://h.example/base", Some("tok/en+=")),
        ] {
            let config = config(Some(endpoint), "b", token);
            let signer = Signer::new(&config).unwrap();
            let Credentials::Keys {
                access,
                secret,
                token,
            } = &config.credentials
            else {
                panic!()
            };
            for key in ["test.txt", "ü b+%41~!*'()", "a=b&c;d@e:f,g$", "..."] {
                let query = [("partNumber", "7"), ("uploadId", "a b/+"), ("uploads", "")];
                let ours = dotkey::presign(
                    &dotkey::Request {
                        method: "PUT",
                        bucket: signer.base_url(),
                        key,
                        query: &query.into_iter().collect(),
                    },
                    &dotkey::Signature {
                        access,
                        secret: secret.expose(),
                        token: token.as_ref().map(Secret::expose),
                        region: "us-east-1",
                    },
                    86_400,
                    then(),
                );
                assert_eq!(
                    ours,
                    signer.sign_at(Method::Put, key, &query, DAY, then()),
                    "{key}"
                );
            }
        }
    }

    #[test]
    fn no_key_is_resolved_away() {
        let mut config = config(Some("http://h.example"), "b", None);
        config.credentials = Credentials::Anonymous;
        let signer = Signer::new(&config).unwrap();
        for (key, path) in [
            ("a/../b", "/b/a%2F..%2Fb"),
            ("../x", "/b/..%2Fx"),
            ("..", "/b%2F.."),
            (".", "/b%2F."),
            ("/lead", "/b//lead"),
            ("a//b", "/b/a//b"),
            ("%2e%2e/x", "/b/%252e%252e/x"),
            ("a+b c", "/b/a%2Bb%20c"),
        ] {
            assert_eq!(signer.get(key).path(), path);
            assert_eq!(signer.get(key).query(), None);
        }
        let url = signer.list("a b+/", Some("/"), Some("t="));
        let query = "continuation-token=t%3D&delimiter=%2F&encoding-type=url&list-type=2&prefix=a%20b%2B%2F";
        assert_eq!((url.path(), url.query()), ("/b/", Some(query)));
    }

    #[test]
    fn requester_pays_is_signed_in_the_query() {
        let mut config = config(None, "usgs-landsat", None);
        config.region = Some("us-west-2".to_owned());
        config.requester_pays = true;
        let url = Signer::new(&config).unwrap().get("a/../k");
        assert_eq!(
            url.host_str(),
            Some("usgs-landsat.s3.us-west-2.amazonaws.com")
        );
        assert!(
            url.as_str()
                .contains("&x-amz-request-payer=requester&X-Amz-Signature="),
            "{url}"
        );
        let url = Signer::new(&config).unwrap().get("k");
        assert!(
            url.as_str()
                .contains("&x-amz-request-payer=requester&X-Amz-Signature="),
            "{url}"
        );
    }

    #[test]
    fn the_bucket_is_where_it_works() {
        for (endpoint, bucket, base) in [
            (None, "b", "https://b.s3.us-east-1.amazonaws.com/"),
            (None, "b.c", "https://s3.us-east-1.amazonaws.com/b.c/"),
            (
                None,
                "Legacy_B",
                "https://s3.us-east-1.amazonaws.com/Legacy_B/",
            ),
            (
                Some("http://127.0.0.1:8333"),
                "b",
                "http://127.0.0.1:8333/b/",
            ),
            (Some("http://[::1]:8333/"), "b", "http://[::1]:8333/b/"),
            (
                Some("https://eodata.dataspace.copernicus.eu"),
                "eodata",
                "https://eodata.dataspace.copernicus.eu/eodata/",
            ),
            (
                Some("https://h.example/s3/"),
                "b",
                "https://h.example/s3/b/",
            ),
        ] {
            let signer = Signer::new(&config(endpoint, bucket, None)).unwrap();
            assert_eq!(signer.base_url().as_str(), base);
        }
        let mut wrong = config(Some("http://127.0.0.1:1"), "b", None);
        wrong.addressing = Addressing::VirtualHost;
        let error = Signer::new(&wrong).err().unwrap();
        assert!(error.to_string().contains("path-style"), "{error}");
    }
}
