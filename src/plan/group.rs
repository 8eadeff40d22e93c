//! Groups of products: which one a product belongs to, and the job that they have in common.

use std::collections::{BTreeMap, HashMap};

use super::job::Draft;
use super::prepare::Product;
use super::space::manifests;
use crate::store::ObjectInfo;
use crate::task::{GroupBy, JobPayload, Member, Radiometry};
use crate::values::Limits;

/// The tile (`T31TCJ`) or the sensing date (`2024-05-01`) of the product at a key prefix. Both are
/// looked for in the last component of the prefix, which is the product's name, and then in the
/// components before it, as some buckets have them (`tiles/31/T/CJ/2024/5/1/`). `None` where there
/// is neither.
pub(super) fn key(by: GroupBy, prefix: &str) -> Option<String> {
    let parts: Vec<&str> = prefix.split('/').filter(|part| !part.is_empty()).collect();
    let (name, _) = parts.split_last()?;
    match by {
        GroupBy::Tile => words(name).find_map(tile).or_else(|| tile_of_path(&parts)),
        GroupBy::Date => date(name).or_else(|| date_of_path(&parts)),
    }
}

/// Pieces of letters and digits.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(|c: char| !c.is_ascii_alphanumeric())
}

/// A tile of the grid of Sentinel-2: zone, band, and two letters, with or without a `T` before it.
fn tile(word: &str) -> Option<String> {
    let bare = match word.len() {
        6 => word.strip_prefix('T')?,
        5 => word,
        _ => return None,
    };
    let (zone, letters) = bare.split_at_checked(2)?;
    let number: u32 = zone.parse().ok()?;
    let square = |c: char| c.is_ascii_uppercase() && c != 'I' && c != 'O';
    let fits = zone.bytes().all(|c| c.is_ascii_digit())
        && (1..=60).contains(&number)
        && letters.chars().all(square)
        && letters.starts_with(|c: char| ('C'..='X').contains(&c));
    fits.then(|| format!("T{bare}"))
}

fn tile_of_path(parts: &[&str]) -> Option<String> {
    parts.windows(3).find_map(|three| {
        let [zone, band, square] = three else {
            return None;
        };
        (band.len() == 1 && square.len() == 2)
            .then(|| tile(&format!("{zone:0>2}{band}{square}")))
            .flatten()
    })
}

/// The first date of a name: `20240501`, `20240501T105031`, `2024-05-01`, or a day of a year as in
/// `2024122T105031`.
fn date(name: &str) -> Option<String> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut before = false;
    for (at, c) in name.char_indices() {
        let begins = c.is_ascii_digit() && !before;
        before = c.is_ascii_digit();
        if !begins {
            continue;
        }
        let rest = name.get(at..).unwrap_or("");
        let number = |from: usize, to: usize| rest.get(from..to)?.parse::<i16>().ok();
        let found = match digits(rest) {
            8 => day(number(0, 4), number(4, 6), number(6, 8)),
            4 if rest.as_bytes().get(4) == Some(&b'-') => {
                let plain = |range| {
                    let part: Option<&str> = rest.get(range);
                    part.is_some_and(|part| part.bytes().all(|c| c.is_ascii_digit()))
                };
                let dashed = plain(5..7) && rest.as_bytes().get(7) == Some(&b'-') && plain(8..10);
                let dashed = dashed && !plain(10..11);
                dashed
                    .then(|| day(number(0, 4), number(5, 7), number(8, 10)))
                    .flatten()
            }
            7 if rest.as_bytes().get(7) == Some(&b'T') => day_of_year(number(0, 4), number(4, 7)),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn date_of_path(parts: &[&str]) -> Option<String> {
    parts.windows(3).find_map(|three| {
        let [year, month, of_month] = three else {
            return None;
        };
        let number = |part: &str, most: usize| {
            let fits = part.len() <= most && part.bytes().all(|c| c.is_ascii_digit());
            fits.then(|| part.parse::<i16>().ok()).flatten()
        };
        (year.len() == 4)
            .then(|| day(number(year, 4), number(month, 2), number(of_month, 2)))
            .flatten()
    })
}

fn day(year: Option<i16>, month: Option<i16>, day: Option<i16>) -> Option<String> {
    let (month, day) = (i8::try_from(month?).ok()?, i8::try_from(day?).ok()?);
    observed(jiff::civil::Date::new(year?, month, day).ok()?)
}

fn day_of_year(year: Option<i16>, number: Option<i16>) -> Option<String> {
    let first = jiff::civil::Date::new(year?, 1, 1).ok()?;
    let date = first.with().day_of_year(number?).build().ok()?;
    observed(date)
}

/// Eight digits may be any number: dates before the first satellite are none.
fn observed(date: jiff::civil::Date) -> Option<String> {
    (1957..2100)
        .contains(&date.year())
        .then(|| date.to_string())
}

/// A job on several products, while they are being found.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub payload: JobPayload,
    /// The inputs, in the payload's order.
    pub objects: Vec<ObjectInfo>,
    /// The manifests that the inputs are compared with.
    pub manifests: Vec<ObjectInfo>,
    /// Of each key, its position among the inputs: an object stands there once.
    known: HashMap<String, usize>,
    /// Why the job cannot be done; the first reason counts.
    pub broken: Option<String>,
}

impl Gathered {
    /// Adds a product with what the task needs of it, or with why it cannot be used.
    pub fn add(&mut self, name: &str, product: &Product, drafted: Result<Draft, String>) {
        let draft = match drafted {
            Ok(draft) => draft,
            Err(reason) => {
                let reason = format!("its product {name:?} cannot be used: {reason}");
                self.broken.get_or_insert(reason);
                return;
            }
        };
        let mut positions = Vec::with_capacity(draft.objects.len());
        for (at, input) in draft.objects.iter().zip(draft.payload.inputs) {
            let Some(object) = product.listing.objects.get(*at) else {
                continue;
            };
            let next = self.objects.len();
            let position = *self.known.entry(input.key.clone()).or_insert(next);
            if position == next {
                self.objects.push(object.clone());
                self.payload.inputs.push(input);
            }
            positions.push(position);
        }
        let listed = &product.listing.objects;
        let drafted: Vec<&ObjectInfo> =
            (draft.objects.iter().filter_map(|at| listed.get(*at))).collect();
        let of_product = manifests(product, &drafted).into_iter().cloned();
        self.manifests.extend(of_product);
        let mut bands = BTreeMap::new();
        for (band, mut found) in draft.payload.bands {
            found.input = positions.get(found.input).copied().unwrap_or_default();
            bands.insert(band, found);
        }
        if self.payload.members.is_empty() {
            self.payload.radiometry = draft.payload.radiometry;
        } else if draft.payload.radiometry == Radiometry::Dn {
            self.payload.radiometry = Radiometry::Dn;
        }
        for note in draft.payload.notes {
            self.payload.notes.push(format!("{name}: {note}"));
        }
        self.payload.members.push(Member {
            product: name.to_owned(),
            prefix: product.listing.prefix.clone(),
            bands,
        });
        if self.objects.len() > Limits::INPUTS_OF_A_JOB {
            self.broken.get_or_insert_with(|| {
                let most = Limits::INPUTS_OF_A_JOB;
                format!("it has more than {most} inputs; choose fewer products")
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_and_dates_are_read_as_names_have_them() {
        for (prefix, tile, date) in [
            (
                "a/S2A_MSIL2A_20230710T105031_N0509_R051_T31TCJ_20230711T170859.SAFE/",
                Some("T31TCJ"),
                Some("2023-07-10"),
            ),
            (
                "cogs/29/U/NU/2024/5/S2B_29UNU_20240501_0_L2A/",
                Some("T29UNU"),
                Some("2024-05-01"),
            ),
            (
                "tiles/9/U/NU/2024/5/1/0/",
                Some("T09UNU"),
                Some("2024-05-01"),
            ),
            (
                "HLS.S30.T29UNU.2024122T113319.v2.0/",
                Some("T29UNU"),
                Some("2024-05-01"),
            ),
            (
                "LC09_L1TP_204023_20240501_20240502_02_T1/",
                None,
                Some("2024-05-01"),
            ),
            ("mosaic-2024-05-01/", None, Some("2024-05-01")),
            ("S2_T61UNU_20241301/", None, None),
            ("T29UNO_2024-5-01/", None, None),
            ("x120240501/", None, None),
            ("plain/", None, None),
            ("", None, None),
            ("é/T29UNU/", Some("T29UNU"), None),
            ("99999999/T1é2345/", None, None),
        ] {
            assert_eq!(key(GroupBy::Tile, prefix).as_deref(), tile, "{prefix}");
            assert_eq!(key(GroupBy::Date, prefix).as_deref(), date, "{prefix}");
        }
    }
}
