//! Reads the text format of Prometheus, strictly: what a scraper may refuse fails a test.

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a scrape, by name with labels as they are written, and the types of families.
#[derive(Debug, Default)]
pub struct Scrape {
    pub samples: BTreeMap<String, f64>,
    pub types: BTreeMap<String, String>,
}

impl Scrape {
    /// The value of a sample, such as `cotec_jobs{state="done"}`.
    pub fn value(&self, sample: &str) -> f64 {
        *self
            .samples
            .get(sample)
            .unwrap_or_else(|| panic!("no {sample} in {:#?}", self.samples))
    }
}

fn is_name(text: &str) -> bool {
    let first = text.chars().next();
    first.is_some_and(|c| c.is_ascii_lowercase())
        && (text.chars()).all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// The labels of a sample; what follows the closing brace.
fn labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let (mut found, mut rest) = (Vec::new(), text);
    loop {
        let (name, after) = rest.split_once("=\"")?;
        let (mut value, mut chars) = (String::new(), after.char_indices());
        let end = loop {
            match chars.next()? {
                (at, '"') => break at,
                (_, '\\') => match chars.next()?.1 {
                    'n' => value.push('\n'),
                    c @ ('\\' | '"') => value.push(c),
                    _ => return None,
                },
                (_, '\n') => return None,
                (_, c) => value.push(c),
            }
        };
        if !is_name(name) || name.starts_with("__") {
            return None;
        }
        found.push((name.to_owned(), value));
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return Some((found, rest.strip_prefix('}')?)),
        }
    }
}

/// Reads a scrape.
///
/// # Errors
/// The first line that is not as it should be.
pub fn parse(text: &str) -> Result<Scrape, String> {
    if !text.ends_with('\n') {
        return Err("the last line has no end".to_owned());
    }
    let mut scrape = Scrape::default();
    let mut helped = BTreeSet::new();
    let mut family: Option<(String, String)> = None;
    for line in text.lines() {
        let wrong = |what: &str| Err(format!("{what}: {line}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let Some((name, help)) = rest.split_once(' ') else {
                return wrong("no help");
            };
            if !is_name(name) || help.is_empty() || !helped.insert(name.to_owned()) {
                return wrong("help");
            }
            family = None;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else {
                return wrong("no type");
            };
            if !["counter", "gauge", "histogram"].contains(&kind) {
                return wrong("type");
            }
            let again = scrape.types.insert(name.to_owned(), kind.to_owned());
            if again.is_some() || !helped.contains(name) {
                return wrong("a family twice, or without help");
            }
            if (kind == "counter") != name.ends_with("_total") {
                return wrong("a counter ends in _total, and nothing else does");
            }
            family = Some((name.to_owned(), kind.to_owned()));
        } else {
            let Some((family, kind)) = &family else {
                return wrong("a sample of no family");
            };
            let Some(at) = line.find(['{', ' ']) else {
                return wrong("no value");
            };
            let (name, rest) = line.split_at(at);
            let rest = match rest.strip_prefix('{') {
                Some(rest) => match labels(rest) {
                    Some((_, rest)) => rest,
                    None => return wrong("labels"),
                },
                None => rest,
            };
            let own = match (kind.as_str(), name.strip_prefix(family.as_str())) {
                ("histogram", Some(end)) => ["_bucket", "_sum", "_count"].contains(&end),
                (_, Some(end)) => end.is_empty(),
                (_, None) => false,
            };
            let value = rest.strip_prefix(' ').map(str::parse::<f64>);
            let (true, Some(Ok(value))) = (own, value) else {
                return wrong("a sample");
            };
            if value < 0.0 || !value.is_finite() {
                return wrong("a value");
            }
            let sample = line[..line.len() - rest.len()].to_owned();
            if scrape.samples.insert(sample, value).is_some() {
                return wrong("a sample twice");
            }
        }
    }
    for (name, kind) in &scrape.types {
        if kind == "histogram" {
            histogram(&scrape, name)?;
        }
    }
    Ok(scrape)
}

/// Buckets only grow, and the last one holds everything.
fn histogram(scrape: &Scrape, name: &str) -> Result<(), String> {
    let start = format!("{name}_bucket{{le=\"");
    let mut buckets: Vec<(f64, f64)> = Vec::new();
    for (sample, value) in &scrape.samples {
        if let Some(bound) = sample.strip_prefix(&start) {
            let bound = bound.trim_end_matches("\"}").parse();
            buckets.push((bound.map_err(|_| sample.clone())?, *value));
        }
    }
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let last = buckets.last().copied();
    let all = scrape.samples.get(&format!("{name}_count")).copied();
    let grows = buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1);
    let whole = last.is_some_and(|(bound, n)| bound == f64::INFINITY && Some(n) == all);
    match grows && whole && scrape.samples.contains_key(&format!("{name}_sum")) {
        true => Ok(()),
        false => Err(format!("histogram {name}: {buckets:?}")),
    }
}
