//! Names for products: one path component each, unique in a run.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::task::is_result_name;

/// A file of the run itself beside the products' directories.
const TAKEN: &str = "summary.json";

/// The names given so far, by hash: sixteen bytes each, for a million products. Names whose hashes
/// meet by chance only become longer.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Hash of a name to the hash of the prefix that has it.
    given: HashMap<u64, u64>,
}

impl Names {
    /// The name of the product at a key prefix: its last component where that is free, else as
    /// many components as it takes, joined with `_`. The same prefix has the same name always.
    pub fn of(&mut self, prefix: &str) -> String {
        let owner = xxh3_64(prefix.as_bytes());
        let parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
        let whole = parts.join("_");
        let longer = (1..=parts.len())
            .map(|count| parts.get(parts.len() - count..).unwrap_or(&[]).join("_"));
        let numbered = (2u64..).map(|number| format!("{whole}~{number}"));
        for name in longer.chain(numbered) {
            let name = fit(&name);
            let hash = xxh3_64(name.as_bytes());
            if name != TAKEN && *self.given.entry(hash).or_insert(owner) == owner {
                return name;
            }
        }
        // The numbers above do not run out.
        whole
    }
}

/// Makes a name one that may be a directory.
fn fit(name: &str) -> String {
    if is_result_name(name) {
        return name.to_owned();
    }
    let mut fit: String = name
        .chars()
        .map(|c| if c == '/' || c.is_control() { '_' } else { c })
        .collect();
    if fit.is_empty() || fit == "." || fit == ".." || fit.starts_with('-') {
        fit.insert(0, '_');
    }
    if fit.len() > 200 {
        let end = (0..=180).rev().find(|end| fit.is_char_boundary(*end));
        fit.truncate(end.unwrap_or(0));
        fit.push_str(&format!("~{:016x}", xxh3_64(name.as_bytes())));
    }
    fit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_unique_and_stay() {
        let mut names = Names::default();
        assert_eq!(names.of("a/X.SAFE/"), "X.SAFE");
        assert_eq!(names.of("b/X.SAFE/"), "b_X.SAFE");
        assert_eq!(names.of("c/b/X.SAFE/"), "c_b_X.SAFE");
        assert_eq!(names.of("c_b_X.SAFE/"), "c_b_X.SAFE~2");
        assert_eq!(names.of("/b//X.SAFE/"), "b_X.SAFE~2");
        assert_eq!(names.of("b/X.SAFE/"), "b_X.SAFE");
        assert_eq!(names.of("a/X.SAFE/"), "X.SAFE");
    }

    #[test]
    fn every_name_may_be_a_directory() {
        let mut names = Names::default();
        let long = "é".repeat(500);
        for prefix in [
            "..",
            "a/..",
            ".",
            "a/.",
            "/",
            "",
            "-rf/",
            "a\nb/",
            "summary.json/",
            &long,
        ] {
            let name = names.of(prefix);
            assert!(
                is_result_name(&name) && name != TAKEN,
                "{prefix:?}: {name:?}"
            );
        }
    }
}
