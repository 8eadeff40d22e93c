//! The `per-band` layout: the file's name has the band's name in it.

use super::listing::Listing;
use super::resolve::Candidate;

/// The images of a product that have one of the bands in their name.
pub(super) fn candidates(listing: &Listing, bands: &[String]) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (object, info) in listing.objects.iter().enumerate() {
        let path = listing.relative(info);
        let Some(stem) = image_stem(path) else {
            continue;
        };
        for band in bands.iter().filter(|band| has_word(stem, band)) {
            found.push(Candidate {
                band: band.clone(),
                resolution: resolution(path, stem),
                object,
                path: path.to_owned(),
            });
        }
    }
    found
}

/// The words in the names of a product's images that may be names of bands.
pub(super) fn band_words(listing: &Listing) -> Vec<&str> {
    let mut words: Vec<&str> = listing
        .objects
        .iter()
        .filter_map(|info| image_stem(listing.relative(info)))
        .flat_map(|stem| stem.split(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|word| {
            (1..=8).contains(&word.len())
                && word.starts_with(|c: char| c.is_ascii_alphabetic())
                && metres(word).is_none()
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The file name without extension, for GeoTIFF and JPEG2000.
fn image_stem(path: &str) -> Option<&str> {
    let (stem, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    let image = ["tif", "tiff", "jp2"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known));
    image.then_some(stem)
}

/// Whether a band's name stands in a file's name, between characters that are in no name:
/// `B4` is in `l8_B4` and not in `B40`, `AB4` or `B04`.
fn has_word(stem: &str, band: &str) -> bool {
    stem.match_indices(band).any(|(at, _)| {
        let before = stem.get(..at).and_then(|head| head.chars().next_back());
        let after = stem
            .get(at + band.len()..)
            .and_then(|tail| tail.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

/// Metres per pixel from `_10m` in the file's name, or from a directory such as `R10m`.
fn resolution(path: &str, stem: &str) -> Option<f64> {
    let directory = path.rsplit('/').nth(1).unwrap_or("");
    stem.split(|c: char| !c.is_ascii_alphanumeric())
        .rev()
        .find_map(metres)
        .or_else(|| metres(directory.strip_prefix('R').unwrap_or(directory)))
}

fn metres(word: &str) -> Option<f64> {
    let digits = word.strip_suffix('m')?;
    let plain = (1..=4).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let value: f64 = digits.parse().ok()?;
    (plain && value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_hold_bands_as_whole_words() {
        for (stem, band, is) in [
            ("B04", "B04", true),
            ("T21JUK_20231217_B04_10m", "B04", true),
            ("l8_B4", "B4", true),
            ("LC08_L2SP_SR_B4", "SR_B4", true),
            ("l8_B40", "B4", false),
            ("B04", "B4", false),
            ("AB4", "B4", false),
            ("B04-cog", "B04", true),
        ] {
            assert_eq!(has_word(stem, band), is, "{stem} {band}");
        }
    }

    #[test]
    fn resolution_comes_from_the_file_or_its_directory() {
        for (path, metres) in [
            ("T_B04_10m.jp2", Some(10.0)),
            ("R20m/B05.jp2", Some(20.0)),
            ("R20m/T_B05_60m.jp2", Some(60.0)),
            ("B04.tif", None),
            ("m/B04_0m.tif", None),
        ] {
            let stem = image_stem(path).unwrap();
            assert_eq!(resolution(path, stem), metres, "{path}");
        }
        assert_eq!(image_stem("a/B04.TIF"), Some("B04"));
        assert_eq!(image_stem("a/B04.json"), None);
    }
}
