//! Band maths: reads bands, evaluates an expression on the task's grid, writes COG and PNG.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::band::Raster;
use super::cog::{Cog, Deflate, Overview};
use super::error::RasterError;
use super::expr::{Expr, ExprError};
use super::expr_eval::Scratch;
use super::geo::{Grid, Window};
use super::indices::{ColorScale, IndexDef};
use super::quicklook;
use super::read::read_band;
use super::resample::{Resample, Resampler, RowScratch, task_grid};

/// Rows that one thread computes at a time.
const ROWS: usize = 16;

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
    let threads = threads.max(1);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| RasterError::Threads {
            threads,
            what: e.to_string(),
        })?;
    pool.install(|| {
        let (grid, values, stats) = compute(spec, bands)?;
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
    })
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

fn compute(
    spec: &BandMath,
    bands: &[BandInput],
) -> Result<(Grid, Vec<f32>, BandStats), RasterError> {
    let inputs = inputs(&spec.expr, bands)?;
    if let Some(input) = inputs.iter().find(|i| {
        i.scale
            .is_some_and(|s| s.quantification == 0.0 || !s.quantification.is_finite())
    }) {
        return Err(RasterError::band(
            &input.name,
            "its quantification is 0 or not a finite number",
        ));
    }
    let rasters: Vec<Raster> = inputs
        .par_iter()
        .map(|i| read_band(&i.path))
        .collect::<Result<_, _>>()?;
    let named: Vec<(&str, &Raster)> = inputs
        .iter()
        .map(|i| i.name.as_str())
        .zip(&rasters)
        .collect();
    let grid = task_grid(&named, spec.resolution)?;
    let window = grid
        .pixels(spec.window.as_ref())
        .map_err(RasterError::Grid)?;
    let views: Vec<View> = inputs
        .iter()
        .zip(&rasters)
        .map(|(input, raster)| View {
            pixels: Resampler::new(raster, &grid, window, spec.resample),
            scale: input.scale,
        })
        .collect();

    let width = window.width as usize;
    let mut values = vec![f32::NAN; width * window.height as usize];
    let partial: Vec<Sums> = values
        .par_chunks_mut(width * ROWS)
        .enumerate()
        .map_init(Work::default, |work, (block, rows)| {
            let mut sums = Sums::default();
            for (row, out) in (block * ROWS..).zip(rows.chunks_mut(width)) {
                work.row(&spec.expr, &views, row, out);
                sums.add(out);
            }
            sums
        })
        .collect();
    // Summed in order, so that the figures do not depend on the number of threads.
    let sums = partial.iter().fold(Sums::default(), Sums::merge);
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
