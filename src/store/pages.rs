//! A whole listing, page by page, with the next page under way while one is worked on.

use std::collections::HashSet;

use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

use super::{Page, S3Store, StoreError};

/// So many pages without an entry in a row is no listing any more. A store may send some, where
/// many deleted keys lie between two that exist.
const MAX_EMPTY_PAGES: u32 = 1_000;

/// The pages of a listing in order. Up to two pages are fetched ahead by a task of the current
/// tokio runtime; dropping this ends that task.
#[derive(Debug)]
pub struct Pages {
    pages: mpsc::Receiver<Result<Page, StoreError>>,
}

impl Pages {
    /// The next page; `None` after the last or after an error.
    pub async fn next(&mut self) -> Option<Result<Page, StoreError>> {
        self.pages.recv().await
    }
}

impl S3Store {
    /// Lists everything below `prefix`. Call within a tokio runtime.
    ///
    /// A store that repeats a page or a continuation token, so that the listing would never end,
    /// or lists something else than was asked for, gives a `Protocol` error.
    pub fn list_all(&self, prefix: &str, delimiter: Option<&str>) -> Pages {
        let (send, pages) = mpsc::channel(2);
        let (store, prefix) = (self.clone(), prefix.to_owned());
        let delimiter = delimiter.map(str::to_owned);
        tokio::spawn(async move {
            let mut guard = ListingGuard::new(&prefix);
            let mut token: Option<String> = None;
            loop {
                let page = store
                    .list(&prefix, delimiter.as_deref(), token.as_deref())
                    .await;
                let page = page.and_then(|page| {
                    let place = || store.place(&prefix);
                    guard.check(&page, place).map(|()| page)
                });
                token = page.as_ref().ok().and_then(|page| page.next.clone());
                if send.send(page).await.is_err() || token.is_none() {
                    return;
                }
            }
        });
        Pages { pages }
    }
}

/// Holds the pages of one listing to what a listing is: it ends, and it is of the prefix that
/// was asked for. Remembers what each page began with: sixteen bytes a page.
#[derive(Debug, Default)]
pub struct ListingGuard {
    prefix: String,
    tokens: HashSet<u64>,
    firsts: HashSet<u64>,
    empty: u32,
}

impl ListingGuard {
    /// For a listing below `prefix`.
    pub fn new(prefix: &str) -> ListingGuard {
        ListingGuard {
            prefix: prefix.to_owned(),
            ..ListingGuard::default()
        }
    }

    /// Looks at the next page; `place` names the listing in the error.
    ///
    /// # Errors
    /// `Protocol` where a token or a page comes twice, where a thousand pages in a row are empty,
    /// and where a key does not begin with the prefix.
    pub fn check(&mut self, page: &Page, place: impl Fn() -> String) -> Result<(), StoreError> {
        self.look(page)
            .map_err(|what| StoreError::protocol(&place(), what))
    }

    fn look(&mut self, page: &Page) -> Result<(), String> {
        let keys = page.objects.iter().map(|object| object.key.as_str());
        let mut names = keys.chain(page.prefixes.iter().map(String::as_str));
        if let Some(other) = names.find(|name| !name.starts_with(&self.prefix)) {
            return Err(format!(
                "the listing has the key `{}`, which is not below `{}`",
                other.escape_debug(),
                self.prefix.escape_debug()
            ));
        }
        if let Some(token) = &page.next
            && !self.tokens.insert(xxh3_64(token.as_bytes()))
        {
            return Err(
                "the listing does not end: the store sent the same continuation token twice"
                    .to_owned(),
            );
        }
        let object = page.objects.first().map(|o| o.key.as_str());
        let prefix = page.prefixes.first().map(String::as_str);
        if object.is_none() && prefix.is_none() {
            self.empty += 1;
            if self.empty > MAX_EMPTY_PAGES {
                return Err(format!(
                    "the listing does not end: {MAX_EMPTY_PAGES} empty pages in a row"
                ));
            }
            return Ok(());
        }
        self.empty = 0;
        // A page is the same as an earlier one when its first key and first prefix are.
        let first = format!(
            "{}\0{}",
            object.unwrap_or_default(),
            prefix.unwrap_or_default()
        );
        if !self.firsts.insert(xxh3_64(first.as_bytes())) {
            let key = object
                .or(prefix)
                .unwrap_or_default()
                .escape_debug()
                .to_string();
            return Err(format!(
                "the listing does not end: a page that begins with `{key}` came twice"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ObjectInfo;

    fn page(key: &str, next: Option<&str>) -> Page {
        let object = ObjectInfo {
            key: key.to_owned(),
            size: 0,
            etag: None,
            last_modified: None,
        };
        Page {
            objects: vec![object],
            prefixes: Vec::new(),
            next: next.map(str::to_owned),
        }
    }

    #[test]
    fn repeats_are_seen() {
        let mut guard = ListingGuard::default();
        guard.look(&page("a", Some("1"))).unwrap();
        guard.look(&page("b", Some("2"))).unwrap();
        assert!(
            guard
                .look(&page("c", Some("1")))
                .unwrap_err()
                .contains("token")
        );
        let mut guard = ListingGuard::default();
        guard.look(&page("a", Some("1"))).unwrap();
        assert!(
            guard
                .look(&page("a", Some("2")))
                .unwrap_err()
                .contains("`a`")
        );
        let mut guard = ListingGuard::default();
        let empty = |n: u32| Page {
            next: Some(n.to_string()),
            ..Page::default()
        };
        for n in 0..MAX_EMPTY_PAGES {
            guard.look(&empty(n)).unwrap();
        }
        assert!(guard.look(&empty(MAX_EMPTY_PAGES)).is_err());
    }

    #[test]
    fn another_listing_is_seen() {
        let mut guard = ListingGuard::new("a/");
        guard.look(&page("a/b", Some("1"))).unwrap();
        let error = guard.look(&page("b/a", None)).unwrap_err();
        assert!(error.contains("`b/a`") && error.contains("`a/`"), "{error}");
        let prefixes = Page {
            prefixes: vec!["a/x/".to_owned(), "other/".to_owned()],
            ..Page::default()
        };
        assert!(guard.look(&prefixes).unwrap_err().contains("`other/`"));
    }
}
