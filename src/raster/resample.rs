//! Puts a band onto the task's grid, one row of the grid at a time.

use super::band::{MAX_PIXELS, Raster};
use super::error::RasterError;
use super::geo::{Crs, Geo, GeoTransform, Grid, PixelWindow, snap};

/// How a band of another resolution is put onto the task's grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Resample {
    /// The pixel that holds the centre of the grid's pixel.
    #[default]
    Nearest,
    /// The four pixels around the centre, weighted by distance; nodata among them is left out.
    Bilinear,
    /// All pixels under the grid's pixel, weighted by area; nodata among them is left out.
    Average,
}

/// The grid of a task: the finest resolution of its bands, or the one asked for.
///
/// `bands` are names and rasters. With `resolution`, the grid is that of the first band that has
/// it; where none has, the finest band's extent is divided anew.
///
/// # Errors
/// Where there is no band, where bands lie in different coordinate reference systems, or where
/// a resolution is asked for and the bands have no georeference.
pub fn task_grid(bands: &[(&str, &Raster)], resolution: Option<f64>) -> Result<Grid, RasterError> {
    let mut system: Option<(&str, &Crs)> = None;
    for (name, raster) in bands {
        let Some(crs) = raster.geo.as_ref().and_then(|g| g.crs.as_ref()) else {
            continue;
        };
        match system {
            Some((first, known)) if !known.agrees_with(crs) => {
                return Err(RasterError::band(
                    name,
                    format!(
                        "it is in {crs} and band {first} in {known}; bands of one task must share \
                         a coordinate reference system: warp one first"
                    ),
                ));
            }
            Some(_) => {}
            None => system = Some((name, crs)),
        }
    }
    let size = |r: &Raster| match &r.geo {
        Some(g) => g.transform.pixel_width,
        None => f64::INFINITY,
    };
    // Georeferenced bands first, finest pixels first, then most columns.
    let finest = bands
        .iter()
        .map(|(_, r)| *r)
        .min_by(|a, b| {
            size(a)
                .total_cmp(&size(b))
                .then_with(|| b.width.cmp(&a.width))
        })
        .ok_or_else(|| RasterError::Grid("there is no band to compute on".to_owned()))?;
    let Some(wanted) = resolution else {
        return Ok(finest.grid());
    };
    if !(wanted.is_finite() && wanted > 0.0) {
        return Err(RasterError::Grid(format!(
            "resolution {wanted} is not a length greater than 0"
        )));
    }
    let has = |r: &Raster| {
        r.geo.as_ref().is_some_and(|g| {
            (g.transform.pixel_width / wanted - 1.0).abs() < 1e-9
                && (g.transform.pixel_height / wanted - 1.0).abs() < 1e-9
        })
    };
    if let Some((_, raster)) = bands.iter().find(|(_, r)| has(r)) {
        return Ok(raster.grid());
    }
    divided(finest, wanted)
}

/// The extent of a band in pixels of `resolution`.
fn divided(band: &Raster, resolution: f64) -> Result<Grid, RasterError> {
    let Some(geo) = &band.geo else {
        return Err(RasterError::Grid(
            "a resolution needs bands with a georeference, and these have none".to_owned(),
        ));
    };
    let t = &geo.transform;
    let count =
        |pixels: u32, size: f64| snap(f64::from(pixels) * size / resolution).ceil().max(1.0);
    let (width, height) = (
        count(band.width, t.pixel_width),
        count(band.height, t.pixel_height),
    );
    if width * height > MAX_PIXELS as f64 {
        return Err(RasterError::Grid(format!(
            "resolution {resolution} would make a grid of {width} x {height} pixels, more than the \
             {} allowed; ask for a coarser one or a window",
            MAX_PIXELS
        )));
    }
    Ok(Grid {
        width: width as u32,
        height: height as u32,
        geo: Some(Geo {
            transform: GeoTransform {
                pixel_width: resolution,
                pixel_height: resolution,
                ..*t
            },
            crs: geo.crs.clone(),
        }),
    })
}

/// The source pixels that one column or row of the grid takes its value from, with weights.
#[derive(Debug, Clone, PartialEq)]
struct Taps {
    first: u32,
    /// Weight of the first pixel, the last pixel, and whether pixels between count fully.
    count: u32,
    first_weight: f64,
    last_weight: f64,
}

impl Taps {
    fn one(pixel: f64) -> Self {
        Self {
            first: pixel as u32,
            count: 1,
            first_weight: 1.0,
            last_weight: 1.0,
        }
    }

    fn weight(&self, i: u32) -> f64 {
        if i == 0 {
            self.first_weight
        } else if i + 1 == self.count {
            self.last_weight
        } else {
            1.0
        }
    }
}

/// One axis of the mapping from grid to band: `None` where the grid reaches beyond the band.
fn axis(first: u32, count: u32, map: Axis, source: u32, how: Resample) -> Vec<Option<Taps>> {
    let size = f64::from(source);
    (first..first.saturating_add(count))
        .map(|i| {
            let centre = snap(map.offset + (f64::from(i) + 0.5) * map.scale);
            if !(centre >= 0.0 && centre < size) {
                return None;
            }
            match how {
                Resample::Nearest => Some(Taps::one(centre.floor())),
                Resample::Bilinear => {
                    let left = (centre - 0.5).floor();
                    let share = centre - 0.5 - left;
                    if share == 0.0 || left < 0.0 || left + 1.0 >= size {
                        return Some(Taps::one(centre.floor()));
                    }
                    Some(Taps {
                        first: left as u32,
                        count: 2,
                        first_weight: 1.0 - share,
                        last_weight: share,
                    })
                }
                Resample::Average => {
                    let from = snap(map.offset + f64::from(i) * map.scale).max(0.0);
                    let to = snap(map.offset + f64::from(i + 1) * map.scale).min(size);
                    let (a, b) = (from.floor(), to.ceil());
                    if b - a <= 1.0 {
                        return Some(Taps::one(centre.floor()));
                    }
                    Some(Taps {
                        first: a as u32,
                        count: (b - a) as u32,
                        first_weight: 1.0 - (from - a),
                        last_weight: 1.0 - (b - to),
                    })
                }
            }
        })
        .collect()
}

/// Band pixel = offset + grid pixel * scale.
#[derive(Debug, Clone, Copy)]
struct Axis {
    offset: f64,
    scale: f64,
}

/// A band seen through the task's grid.
#[derive(Debug)]
pub(crate) struct Resampler<'a> {
    raster: &'a Raster,
    columns: Vec<Option<Taps>>,
    rows: Vec<Option<Taps>>,
    /// The band's pixels are the grid's from this column on: nothing to compute.
    direct: Option<usize>,
}

/// The working memory of a resampler, to be used again for the next row.
#[derive(Debug, Default)]
pub(crate) struct RowScratch {
    source: Vec<f64>,
    sum: Vec<f64>,
    weight: Vec<f64>,
}

impl<'a> Resampler<'a> {
    /// Maps `window` of `grid` onto `raster`: by georeference where both have one, else by the
    /// ratio of their sizes.
    pub fn new(raster: &'a Raster, grid: &Grid, window: PixelWindow, how: Resample) -> Self {
        let (x, y) = match (&raster.geo, &grid.geo) {
            (Some(band), Some(task)) => {
                let (b, g) = (&band.transform, &task.transform);
                (
                    Axis {
                        offset: (g.origin_x - b.origin_x) / b.pixel_width,
                        scale: g.pixel_width / b.pixel_width,
                    },
                    Axis {
                        offset: (b.origin_y - g.origin_y) / b.pixel_height,
                        scale: g.pixel_height / b.pixel_height,
                    },
                )
            }
            _ => (
                Axis {
                    offset: 0.0,
                    scale: f64::from(raster.width) / f64::from(grid.width.max(1)),
                },
                Axis {
                    offset: 0.0,
                    scale: f64::from(raster.height) / f64::from(grid.height.max(1)),
                },
            ),
        };
        let columns = axis(window.col, window.width, x, raster.width, how);
        let rows = axis(window.row, window.height, y, raster.height, how);
        let direct = columns.first().and_then(|c| Some(c.as_ref()?.first));
        let direct = direct.filter(|&first| {
            columns
                .iter()
                .zip(first..)
                .all(|(c, i)| c.as_ref().is_some_and(|c| c.count == 1 && c.first == i))
        });
        Self {
            raster,
            columns,
            rows,
            direct: direct.map(|f| f as usize),
        }
    }

    /// For each row of the window the last row of the band that it takes its values from.
    pub fn last_rows(&self) -> Vec<u32> {
        let last = |taps: &Taps| taps.first + taps.count.saturating_sub(1);
        self.rows
            .iter()
            .map(|row| row.as_ref().map_or(0, last))
            .collect()
    }

    /// Writes row `row` of the window to `out`: digital numbers, NaN for nodata.
    pub fn row(&self, row: usize, out: &mut [f64], scratch: &mut RowScratch) {
        let width = self.raster.width as usize;
        let Some(Some(taps)) = self.rows.get(row) else {
            out.fill(f64::NAN);
            return;
        };
        scratch.source.resize(width, f64::NAN);
        if taps.count == 1 {
            self.read(taps.first, &mut scratch.source);
            match self.direct {
                Some(first) => out.copy_from_slice(&scratch.source[first..first + out.len()]),
                None => self.across(&scratch.source, out),
            }
            return;
        }
        scratch.sum.clear();
        scratch.sum.resize(out.len(), 0.0);
        scratch.weight.clear();
        scratch.weight.resize(out.len(), 0.0);
        for i in 0..taps.count {
            self.read(taps.first + i, &mut scratch.source);
            self.add(
                &scratch.source,
                taps.weight(i),
                &mut scratch.sum,
                &mut scratch.weight,
            );
        }
        for ((o, sum), weight) in out.iter_mut().zip(&scratch.sum).zip(&scratch.weight) {
            // 0 / 0 is NaN, which is what nodata is.
            *o = sum / weight;
        }
    }

    fn read(&self, row: u32, out: &mut [f64]) {
        let Raster { width, nodata, .. } = self.raster;
        self.raster
            .samples
            .row_to_f64(row as usize, *width as usize, *nodata, out);
    }

    /// One source row onto one row of the grid.
    fn across(&self, source: &[f64], out: &mut [f64]) {
        for (o, taps) in out.iter_mut().zip(&self.columns) {
            *o = match taps {
                None => f64::NAN,
                Some(t) if t.count == 1 => source[t.first as usize],
                Some(t) => {
                    let (sum, weight) = weighted(t, source);
                    sum / weight
                }
            };
        }
    }

    /// Adds one source row of several, weighted by `share`.
    fn add(&self, source: &[f64], share: f64, sum: &mut [f64], weight: &mut [f64]) {
        for ((s, w), taps) in sum.iter_mut().zip(weight).zip(&self.columns) {
            if let Some(taps) = taps {
                let (value, share_across) = weighted(taps, source);
                *s += share * value;
                *w += share * share_across;
            }
        }
    }
}

/// The weighted sum of the pixels that hold data, and the sum of their weights.
fn weighted(taps: &Taps, source: &[f64]) -> (f64, f64) {
    let (mut sum, mut weight) = (0.0, 0.0);
    let pixels = &source[taps.first as usize..(taps.first + taps.count) as usize];
    for (value, i) in pixels.iter().zip(0..) {
        if !value.is_nan() {
            sum += taps.weight(i) * value;
            weight += taps.weight(i);
        }
    }
    (sum, weight)
}

#[cfg(test)]
mod tests {
    use super::super::band::Samples;
    use super::*;

    fn raster(width: u32, height: u32, pixel: f64, origin: (f64, f64), values: &[u16]) -> Raster {
        Raster {
            width,
            height,
            samples: Samples::U16(values.to_vec()),
            geo: Some(Geo {
                transform: GeoTransform {
                    origin_x: origin.0,
                    origin_y: origin.1,
                    pixel_width: pixel,
                    pixel_height: pixel,
                },
                crs: Some(Crs::Projected(32631)),
            }),
            nodata: None,
        }
    }

    fn rows(band: &Raster, grid: &Grid, how: Resample) -> Vec<Vec<f64>> {
        let window = grid.pixels(None).unwrap();
        let resampler = Resampler::new(band, grid, window, how);
        let mut scratch = RowScratch::default();
        (0..grid.height as usize)
            .map(|r| {
                let mut out = vec![-1.0; grid.width as usize];
                resampler.row(r, &mut out, &mut scratch);
                out
            })
            .collect()
    }

    fn fine() -> Raster {
        let values: Vec<u16> = (1..=16).collect();
        raster(4, 4, 10.0, (0.0, 40.0), &values)
    }

    fn coarse() -> Raster {
        raster(2, 2, 20.0, (0.0, 40.0), &[100, 200, 300, 400])
    }

    #[test]
    fn the_grid_is_the_finest_or_the_one_asked_for() {
        let (fine, coarse) = (fine(), coarse());
        let bands = [("B05", &coarse), ("B04", &fine)];
        assert_eq!(task_grid(&bands, None).unwrap(), fine.grid());
        assert_eq!(task_grid(&bands, Some(20.0)).unwrap(), coarse.grid());
        let third = task_grid(&bands, Some(30.0)).unwrap();
        assert_eq!((third.width, third.height), (2, 2));
        assert_eq!(third.geo.unwrap().transform.pixel_width, 30.0);
        for bad in [0.0, -1.0, f64::NAN, 1e-9] {
            assert!(task_grid(&bands, Some(bad)).is_err(), "{bad}");
        }
        assert!(task_grid(&[], None).is_err());
    }

    #[test]
    fn different_systems_are_refused_by_name() {
        let (fine, mut coarse) = (fine(), coarse());
        coarse.geo.as_mut().unwrap().crs = Some(Crs::Projected(32632));
        let error = task_grid(&[("B04", &fine), ("B05", &coarse)], None).unwrap_err();
        let message = error.to_string();
        assert!(
            message.starts_with("band B05: it is in EPSG:32632"),
            "{message}"
        );
    }

    #[test]
    fn nearest_replicates_and_average_takes_means() {
        let up = rows(&coarse(), &fine().grid(), Resample::Nearest);
        assert_eq!(up[1], [100.0, 100.0, 200.0, 200.0]);
        assert_eq!(up[2], [300.0, 300.0, 400.0, 400.0]);
        let down = rows(&fine(), &coarse().grid(), Resample::Average);
        assert_eq!(down, [[3.5, 5.5], [11.5, 13.5]]);
        assert_eq!(rows(&coarse(), &fine().grid(), Resample::Average), up);
    }

    #[test]
    fn nodata_is_left_out_of_a_mean_and_stays_alone() {
        let mut band = fine();
        band.samples = Samples::U16(vec![0, 2, 0, 0, 5, 6, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9]);
        let down = rows(&band, &coarse().grid(), Resample::Average);
        assert_eq!(down[0][0], 13.0 / 3.0);
        assert!(down[0][1].is_nan());
    }

    #[test]
    fn an_average_weighs_by_area() {
        let band = raster(3, 1, 10.0, (0.0, 10.0), &[10, 20, 30]);
        let grid = raster(2, 1, 15.0, (0.0, 10.0), &[1, 1]).grid();
        let got = rows(&band, &grid, Resample::Average);
        assert!((got[0][0] - 40.0 / 3.0).abs() < 1e-12, "{got:?}");
        assert!((got[0][1] - 80.0 / 3.0).abs() < 1e-12, "{got:?}");
    }

    #[test]
    fn bilinear_interpolates_between_centres() {
        let band = raster(2, 1, 20.0, (0.0, 20.0), &[100, 200]);
        let grid = raster(4, 2, 10.0, (0.0, 20.0), &[1; 8]).grid();
        let got = rows(&band, &grid, Resample::Bilinear);
        assert_eq!(got, [[100.0, 125.0, 175.0, 200.0]; 2]);
    }

    #[test]
    fn bands_are_aligned_by_georeference_and_missing_pixels_are_nodata() {
        let shifted = raster(2, 2, 10.0, (20.0, 30.0), &[1, 2, 3, 4]);
        let got = rows(&shifted, &fine().grid(), Resample::Nearest);
        assert!(got[0].iter().all(|v| v.is_nan()));
        assert!(got[1][1].is_nan());
        assert_eq!((got[1][2], got[2][3]), (1.0, 4.0));
        assert!(got[3].iter().all(|v| v.is_nan()));
    }

    #[test]
    fn without_a_georeference_sizes_are_compared() {
        let mut bare = coarse();
        bare.geo = None;
        let got = rows(&bare, &fine().grid(), Resample::Nearest);
        assert_eq!(got[3], [300.0, 300.0, 400.0, 400.0]);
    }
}
