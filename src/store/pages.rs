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
    /// gives a `Protocol` error.
    pub fn list_all(&self, prefix: &str, delimiter: Option<&str>) -> Pages {
        let (send, pages) = mpsc::channel(2);
        let (store, prefix) = (self.clone(), prefix.to_owned());
        let delimiter = delimiter.map(str::to_owned);
        tokio::spawn(async move {
            let mut guard = Guard::default();
            let mut token: Option<String> = None;
            loop {
                let page = store
                    .list(&prefix, delimiter.as_deref(), token.as_deref())
                    .await;
                let page = page.and_then(|page| match guard.check(&page) {
                    Ok(()) => Ok(page),
                    Err(what) => Err(StoreError::protocol(&store.place(&prefix), what)),
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

/// Remembers what each page began with: eight bytes a page.
#[derive(Default)]
struct Guard {
    tokens: HashSet<u64>,
    firsts: HashSet<u64>,
    empty: u32,
}

impl Guard {
    fn check(&mut self, page: &Page) -> Result<(), String> {
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
        let mut guard = Guard::default();
        guard.check(&page("a", Some("1"))).unwrap();
        guard.check(&page("b", Some("2"))).unwrap();
        assert!(
            guard
                .check(&page("c", Some("1")))
                .unwrap_err()
                .contains("token")
        );
        let mut guard = Guard::default();
        guard.check(&page("a", Some("1"))).unwrap();
        assert!(
            guard
                .check(&page("a", Some("2")))
                .unwrap_err()
                .contains("`a`")
        );
        let mut guard = Guard::default();
        let empty = |n: u32| Page {
            next: Some(n.to_string()),
            ..Page::default()
        };
        for n in 0..MAX_EMPTY_PAGES {
            guard.check(&empty(n)).unwrap();
        }
        assert!(guard.check(&empty(MAX_EMPTY_PAGES)).is_err());
    }
}
