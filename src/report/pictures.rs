//! Quick-looks of the results, inside of the page.

use std::io::Read;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use maud::{Markup, html};
use rayon::prelude::*;

use super::story::Story;
use super::thumbnail;
use super::words::{count, shown};

/// So many pictures, bytes of a file, and bytes of all on the page.
const PICTURES: usize = 24;
const LARGEST: u64 = 20_000_000;
const ALL: usize = 2_500_000;

/// A picture that is shown.
struct Picture<'a> {
    name: &'a str,
    file: String,
    data: String,
    size: (usize, usize),
}

/// The quick-looks, evenly chosen where there are too many; nothing if there is none.
pub fn pictures(story: &Story) -> Markup {
    let all: Vec<(&str, &Path)> = (story.jobs.iter())
        .filter(|job| !job.has_failed())
        .flat_map(|job| {
            job.outputs
                .iter()
                .map(|path| (job.name.as_str(), path.as_path()))
        })
        .filter(|(_, path)| {
            path.extension()
                .is_some_and(|e| e.eq_ignore_ascii_case("png"))
        })
        .collect();
    let (mut shown_ones, mut bytes) = (Vec::new(), 0);
    let wanted = all.len().min(PICTURES);
    let chosen: Vec<_> = (0..wanted).map(|n| all[n * all.len() / wanted]).collect();
    let small: Vec<_> = chosen
        .par_iter()
        .map(|(_, path)| read(path).and_then(thumbnail::of))
        .collect();
    for ((name, path), small) in chosen.into_iter().zip(small) {
        let Some(small) = small else {
            continue;
        };
        if bytes + small.png.len() > ALL {
            continue;
        }
        bytes += small.png.len();
        shown_ones.push(Picture {
            name,
            file: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            data: BASE64_STANDARD.encode(&small.png),
            size: (small.width, small.height),
        });
    }
    let left = all.len() - shown_ones.len();
    html! {
        @if !all.is_empty() {
            h2 { "Quick-looks" }
            @if left > 0 {
                p.soft { (shown_ones.len()) " of " (count(all.len() as u64, "quick-look")) " are shown; " (left) " are left out." }
            }
            div.pics {
                @for picture in &shown_ones {
                    figure {
                        img loading="lazy" width=(picture.size.0) height=(picture.size.1)
                            alt={ "Quick-look of " (shown(picture.name)) }
                            src={ "data:image/png;base64," (picture.data) };
                        figcaption { bdi { (shown(picture.name)) } @if all.len() > story.jobs.len() { " " bdi { (shown(&picture.file)) } } }
                    }
                }
            }
        }
    }
}

/// A file that is not too large.
fn read(path: &Path) -> Option<Vec<u8>> {
    // To open what is no file may take for ever.
    if !std::fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let file = std::fs::File::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LARGEST).then_some(bytes)
}
