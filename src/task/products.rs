//! Which products a job file and the flags ask for.

use std::sync::Arc;

use super::document::ProductsSection;
use super::flags::{Flags, words};
use super::keys::{check_key, glob};
use super::model::{ListedProducts, NamedProduct, ProductSpec, StoreSettings};
use super::source::{JobFileError, Place, Source};
use super::tree::Node;

/// The products of tasks that name none of their own: the flags', the file's, or all of a sample.
pub(super) fn shared(
    source: &Arc<Source>,
    root: &Node,
    section: Option<ProductsSection>,
    store: &StoreSettings,
    flags: &Flags,
) -> Result<Option<Arc<ProductSpec>>, JobFileError> {
    if !flags.products.is_empty() {
        return Ok(Some(Arc::new(ProductSpec {
            names: once(named_by(flags)?),
            listed: None,
        })));
    }
    if let (Some(section), Some(node)) = (section, root.get("products")) {
        return Ok(Some(Arc::new(of_table(source, node, &section)?)));
    }
    Ok(store.sample.map(|_| {
        let node = root.get("store").and_then(|store| store.get("sample"));
        let span = node.map_or(0..0, |node| node.span.clone());
        Arc::new(ProductSpec {
            names: Vec::new(),
            listed: Some(ListedProducts {
                prefix: String::new(),
                pattern: None,
                place: Place::new(source, span),
            }),
        })
    }))
}

/// The products that a `products` table names.
pub(super) fn of_table(
    source: &Arc<Source>,
    node: &Node,
    section: &ProductsSection,
) -> Result<ProductSpec, JobFileError> {
    let place = |node: &Node| Place::new(source, node.span.clone());
    let places = node.get("names").map_or(&[][..], Node::items);
    let names = section
        .names
        .iter()
        .zip(places)
        .map(|(name, node)| named_product(name, &place(node)))
        .collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() && section.prefix.is_none() && section.pattern.is_none() {
        return Err(place(node)
            .error("no products are named here")
            .help("give `names`, or `prefix` (\"\" is the whole bucket), or `match`"));
    }
    let mut listed = None;
    if section.prefix.is_some() || section.pattern.is_some() {
        let at = ["match", "prefix"].iter().find_map(|field| node.get(field));
        let at = place(at.unwrap_or(node));
        let mut prefix = section.prefix.clone().unwrap_or_default();
        check_key(&prefix, &at)?;
        if !prefix.is_empty() && !prefix.ends_with('/') {
            prefix.push('/');
        }
        let pattern = section.pattern.as_deref();
        if pattern.is_some_and(|pattern| pattern.contains('/')) {
            return Err(at
                .error("`match` is a glob on the product's name, without a slash")
                .help("put what comes before the last slash into `prefix`"));
        }
        let pattern = pattern.map(|pattern| glob(pattern, &at)).transpose()?;
        listed = Some(ListedProducts {
            prefix,
            pattern,
            place: at,
        });
    }
    Ok(ProductSpec {
        names: once(names),
        listed,
    })
}

fn named_by(flags: &Flags) -> Result<Vec<NamedProduct>, JobFileError> {
    words("--product", &flags.products)?
        .iter()
        .map(|word| named_product(&word.text, &word.place))
        .collect()
}

/// Each product once, at its first mention.
fn once(mut names: Vec<NamedProduct>) -> Vec<NamedProduct> {
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(name.prefix.clone()));
    names
}

/// A product's name as a key prefix.
fn named_product(name: &str, place: &Place) -> Result<NamedProduct, JobFileError> {
    check_key(name, place)?;
    let bare = name.trim_end_matches('/');
    if bare.is_empty() {
        return Err(place.error("a product's name is not empty"));
    }
    Ok(NamedProduct {
        prefix: format!("{bare}/"),
        place: place.clone(),
    })
}
