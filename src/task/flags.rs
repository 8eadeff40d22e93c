//! What the command line asks for, over or instead of a job file.

use std::path::PathBuf;
use std::sync::Arc;

use crate::values::connections::Connections;
use crate::values::order::Order;

use super::document::Radiometry;
use super::source::{JobFileError, Place, Source};

/// The flags that say what to do; those of the store are not among them.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--product`: as typed; names may be separated by commas. Replaces the file's products.
    pub products: Vec<String>,
    /// `--index`: as typed; names may be separated by commas. Replaces the file's tasks.
    pub indices: Vec<String>,
    /// `--radiometry`: for all tasks.
    pub radiometry: Option<Radiometry>,
    /// `--out`.
    pub out: Option<PathBuf>,
    /// `--staging`.
    pub staging: Option<PathBuf>,
    /// `--staging-limit`: bytes; 0 lifts the limit of the job file.
    pub staging_limit: Option<u64>,
    /// `--keep`.
    pub keep: bool,
    /// `--workers`.
    pub workers: Option<usize>,
    /// `--connections`.
    pub connections: Option<Connections>,
    /// `--order`.
    pub order: Option<Order>,
    /// Whether a function of the caller processes tasks that name no processor.
    pub native: bool,
}

/// A word of a flag's value, and its place.
pub(super) struct Word {
    pub text: String,
    pub place: Place,
}

/// The comma-separated words of all values of a flag.
pub(super) fn words(flag: &str, values: &[String]) -> Result<Vec<Word>, JobFileError> {
    let mut words = Vec::new();
    for value in values {
        let source: Arc<Source> = Source::new(flag, value.as_str());
        let mut start = 0;
        for part in value.split(',') {
            let text = part.trim();
            let at = start + (part.len() - part.trim_start().len());
            let place = Place::new(&source, at..at + text.len());
            if text.is_empty() {
                return Err(place.error("an empty name"));
            }
            let text = text.to_owned();
            words.push(Word { text, place });
            start += part.len() + 1;
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_know_their_place_in_the_flag() {
        let found = words("--index", &["ndvi, gndvi".into(), "ndi45".into()]).unwrap();
        let texts: Vec<&str> = found.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(texts, ["ndvi", "gndvi", "ndi45"]);
        assert_eq!(found[1].place.span(), 6..11);
        let error = words("--index", &["ndvi,,x".into()]).err().unwrap();
        assert_eq!(error.position(), Some((1, 6)));
    }
}
