//! What the planner needs of a store.

use std::future::Future;
use std::pin::Pin;

use crate::store::{Page, S3Store, StoreError};

/// A future on the planner's own thread.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// A bucket that can be listed and read.
pub trait ProductSource {
    /// One page of a listing in the store's order; see [`S3Store::list`].
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        continuation: Option<&'a str>,
    ) -> Pending<'a, Result<Page, StoreError>>;

    /// A whole object of at most `max_bytes`; see [`S3Store::get`].
    fn get<'a>(&'a self, key: &'a str, max_bytes: u64) -> Pending<'a, Result<Vec<u8>, StoreError>>;
}

impl ProductSource for S3Store {
    fn list<'a>(
        &'a self,
        prefix: &'a str,
        delimiter: Option<&'a str>,
        continuation: Option<&'a str>,
    ) -> Pending<'a, Result<Page, StoreError>> {
        Box::pin(S3Store::list(self, prefix, delimiter, continuation))
    }

    fn get<'a>(&'a self, key: &'a str, max_bytes: u64) -> Pending<'a, Result<Vec<u8>, StoreError>> {
        Box::pin(S3Store::get(self, key, max_bytes))
    }
}
