//! The valid name nearest to one that is not.

/// The candidate with the fewest edits from `name`, case and `-`/`_` aside; the first of equals.
pub fn nearest<'a, I>(name: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let wanted = plain(name);
    candidates
        .into_iter()
        .map(|candidate| {
            let plain = plain(candidate);
            // A wrong first letter is rarer than a wrong or missing later one.
            let first = wanted.chars().next() != plain.chars().next();
            let edits = strsim::damerau_levenshtein(&wanted, &plain);
            (2 * edits + usize::from(first), candidate)
        })
        .min_by_key(|(cost, _)| *cost)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_the_one_meant() {
        let indices = ["ndvi", "ndi45", "gndvi"];
        assert_eq!(nearest("nvdi", indices), Some("ndvi"));
        assert_eq!(nearest("NDI-45", indices), Some("ndi45"));
        assert_eq!(nearest("B8", ["B04", "B08", "B8A"]), Some("B08"));
        assert_eq!(nearest("x", []), None);
    }
}
