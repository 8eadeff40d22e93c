//! Which object for which band.

use crate::task::Task;

/// An image of the product that could be a band.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Candidate {
    /// The band.
    pub band: String,
    /// Metres per pixel; `None` where no name tells.
    pub resolution: Option<f64>,
    /// Its position in the product's listing.
    pub object: usize,
    /// Its key below the product.
    pub path: String,
}

impl Candidate {
    fn depth(&self) -> usize {
        self.path.matches('/').count()
    }
}

/// The object chosen for a band.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    /// The name that the task uses.
    pub band: String,
    /// The position in the product's listing.
    pub object: usize,
    /// Metres per pixel, where known.
    pub resolution: Option<f64>,
    /// The band that it really is, where another stands in.
    pub stands_in: Option<String>,
}

/// Why there is no choice.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NoChoice {
    /// No candidate for a band.
    Missing(String),
    /// Several that nothing tells apart.
    Ambiguous(String),
}

/// Chooses an object for each band of a task. On the task's grid, which is its resolution or else
/// the finest of its bands, each band comes in that resolution, else in the coarsest finer one,
/// else in the finest coarser one. `sentinel2`: B8A stands in for B08 where that is absent, and at
/// 60 m, where Sentinel-2 has none. The second value are notes for the user.
pub(super) fn choose(
    task: &Task,
    candidates: &[Candidate],
    sentinel2: bool,
) -> Result<(Vec<Choice>, Vec<String>), NoChoice> {
    let mut pools = Vec::with_capacity(task.bands.len());
    for band in &task.bands {
        let mut pool = pool(candidates, band);
        let mut stands_in = None;
        if sentinel2 && band == "B08" {
            let other = self::pool(candidates, "B8A");
            let has =
                |pool: &[&Candidate], metres| pool.iter().any(|one| one.resolution == Some(metres));
            let coarse = task.resolution == Some(60.0) && !has(&pool, 60.0) && has(&other, 60.0);
            if coarse || (pool.is_empty() && !other.is_empty()) {
                pool = other;
                stands_in = Some("B8A".to_owned());
            }
        }
        if pool.is_empty() {
            return Err(NoChoice::Missing(band.clone()));
        }
        pools.push((band, pool, stands_in));
    }
    let all = pools.iter().flat_map(|(_, pool, _)| pool.iter());
    let finest = all.filter_map(|one| one.resolution).min_by(f64::total_cmp);
    let grid = task.resolution.or(finest);

    let mut notes = Vec::new();
    let mut choices = Vec::with_capacity(pools.len());
    for (band, pool, stands_in) in pools {
        let one = pick(band, &pool, grid)?;
        if let Some(other) = &stands_in {
            notes.push(stand_in_note(band, other, one.resolution));
        }
        choices.push(Choice {
            band: band.clone(),
            object: one.object,
            resolution: one.resolution,
            stands_in,
        });
    }
    Ok((choices, notes))
}

fn stand_in_note(band: &str, other: &str, resolution: Option<f64>) -> String {
    match resolution {
        Some(60.0) => {
            format!("{other} stands in for {band} at 60 m: Sentinel-2 has no 60 m {band}")
        }
        Some(metres) => format!(
            "{other} stands in for {band} at {metres} m: the store holds no {band} of this product"
        ),
        None => format!("{other} stands in for {band}"),
    }
}

fn pool<'a>(candidates: &'a [Candidate], band: &str) -> Vec<&'a Candidate> {
    candidates.iter().filter(|one| one.band == band).collect()
}

fn pick<'a>(
    band: &str,
    pool: &[&'a Candidate],
    grid: Option<f64>,
) -> Result<&'a Candidate, NoChoice> {
    let rank = |one: &Candidate| match (one.resolution, grid) {
        (None, _) => (0, 0.0),
        (Some(metres), Some(grid)) if metres == grid => (0, 0.0),
        (Some(metres), Some(grid)) if metres < grid => (1, grid - metres),
        (Some(metres), _) => (2, metres),
    };
    let ranks = pool.iter().map(|one| rank(one));
    let lowest = ranks.min_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    // A preview or an overview of the same band lies deeper than the band itself.
    let of_rank = |one: &&&Candidate| Some(rank(one)) == lowest;
    let mut best: Vec<&&Candidate> = pool.iter().filter(of_rank).collect();
    best.sort_by_key(|one| one.depth());
    match best.as_slice() {
        [] => Err(NoChoice::Missing(band.to_owned())),
        [first, second, ..] if first.depth() == second.depth() => {
            Err(NoChoice::Ambiguous(format!(
                "band {band} could be {:?} or {:?}; keep one of them in the product's directory, or name the files in `objects` and use a command",
                first.path, second.path
            )))
        }
        [first, ..] => Ok(first),
    }
}
