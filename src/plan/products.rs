//! The products of a job file, one after the other as the store's pages come.

use std::collections::{HashSet, VecDeque};

use xxhash_rust::xxh3::xxh3_64;

use super::error::PlanError;
use super::source::ProductSource;
use crate::store::ListingGuard;
use crate::task::{ListedProducts, ProductSpec};

/// The products of one [`ProductSpec`], each once: the named ones, then the listed ones.
pub(super) struct Products<'a> {
    source: &'a dyn ProductSource,
    spec: &'a ProductSpec,
    names: usize,
    page: VecDeque<String>,
    token: Option<String>,
    /// Whether there may be another page.
    more: bool,
    /// Hashes of the products given out: eight bytes each, for a million products.
    seen: HashSet<u64>,
    guard: ListingGuard,
}

impl<'a> Products<'a> {
    pub fn new(source: &'a dyn ProductSource, spec: &'a ProductSpec) -> Self {
        let listed = spec.listed.as_ref().map(start).unwrap_or_default();
        Products {
            source,
            spec,
            names: 0,
            page: VecDeque::new(),
            token: None,
            more: spec.listed.is_some(),
            seen: HashSet::new(),
            guard: ListingGuard::new(&listed),
        }
    }

    /// The key prefix of the next product, with a slash at its end; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<String>, PlanError> {
        if let Some(named) = self.spec.names.get(self.names) {
            self.names += 1;
            self.seen.insert(xxh3_64(named.prefix.as_bytes()));
            return Ok(Some(named.prefix.clone()));
        }
        loop {
            if let Some(prefix) = self.page.pop_front() {
                return Ok(Some(prefix));
            }
            match &self.spec.listed {
                Some(listed) if self.more => self.next_page(listed).await?,
                _ => return Ok(None),
            }
        }
    }

    async fn next_page(&mut self, listed: &ListedProducts) -> Result<(), PlanError> {
        let start = start(listed);
        let token = self.token.take();
        let page = self
            .source
            .list(&start, Some("/"), token.as_deref())
            .await?;
        self.guard.check(&page, || format!("listing {start:?}"))?;
        for prefix in page.prefixes {
            let Some(name) = prefix
                .strip_prefix(&listed.prefix)
                .and_then(|rest| rest.strip_suffix('/'))
            else {
                continue;
            };
            let matches = listed
                .pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(name));
            if matches && !name.is_empty() && self.seen.insert(xxh3_64(prefix.as_bytes())) {
                self.page.push_back(prefix);
            }
        }
        self.more = page.next.is_some();
        self.token = page.next;
        Ok(())
    }
}

/// What all keys of interest begin with.
fn start(listed: &ListedProducts) -> String {
    format!("{}{}", listed.prefix, literal_head(listed))
}

/// The part of the glob before its first special character: the store need list no more.
fn literal_head(listed: &ListedProducts) -> &str {
    let Some(pattern) = &listed.pattern else {
        return "";
    };
    let text = pattern.glob().glob();
    let end = text.find(['*', '?', '[', '{', '\\']).unwrap_or(text.len());
    text.get(..end).unwrap_or("")
}
