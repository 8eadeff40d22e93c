//! Band maths: reads bands, evaluates an expression on the task's grid, writes COG and PNG.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::band::Raster;
use super::cog::{Cog, Deflate, Overview};
use super::error::RasterError;
use super::expr::{Expr, ExprError};
use super::expr_eval::Scratch;
use super::geo::{Grid, Window};
use super::incoming::Incoming;
use super::indices::{ColorScale, IndexDef};
use super::quicklook;
use super::resample::{Resample, Resampler, RowScratch, task_grid};
use super::source::{Source, Whole};

/// Rows that one thread computes at a time.
const ROWS: usize = 16;
/// Rows that are computed together while bands are landing: a multiple of [`ROWS`], so that the
/// figures are summed in the same order.
const ROWS_AT_A_TIME: usize = 16 * ROWS;

/// How digital numbers become reflectance: `(dn + add_offset) / quantification`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// QUANTIFICATION_VALUE of the product, such as 10000; not 0.
    pub quantification: f64,
    /// BOA_ADD_OFFSET or RADIO_ADD_OFFSET of the product, such as -1000; 0 for none.
    pub add_offset: f64,
}

/// A band that an expression may name.
#[derive(Debug, Clone, PartialEq)]
pub struct BandInput {
    /// The name in the expression.
    pub name: String,
    /// The file; its first band is read.
    pub path: PathBuf,
    /// How its digital numbers become reflectance; `None` leaves them as they are.
    pub scale: Option<Scale>,
}

/// What to compute.
#[derive(Debug, Clone, PartialEq)]
pub struct BandMath {
    /// The expression over band names.
    pub expr: Expr,
    /// Pixel size of the result in units of the coordinate reference system; `None` for the
    /// finest of the bands.
    pub resolution: Option<f64>,
    /// The part of the grid to compute; `None` for all of it.
    pub window: Option<Window>,
    /// How bands of another resolution are put onto the grid.
    pub resample: Resample,
    /// Colours of the quick-look; `None` stretches viridis over the values.
    pub colors: Option<ColorScale>,
}

impl BandMath {
    /// The expression on the grid of its finest band.
    pub fn new(expr: Expr) -> Self {
        Self {
            expr,
            resolution: None,
            window: None,
            resample: Resample::Nearest,
            colors: None,
        }
    }

    /// An index with the colours that suit it.
    ///
    /// # Errors
    /// Where the formula does not parse.
    pub fn index(index: &IndexDef) -> Result<Self, ExprError> {
        Ok(Self {
            colors: Some(index.colors),
            ..Self::new(index.parse()?)
        })
    }
}

/// Figures of a result, over the 32-bit values that were written.
#[derive(Debug, Clone, PartialEq)]
pub struct BandStats {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pixels with a value.
    pub valid: u64,
    /// Pixels without one.
    pub nodata: u64,
    /// The least value; NaN where there is none.
    pub min: f64,
    /// The greatest value; NaN where there is none.
    pub max: f64,
    /// The mean; NaN where there is none.
    pub mean: f64,
    /// The coordinate reference system, such as `EPSG:32629`.
    pub crs: Option<String>,
    /// Width of a pixel in units of the system.
    pub pixel_size: Option<f64>,
}

/// Evaluates `spec` over `bands` and writes a COG to `out_tif` and a quick-look to `out_png`.
///
/// A pixel is nodata where a band that the expression names is 0, has the file's nodata value or
/// does not reach, and where the value is not a finite number. The work is spread over `threads`
/// threads (at least 1), which end with the call.
///
/// # Errors
/// Where a band is missing, cannot be read or lies elsewhere, where the grid cannot be had, or
/// where the results cannot be written; [`RasterError::is_output`] tells the last.
pub fn band_math(
    spec: &BandMath,
    bands: &[BandInput],
    out_tif: &Path,
    out_png: &Path,
    threads: usize,
) -> Result<BandStats, RasterError> {
    with_threads(threads, || {
        let inputs = inputs(&spec.expr, bands)?;
        let sources = inputs.iter().map(|input| {
            Whole::open(&input.path).map_err(|e| RasterError::io(&input.path, "read", e))
        });
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let sources = sources.iter().map(|source| source as &dyn Source);
        let inputs = inputs.into_iter().zip(sources).collect();
        write(spec, compute(spec, inputs, None)?, out_tif, out_png)
    })
}

/// As [`band_math`], over bands that are still landing: `sources` has one for each of `bands`. Rows
/// are computed as soon as the tiles that they need are there; `progress` is told how many are.
/// The results are the same, byte for byte.
///
/// # Errors
/// As [`band_math`].
pub fn band_math_while_landing(
    spec: &BandMath,
    bands: &[BandInput],
    sources: &[&dyn Source],
    progress: &(dyn Fn(u32) + Sync),
    (out_tif, out_png): (&Path, &Path),
    threads: usize,
) -> Result<BandStats, RasterError> {
    with_threads(threads, || {
        let named = |input: &&BandInput| bands.iter().position(|band| band.name == input.name);
        let inputs = inputs(&spec.expr, bands)?;
        let inputs = inputs
            .into_iter()
            .filter_map(|input| Some((input, *sources.get(named(&input)?)?)))
            .collect();
        write(
            spec,
            compute(spec, inputs, Some(progress))?,
            out_tif,
            out_png,
        )
    })
}

fn with_threads<T: Send>(
    threads: usize,
    work: impl FnOnce() -> Result<T, RasterError> + Send,
) -> Result<T, RasterError> {
    let threads = threads.max(1);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| RasterError::Threads {
            threads,
            what: e.to_string(),
        })?;
    pool.install(work)
}

fn write(
    spec: &BandMath,
    (grid, values, stats): (Grid, Vec<f32>, BandStats),
    out_tif: &Path,
    out_png: &Path,
) -> Result<BandStats, RasterError> {
    let cog = Cog {
        width: grid.width as usize,
        height: grid.height as usize,
        samples: &values,
        geo: grid.geo.as_ref(),
        nodata: "nan",
        overview: Overview::Mean,
        deflate: Deflate::Fast,
    };
    cog.write(out_tif)?;
    quicklook::write(out_png, grid.width as usize, &values, spec.colors)?;
    Ok(stats)
}

/// The inputs the expression names, in its order.
fn inputs<'a>(expr: &Expr, bands: &'a [BandInput]) -> Result<Vec<&'a BandInput>, RasterError> {
    expr.bands()
        .iter()
        .map(|name| {
            bands.iter().find(|b| b.name == *name).ok_or_else(|| {
                let known: Vec<&str> = bands.iter().map(|b| b.name.as_str()).collect();
                ExprError::unknown_band(expr, name, &known).into()
            })
        })
        .collect()
}

/// Computes all rows; where `progress` wants to know, some at a time as the bands come in.
fn compute(
    spec: &BandMath,
    inputs: Vec<(&BandInput, &dyn Source)>,
    progress: Option<&(dyn Fn(u32) + Sync)>,
) -> Result<(Grid, Vec<f32>, BandStats), RasterError> {
    if let Some((input, _)) = inputs.iter().find(|(i, _)| {
        i.scale
            .is_some_and(|s| s.quantification == 0.0 || !s.quantification.is_finite())
    }) {
        return Err(RasterError::band(
            &input.name,
            "its quantification is 0 or not a finite number",
        ));
    }
    let mut bands: Vec<Incoming<'_>> = inputs
        .par_iter()
        .map(|(input, source)| Incoming::open(&input.path, *source))
        .collect::<Result<_, _>>()?;
    let named: Vec<(&str, &Raster)> = inputs
        .iter()
        .zip(&bands)
        .map(|((input, _), band)| (input.name.as_str(), &band.raster))
        .collect();
    let grid = task_grid(&named, spec.resolution)?;
    let window = grid
        .pixels(spec.window.as_ref())
        .map_err(RasterError::Grid)?;
    let needed: Vec<Vec<u32>> = bands
        .iter()
        .map(|band| Resampler::new(&band.raster, &grid, window, spec.resample).last_rows())
        .collect();

    let (width, height) = (window.width as usize, window.height as usize);
    let at_a_time = progress.map_or(height, |_| ROWS_AT_A_TIME);
    let mut values = vec![f32::NAN; width * height];
    // Summed in order, so that the figures do not depend on the number of threads.
    let mut sums = Sums::default();
    for (block, values) in values.chunks_mut(width * at_a_time).enumerate() {
        let rows = block * at_a_time..block * at_a_time + values.len() / width;
        bands
            .par_iter_mut()
            .zip(&needed)
            .try_for_each(|(band, needed)| {
                let needed = needed.get(rows.clone()).unwrap_or_default();
                band.decode_to(needed.iter().copied().max().unwrap_or(0))
            })?;
        let views: Vec<View> = inputs
            .iter()
            .zip(&bands)
            .map(|((input, _), band)| View {
                pixels: Resampler::new(&band.raster, &grid, window, spec.resample),
                scale: input.scale,
            })
            .collect();
        let partial: Vec<Sums> = values
            .par_chunks_mut(width * ROWS)
            .enumerate()
            .map_init(Work::default, |work, (block, part)| {
                let mut sums = Sums::default();
                let from = rows.start + block * ROWS;
                for (row, out) in (from..).zip(part.chunks_mut(width)) {
                    work.row(&spec.expr, &views, row, out);
                    sums.add(out);
                }
                sums
            })
            .collect();
        sums = partial.iter().fold(sums, Sums::merge);
        if let Some(progress) = progress {
            progress(u32::try_from(rows.end).unwrap_or(u32::MAX));
        }
    }
    let cut = grid.cut(window);
    let stats = sums.stats(&cut);
    Ok((cut, values, stats))
}

/// A band on the task's grid, and how it is scaled.
struct View<'a> {
    pixels: Resampler<'a>,
    scale: Option<Scale>,
}

/// The working memory of one thread.
#[derive(Default)]
struct Work {
    bands: Vec<Vec<f64>>,
    nodata: Vec<bool>,
    result: Vec<f64>,
    expr: Scratch,
    rows: RowScratch,
}

impl Work {
    fn row(&mut self, expr: &Expr, views: &[View<'_>], row: usize, out: &mut [f32]) {
        self.bands.resize_with(views.len(), Vec::new);
        self.nodata.clear();
        self.nodata.resize(out.len(), false);
        self.result.resize(out.len(), 0.0);
        for (band, view) in self.bands.iter_mut().zip(views) {
            band.resize(out.len(), 0.0);
            view.pixels.row(row, band, &mut self.rows);
            for (value, nodata) in band.iter_mut().zip(&mut self.nodata) {
                *nodata |= value.is_nan();
            }
            if let Some(scale) = view.scale {
                // The sum comes first: equal and opposite reflectances then cancel exactly.
                for value in band.iter_mut() {
                    *value = (*value + scale.add_offset) / scale.quantification;
                }
            }
        }
        let rows: Vec<&[f64]> = self.bands.iter().map(Vec::as_slice).collect();
        expr.eval_row(&rows, &mut self.result, &mut self.expr);
        for ((out, value), nodata) in out.iter_mut().zip(&self.result).zip(&self.nodata) {
            let value = *value as f32;
            *out = if *nodata || !value.is_finite() {
                f32::NAN
            } else {
                value
            };
        }
    }
}

/// Running figures of some rows.
#[derive(Debug, Clone, Copy)]
struct Sums {
    valid: u64,
    sum: f64,
    min: f32,
    max: f32,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            valid: 0,
            sum: 0.0,
            min: f32::INFINITY,
            max: f32::NEG_INFINITY,
        }
    }
}

impl Sums {
    fn add(&mut self, values: &[f32]) {
        for v in values.iter().filter(|v| !v.is_nan()) {
            self.valid += 1;
            self.sum += f64::from(*v);
            self.min = self.min.min(*v);
            self.max = self.max.max(*v);
        }
    }

    fn merge(self, other: &Self) -> Self {
        Self {
            valid: self.valid + other.valid,
            sum: self.sum + other.sum,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    fn stats(&self, grid: &Grid) -> BandStats {
        let pixels = u64::from(grid.width) * u64::from(grid.height);
        let any = |v: f32| {
            if self.valid > 0 {
                f64::from(v)
            } else {
                f64::NAN
            }
        };
        BandStats {
            width: grid.width,
            height: grid.height,
            valid: self.valid,
            nodata: pixels - self.valid,
            min: any(self.min),
            max: any(self.max),
            mean: self.sum / self.valid as f64,
            crs: grid
                .geo
                .as_ref()
                .and_then(|g| g.crs.as_ref())
                .map(ToString::to_string),
            pixel_size: grid.geo.as_ref().map(|g| g.transform.pixel_width),
        }
    }
}
