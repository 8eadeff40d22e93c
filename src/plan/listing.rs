//! All objects of one product, and the names of products near a missing one.

use super::error::PlanError;
use super::source::ProductSource;
use crate::store::{ListingGuard, ObjectInfo};
use crate::task::nearest;

/// Objects that one product may have. More is a prefix that holds many products.
pub(super) const MAX_OBJECTS: usize = 50_000;

/// Pages read in search of a name near a missing one.
const NEAR_PAGES: usize = 5;

/// The objects of a product.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The product's key prefix, with a slash at its end.
    pub prefix: String,
    /// Its objects in the store's order.
    pub objects: Vec<ObjectInfo>,
    /// Whether there are more than [`MAX_OBJECTS`], of which the first are here.
    pub cut: bool,
}

impl Listing {
    /// An object's key below the product.
    pub fn relative<'a>(&self, object: &'a ObjectInfo) -> &'a str {
        object.key.strip_prefix(&self.prefix).unwrap_or(&object.key)
    }
}

/// Lists a product.
pub(super) async fn list_product(
    source: &dyn ProductSource,
    prefix: &str,
) -> Result<Listing, PlanError> {
    let mut listing = Listing {
        prefix: prefix.to_owned(),
        ..Listing::default()
    };
    let mut token: Option<String> = None;
    let mut guard = ListingGuard::new(prefix);
    loop {
        let page = source.list(prefix, None, token.as_deref()).await?;
        guard.check(&page, || format!("listing {prefix:?}"))?;
        // Keys that end in a slash stand for directories and have no bytes.
        let objects = page
            .objects
            .into_iter()
            .filter(|object| !object.key.ends_with('/'));
        listing.objects.extend(objects);
        if listing.objects.len() > MAX_OBJECTS {
            listing.objects.truncate(MAX_OBJECTS);
            listing.cut = true;
            return Ok(listing);
        }
        match page.next {
            Some(next) => token = Some(next),
            None => return Ok(listing),
        }
    }
}

/// The name of a product that there is, nearest to one that there is not.
pub(super) async fn nearest_product(
    source: &dyn ProductSource,
    prefix: &str,
) -> Result<Option<String>, PlanError> {
    let name = prefix.trim_end_matches('/');
    let parent_end = name.rfind('/').map_or(0, |slash| slash + 1);
    let (parent, last) = name.split_at(parent_end);
    let mut names: Vec<String> = Vec::new();
    // Names that begin alike first: in a bucket of a million they are not on the first pages.
    let half = last.chars().take(last.chars().count().div_ceil(2));
    let alike = format!("{parent}{}", half.collect::<String>());
    for (start, pages) in [(alike.as_str(), 1), (parent, NEAR_PAGES)] {
        let mut token: Option<String> = None;
        for _ in 0..pages {
            let page = source.list(start, Some("/"), token.as_deref()).await?;
            names.extend(page.prefixes);
            token = page.next;
            if token.is_none() {
                break;
            }
        }
    }
    let bare = names.iter().map(|name| name.trim_end_matches('/'));
    let found = nearest(name, bare.filter(|bare| *bare != name)).map(str::to_owned);
    if found.is_some() || parent.is_empty() {
        return Ok(found);
    }
    let page = source.list("", Some("/"), None).await?;
    let tops = page.prefixes.iter().map(|name| name.trim_end_matches('/'));
    Ok(nearest(name, tops).map(str::to_owned))
}
