//! An `output` that is an address of a store.

use std::ops::Range;

use super::destination::{Destination, SCHEME};
use super::document::GroupBy;
use super::model::TaskPlaces;
use super::nearest::nearest;
use super::rows::Bound;
use super::source::JobFileError;
use super::template::Template;

/// The placeholders of a destination besides the task's name and parameters.
const OF_JOBS: [&str; 3] = ["product", "tile", "date"];

/// Reads an `output` that is an address: the name of the file that the processor writes, and where
/// it goes. `None` for a plain file name.
pub(super) fn read(
    text: &str,
    places: &TaskPlaces,
    task: &str,
    group: Option<GroupBy>,
    row: &Bound,
) -> Result<Option<(String, Destination)>, JobFileError> {
    let Some(rest) = text.strip_prefix(SCHEME) else {
        return Ok(None);
    };
    let place = places.field("output");
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if bucket.is_empty() || !bucket.chars().all(plain) || key.is_empty() || key.starts_with('/') {
        return Err(place
            .error("this is no address of results")
            .help("write s3://bucket/prefix/{product}/"));
    }
    let start = text.len() - key.len();
    let at = |span: Range<usize>| place.inside(text, start + span.start..start + span.end);
    let own = |name: &str| match name {
        "task" => Some(task.to_owned()),
        name => row.value(name),
    };
    let key = Template::parse(key)
        .map_err(|error| at(error.span).error(error.message))?
        .bind(own);
    let one_value: &[&str] = match group {
        None => &OF_JOBS,
        Some(GroupBy::Tile) => &["product", "tile"],
        Some(GroupBy::Date) => &["product", "date"],
    };
    for (name, span) in key.placeholders() {
        if !one_value.contains(&name) {
            let known = one_value.iter().copied().chain(["task"]);
            let known = known.chain(row.row.keys().map(String::as_str));
            return Err(at(span)
                .error(format!("unknown placeholder {{{name}}}"))
                .nearest(nearest(name, known)));
        }
    }
    let destination = Destination {
        bucket: bucket.to_owned(),
        below: key.to_string().ends_with('/'),
        key,
    };
    let tells_apart: &[&str] = match group {
        None => &["product"],
        Some(_) => one_value,
    };
    if !tells_apart.iter().any(|name| destination.has(name)) {
        let what = if group.is_some() {
            "groups"
        } else {
            "products"
        };
        return Err(place
            .error(format!("the results of all {what} would have the same key"))
            .help("let {product} stand in it"));
    }
    let local = match destination.below {
        true => format!("{task}.tif"),
        false => format!("{task}{}", destination.extension()),
    };
    Ok(Some((local, destination)))
}
