//! Presigned URLs for everything that is asked of a bucket.
//!
//! All that is signed is in the URL, so requests may carry a Range or an If-Match header that the
//! signature does not cover, and one URL serves all ranges of an object. That the caller pays is in
//! the query for the same reason.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use reqwest::Url;
use rusty_s3::{Bucket, BucketError, UrlStyle};

use super::config::SignatureVersion;
use super::dotkey;
use super::keys::Keys;
use super::renew::Keyring;
use super::sign_v4::{Ask, DayKey, escape, write_query};
use super::{Credentials, StoreConfig, StoreError, sign_v2};

/// How long a URL is good for unless told otherwise: a large object over a slow line is read with
/// one URL.
const EXPIRES: Duration = Duration::from_secs(12 * 3600);

/// The header that asks for an object's checksums. Amazon's S3 answers it only as a header, and
/// refuses headers of this kind that a URL's signature does not cover.
pub const CHECKSUM_MODE: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");

/// Signs for one bucket.
pub(super) struct Signer {
    bucket: Bucket,
    /// The bucket's URL without its path.
    origin: String,
    /// As the Host header says it.
    host: String,
    version: SignatureVersion,
    anonymous: bool,
    requester_pays: bool,
    keyring: Keyring,
    /// What version 4 has worked out for today.
    day: RwLock<Option<Arc<DayKey>>>,
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
            other => StoreError::config(format!(
                "endpoint {shown}: {other}; check it, and the bucket's name"
            )),
        })?;
        let base = bucket.base_url();
        let origin = base.as_str().strip_suffix(base.path());
        let origin = origin.unwrap_or_default().to_owned();
        let host = base.host_str().unwrap_or_default();
        let host = match base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Signer {
            origin,
            host,
            bucket,
            version: config.signature,
            anonymous: config.credentials == Credentials::Anonymous,
            requester_pays: config.requester_pays,
            keyring: Keyring::new(&config.credentials),
            day: RwLock::new(None),
        })
    }

    /// The bucket's URL, ending with a slash.
    pub(super) fn base_url(&self) -> &Url {
        self.bucket.base_url()
    }

    /// The keys that this signs with.
    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    pub(super) fn get(&self, key: &str) -> Url {
        self.get_for(key, EXPIRES)
    }

    /// To be sent with [`CHECKSUM_MODE`], where that is asked for.
    pub(super) fn get_with_checksums(&self, key: &str) -> Url {
        let header = [CHECKSUM_MODE];
        let headers: &[_] = if self.asks_for_checksums() {
            &header
        } else {
            &[]
        };
        self.sign("GET", key, &[], headers, EXPIRES)
    }

    /// Whether requests for objects ask for their checksums. Endpoints that know only version 2
    /// are older than these.
    pub(super) fn asks_for_checksums(&self) -> bool {
        self.version == SignatureVersion::V4
    }

    pub(super) fn get_for(&self, key: &str, expires: Duration) -> Url {
        self.sign("GET", key, &[], &[], expires)
    }

    pub(super) fn head(&self, key: &str) -> Url {
        self.sign("HEAD", key, &[], &[], EXPIRES)
    }

    /// For an object, or a part of an upload where the query names one; to be sent with the
    /// headers.
    pub(super) fn put(&self, key: &str, query: &[(&str, &str)], headers: &[(&str, &str)]) -> Url {
        self.sign("PUT", key, query, headers, EXPIRES)
    }

    /// To be sent with the headers.
    pub(super) fn create_multipart(&self, key: &str, headers: &[(&str, &str)]) -> Url {
        self.sign("POST", key, &[("uploads", "")], headers, EXPIRES)
    }

    /// To be sent with the Content-Type `application/xml`.
    pub(super) fn complete_multipart(&self, key: &str, upload: &str) -> Url {
        let headers = [("content-type", "application/xml")];
        self.sign("POST", key, &[("uploadId", upload)], &headers, EXPIRES)
    }

    pub(super) fn abort_multipart(&self, key: &str, upload: &str) -> Url {
        self.sign("DELETE", key, &[("uploadId", upload)], &[], EXPIRES)
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
        self.sign("GET", "", &query, &[], EXPIRES)
    }

    /// The URL for a request of the object `key`, or of the bucket itself where that is empty.
    /// `headers` (lower-case names) must be sent as they stand here; Range and If-Match may be sent
    /// besides. Without a signature where requests are anonymous or no keys have been found yet.
    pub(super) fn sign(
        &self,
        method: &str,
        key: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        expires: Duration,
    ) -> Url {
        let ask = Ask {
            method,
            query,
            headers,
            expires: expires.as_secs(),
        };
        self.sign_at(ask, key, self.keyring.now_ms() / 1_000)
    }

    /// Signs as if it were `now`, in seconds since 1970.
    fn sign_at(&self, ask: Ask<'_>, key: &str, now: u64) -> Url {
        let base = self.bucket.base_url();
        let escaped = dotkey::encoded(key);
        let dotted = dotkey::has_dot_segment(key).then(|| dotkey::sent_path(base.path(), key));
        let path = format!("{}{escaped}", base.path());
        let keys = (!self.anonymous).then(|| self.keyring.keys()).flatten();
        let mut query = ask.query.to_vec();
        if self.requester_pays && keys.is_some() {
            query.push(("x-amz-request-payer", "requester"));
        }
        let ask = Ask {
            query: &query,
            ..ask
        };
        let query = match (keys, self.version) {
            (None, _) => plain_query(ask.query),
            (Some(keys), SignatureVersion::V4) => {
                let day = self.day_key(&keys, now);
                Some(day.query(&ask, &self.host, &path, now))
            }
            (Some(keys), SignatureVersion::V2) => {
                let resource = format!("/{}/{escaped}", self.bucket.name());
                Some(sign_v2::query(&keys, &ask, &resource, now))
            }
        };
        self.url(dotted.as_deref().unwrap_or(&path), query.as_deref())
    }

    fn day_key(&self, keys: &Arc<Keys>, now: u64) -> Arc<DayKey> {
        let known = self.day.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(day) = known.as_ref().filter(|day| day.serves(keys, now)) {
            return Arc::clone(day);
        }
        drop(known);
        let day = Arc::new(DayKey::new(Arc::clone(keys), self.bucket.region(), now));
        *self.day.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&day));
        day
    }

    /// Parsed in one go: setting path and query one after the other takes three times as long.
    fn url(&self, path: &str, query: Option<&str>) -> Url {
        let (mark, text) = query.map_or(("", ""), |query| ("?", query));
        Url::parse(&format!("{}{path}{mark}{text}", self.origin)).unwrap_or_else(|_| {
            let mut url = self.bucket.base_url().clone();
            url.set_path(path);
            url.set_query(query);
            url
        })
    }
}

/// A query that is not signed.
fn plain_query(query: &[(&str, &str)]) -> Option<String> {
    let mut sorted: Vec<_> = query.iter().map(|(n, v)| (*n, escape(v))).collect();
    sorted.sort_unstable();
    let mut text = String::new();
    write_query(&mut text, sorted.iter().map(|(n, v)| (*n, v.as_ref())));
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Addressing, EndpointSettings, Secret};
    use jiff::Timestamp;

    fn config(endpoint: Option<&str>, bucket: &str, token: Option<&str>) -> StoreConfig {
        StoreConfig {
            endpoint: endpoint.map(str::to_owned),
            bucket: bucket.to_owned(),
            region: None,
            addressing: Addressing::Auto,
            signature: SignatureVersion::V4,
            ca_bundle: None,
            credentials: Credentials::Keys {
                access: "AKIAIOSFODNN7EXAMPLE".to_owned(),
                secret: Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
                token: token.map(Secret::new),
            },
            requester_pays: false,
            stall_timeout: std::time::Duration::from_secs(30),
            limits: EndpointSettings::default(),
        }
    }

    /// 24 May 2013, as in Amazon's examples.
    const THEN: u64 = 1_369_353_600;
    const DAY: u64 = 86_400;

    fn get<'a>() -> Ask<'a> {
        Ask {
            method: "GET",
            query: &[],
            headers: &[],
            expires: DAY,
        }
    }

    #[test]
    fn amazons_own_example() {
        let signer = Signer::new(&config(
            Some("https://s3.amazonaws.com"),
            "examplebucket",
            None,
        ))
        .unwrap();
        let url = signer.sign_at(get(), "test.txt", THEN);
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
            let now = THEN + 45_296;
            let then = Timestamp::from_second(now as i64).unwrap();
            for key in ["test.txt", "ü b+%41~!*'()", "a=b&c;d@e:f,g$", "..."] {
                for headers in [&[][..], &[("content-type", "a/b"), ("x-amz-z", "1")]] {
                    let query = [("partNumber", "7"), ("uploadId", "a b/+"), ("uploads", "")];
                    let theirs = rusty_s3::signing::sign(
                        &then,
                        rusty_s3::Method::Put,
                        signer.bucket.object_url(key),
                        access,
                        secret.expose(),
                        token.as_ref().map(Secret::expose),
                        "us-east-1",
                        DAY,
                        query.iter().copied(),
                        headers.iter().copied(),
                    );
                    let ask = Ask {
                        method: "PUT",
                        query: &query,
                        headers,
                        expires: DAY,
                    };
                    // Twice: as the first of its day, and as another one.
                    for _ in 0..2 {
                        let ask = Ask { ..ask };
                        assert_eq!(signer.sign_at(ask, key, now), theirs, "{key}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_new_day_and_new_keys_are_signed_with_at_once() {
        let fresh = |at| {
            let signer = Signer::new(&config(None, "b", None)).unwrap();
            signer.sign_at(get(), "k", at)
        };
        let signer = Signer::new(&config(None, "b", None)).unwrap();
        for at in [THEN + DAY - 1, THEN + DAY, THEN, THEN + 1] {
            assert_eq!(signer.sign_at(get(), "k", at), fresh(at));
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
