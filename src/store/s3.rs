//! The client of one bucket: every request to a store goes through here.

use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header;
use reqwest::{Client, RequestBuilder, Response, Url};
use rustls::ClientConfig;

use super::client::Maker;
use super::connections::{Connections, Kind};
use super::headers::{quoted, text, unquoted};
use super::listxml;
use super::retry::retried;
use super::sign::Signer;
use super::{Budget, ObjectInfo, Page, StoreConfig, StoreError, answer, tls};

/// A small answer takes no longer than so many times the silence that is allowed, however
/// steadily it drips.
const WHOLE_ANSWER: u32 = 4;
/// How many idle connections are kept unless told otherwise.
const DEFAULT_POOL: usize = 16;
/// A page of 1,000 keys of 1,024 bytes, each byte escaped threefold, fits well into this.
const MAX_LISTING: u64 = 16 << 20;

/// One bucket over HTTP/1.1. Clones share the connections.
///
/// Redirects are not followed. Every URL is presigned, or bare when anonymous. Make it after
/// forking, within the process that uses it; its methods need a tokio runtime.
///
/// Credentials are looked for when the first request is made, and renewed before they expire. Who
/// takes URLs from [`S3Store::get_url`] awaits [`S3Store::fresh`] before, each time.
#[derive(Clone)]
pub struct S3Store {
    inner: Arc<Inner>,
}

struct Inner {
    config: StoreConfig,
    signer: Signer,
    connections: Arc<Connections>,
    budget: Budget,
    tls: Arc<ClientConfig>,
}

impl std::fmt::Debug for S3Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Store")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl S3Store {
    /// A client for the configured bucket with a small pool of connections.
    ///
    /// # Errors
    /// `Config` when the endpoint and the bucket make no URL, the CA bundle is none, or TLS cannot
    /// be set up.
    pub fn new(config: StoreConfig) -> Result<S3Store, StoreError> {
        S3Store::with_connections(config, DEFAULT_POOL)
    }

    /// The same, keeping up to `connections` idle connections to use again.
    ///
    /// # Errors
    /// As [`S3Store::new`].
    pub fn with_connections(
        config: StoreConfig,
        connections: usize,
    ) -> Result<S3Store, StoreError> {
        let signer = Signer::new(&config)?;
        let tls = tls::client_config(config.ca_bundle.as_deref())?;
        let budget = Budget::of(&config)?;
        let maker = Maker::new(&config, signer.base_url(), &tls);
        let connections = Connections::new(&budget, maker, connections)?;
        Ok(S3Store {
            inner: Arc::new(Inner {
                config,
                signer,
                connections,
                budget,
                tls,
            }),
        })
    }

    /// The bucket's name.
    pub fn bucket(&self) -> &str {
        &self.inner.config.bucket
    }

    /// The configuration this store was made from.
    pub fn config(&self) -> &StoreConfig {
        &self.inner.config
    }

    /// The HTTP client with its pool of connections.
    pub fn client(&self) -> &Client {
        self.inner.connections.pool()
    }

    /// The settings of TLS connections to this store, for connections made elsewhere: ring, the
    /// system's roots and those of the CA bundle.
    pub fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.inner.tls)
    }

    /// What the endpoint allows, and what is left of it. Requests through this store are within
    /// it; whoever makes connections of their own keeps to it too.
    pub fn budget(&self) -> &Budget {
        &self.inner.budget
    }

    /// Whether more may be downloaded this month.
    ///
    /// # Errors
    /// `UsedUp` where it may not.
    pub fn month_has_room(&self) -> Result<(), StoreError> {
        let budget = &self.inner.budget;
        match (budget.month_left(), budget.profile().bytes_per_month) {
            (Some(0), Some(limit)) => Err(StoreError::UsedUp {
                endpoint: self.place(""),
                limit,
            }),
            _ => Ok(()),
        }
    }

    /// Finds credentials where there are none yet, and new ones where these expire within minutes.
    /// Cheap where there is nothing to do; only one of many that wait does the work.
    ///
    /// # Errors
    /// `NoCredentials` where none can be found, with what was tried.
    pub async fn fresh(&self) -> Result<(), StoreError> {
        self.inner.signer.keyring().fresh().await
    }

    /// A presigned URL for GET, valid for twelve hours (or as long as the credentials are, which is
    /// for minutes after [`S3Store::fresh`]); one URL serves every range. Never log it: strip the
    /// query first.
    ///
    /// It is worked out anew by each call, in microseconds, so there is no need to keep it. An empty
    /// key gives the bucket's own URL. Not signed before `fresh` has found credentials.
    pub fn get_url(&self, key: &str) -> Url {
        self.inner.signer.get(key)
    }

    /// A URL like that of [`S3Store::get_url`], and whether requests with it have to carry
    /// [`CHECKSUM_MODE`](super::CHECKSUM_MODE), so that the answers have the checksums that the
    /// store keeps.
    pub fn get_url_with_checksums(&self, key: &str) -> (Url, bool) {
        let signer = &self.inner.signer;
        (signer.get_with_checksums(key), signer.asks_for_checksums())
    }

    /// The same, valid for `expires` (one second to seven days).
    pub fn get_url_for(&self, key: &str, expires: Duration) -> Url {
        self.inner.signer.get_for(key, expires)
    }

    /// Tells of the store's clock, as the Date header of a refusal says it. True where it differs
    /// by more than a minute from what was thought: URLs are signed by it from now on, and the
    /// request is worth another try.
    pub fn correct_clock(&self, theirs: SystemTime) -> bool {
        self.inner.signer.keyring().correct_clock(theirs)
    }

    /// Tells that the store called the credentials expired. True where the next
    /// [`S3Store::fresh`] looks for new ones, so that the request is worth another try.
    pub fn credentials_expired(&self) -> bool {
        self.inner.signer.keyring().expired()
    }

    /// The error of a connection that could not be made or broke, for what is asked about `key`:
    /// what is wrong with the certificate, where that is why.
    pub fn connection_error(
        &self,
        key: &str,
        what: &str,
        error: &(dyn Error + 'static),
    ) -> StoreError {
        answer::no_connection(what, error, &self.place(key))
    }

    /// One page of the listing below `prefix`: at most 1,000 entries.
    ///
    /// # Errors
    /// As the store answers; `Protocol` where the answer is no listing.
    pub async fn list(
        &self,
        prefix: &str,
        delimiter: Option<&str>,
        continuation: Option<&str>,
    ) -> Result<Page, StoreError> {
        let place = self.place(prefix);
        let place = place.as_str();
        self.small(place, |client| async move {
            let url = self.inner.signer.list(prefix, delimiter, continuation);
            let response = self.send(client.get(url), place).await?;
            let response = self.success(response, place).await?;
            let body = answer::body(response, MAX_LISTING, place).await?;
            listxml::parse(&body).map_err(|what| StoreError::protocol(place, what))
        })
        .await
    }

    /// Size, ETag and date of one key.
    ///
    /// # Errors
    /// As the store answers.
    pub async fn head(&self, key: &str) -> Result<ObjectInfo, StoreError> {
        let place = self.key_place(key)?;
        let place = place.as_str();
        self.small(place, |client| async move {
            let response = self
                .send(client.head(self.inner.signer.head(key)), place)
                .await?;
            let response = self.success(response, place).await?;
            // The body is empty, so the length must be read from the header itself.
            let size = text(response.headers(), header::CONTENT_LENGTH)
                .and_then(|length| length.parse().ok())
                .ok_or_else(|| {
                    StoreError::protocol(place, "the answer to HEAD has no Content-Length")
                })?;
            Ok(ObjectInfo {
                key: key.to_owned(),
                size,
                etag: text(response.headers(), header::ETAG).map(|etag| unquoted(&etag).to_owned()),
                last_modified: text(response.headers(), header::LAST_MODIFIED),
            })
        })
        .await
    }

    /// A whole object of at most `max_bytes`, for metadata files.
    ///
    /// # Errors
    /// As the store answers; `Protocol` where the object is larger or the body ends early.
    pub async fn get(&self, key: &str, max_bytes: u64) -> Result<Vec<u8>, StoreError> {
        let place = self.key_place(key)?;
        let place = place.as_str();
        self.small(place, |client| async move {
            let response = self.send(client.get(self.get_url(key)), place).await?;
            let response = self.success(response, place).await?;
            answer::body(response, max_bytes, place).await
        })
        .await
    }

    /// Asks for bytes `range` of an object; the body of the answer holds exactly these, unless the
    /// connection breaks. With `etag` (unquoted) the object must still have it.
    ///
    /// # Errors
    /// `Changed` where the ETag does not match any more or the range lies outside the object;
    /// `Protocol` where the answer is another range, or the whole object when it was not asked for.
    pub async fn get_range(
        &self,
        key: &str,
        range: Range<u64>,
        etag: Option<&str>,
    ) -> Result<Response, StoreError> {
        let place = self.key_place(key)?;
        if range.is_empty() {
            return Err(StoreError::config(format!(
                "{place}: an empty range cannot be asked for"
            )));
        }
        let last = range.end - 1;
        self.fresh().await?;
        let mut request = self
            .client()
            .get(self.get_url(key))
            .header(header::RANGE, format!("bytes={}-{last}", range.start));
        if let Some(etag) = etag {
            request = request.header(header::IF_MATCH, quoted(etag));
        }
        let response = self.send(request, &place).await?;
        let response = self.success(response, &place).await?;
        answer::check_range(&response, &range, &place)?;
        Ok(response)
    }

    /// Runs a request with a small answer up to four times, each in bounded time, with credentials
    /// that are valid and within what the endpoint allows.
    async fn small<T, F>(&self, place: &str, request: impl Fn(Client) -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let limit = self.inner.config.stall_timeout * WHOLE_ANSWER;
        let (limit, request) = (&limit, &request);
        let bounded = |client| async move {
            let answer = tokio::time::timeout(*limit, request(client)).await;
            answer.unwrap_or_else(|_| {
                Err(StoreError::Unreachable {
                    place: place.to_owned(),
                    detail: format!("no answer in time (it was not complete after {limit:?})"),
                })
            })
        };
        retried(|| async {
            self.fresh().await?;
            self.inner.connections.run(Kind::Asking, bounded).await
        })
        .await
    }

    /// Sends a request. A failure names the place, never the URL's query.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        place: &str,
    ) -> Result<Response, StoreError> {
        tracing::trace!("asking for {place}");
        request.send().await.map_err(|e| answer::broken(e, place))
    }

    /// The answer if its status is a success, else the error that it says.
    pub(super) async fn success(
        &self,
        response: Response,
        place: &str,
    ) -> Result<Response, StoreError> {
        let date = text(response.headers(), header::DATE);
        let error = match answer::success(response, place).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        Err(self.excused(error, date.as_deref()))
    }

    /// A refusal that has its reason in the clock or in old credentials becomes one that is worth
    /// another try, with both put right.
    pub fn excused(&self, error: StoreError, date: Option<&str>) -> StoreError {
        let StoreError::Refused { code, .. } = &error else {
            return error;
        };
        let date = date.and_then(|date| httpdate::parse_http_date(date).ok());
        let expired = ["ExpiredToken", "TokenRefreshRequired", "InvalidToken"];
        let mended = date.is_some_and(|date| self.correct_clock(date))
            || expired.contains(&code.as_str()) && self.credentials_expired();
        match mended {
            true => StoreError::Stale(Box::new(error)),
            false => error,
        }
    }

    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.inner.connections
    }

    pub(super) fn signer(&self) -> &Signer {
        &self.inner.signer
    }

    /// How messages name a key or prefix of this store.
    pub(super) fn place(&self, key: &str) -> String {
        let base = self.inner.signer.base_url();
        let host = base.host_str().unwrap_or_default();
        let port = base
            .port()
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        format!(
            "s3://{}/{} at {}://{host}{port}",
            self.bucket(),
            key.escape_debug(),
            base.scheme()
        )
    }

    /// The same for a single key, which must be one.
    pub(super) fn key_place(&self, key: &str) -> Result<String, StoreError> {
        if key.is_empty() {
            return Err(StoreError::config(format!(
                "s3://{0}: an object's key is missing; write s3://{0}/KEY",
                self.bucket()
            )));
        }
        Ok(self.place(key))
    }
}
