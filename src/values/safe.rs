//! Keys of SAFE products.

/// The name of a product's manifest below the product's prefix.
const MANIFEST: &str = "manifest.safe";

/// The key of the manifest that speaks of an object, and the object's path in it: for keys below
/// a component that ends in `.SAFE`. `None` for others, and for the manifest itself.
pub fn manifest_of(key: &str) -> Option<(String, &str)> {
    const END: &str = ".SAFE/";
    let product = key.find(END)? + END.len();
    let (prefix, path) = key.split_at(product);
    let inside = !path.is_empty() && path != MANIFEST;
    inside.then(|| (format!("{prefix}{MANIFEST}"), path))
}

/// Whether a key is that of such a manifest.
pub fn is_manifest(key: &str) -> bool {
    key.strip_suffix(MANIFEST)
        .is_some_and(|prefix| prefix.ends_with(".SAFE/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_speaks_of_what_lies_beside_it() {
        let of = |key| manifest_of(key).map(|(manifest, path)| (manifest, path.to_owned()));
        assert_eq!(
            of("a/X.SAFE/GRANULE/b.jp2"),
            Some(("a/X.SAFE/manifest.safe".into(), "GRANULE/b.jp2".into()))
        );
        for key in ["a/b.jp2", "X.SAFE", "X.SAFE/", "X.SAFE/manifest.safe", ""] {
            assert_eq!(of(key), None, "{key}");
        }
        assert!(is_manifest("a/X.SAFE/manifest.safe"));
        assert!(!is_manifest("manifest.safe") && !is_manifest("X.SAFE/a/manifest.safe"));
    }
}
