//! The native processor: band maths from an index or an expression.

use std::sync::OnceLock;
use std::time::Instant;

use crate::raster::{self, BandInput, BandMath, Expr, RasterError, Source};
use crate::task::{self, Processor};
use crate::values::{Fault, FaultCode};

use super::job::Job;
use super::outcome::{Failure, ResultStats};
use super::partial::Partial;

/// Computes the job's image and quick-look into its scratch directory. Of a task that starts at
/// once also how long after `begun` the first rows were there.
pub(super) fn run(job: &Job<'_>, begun: Instant) -> Result<(ResultStats, Option<f64>), Failure> {
    let mut spec = match &job.task.processor {
        Processor::Index(name) => {
            let index = raster::index_expr(name)
                .ok_or_else(|| Failure::processor(format!("there is no index {name:?}")))?;
            BandMath::index(index).map_err(Failure::processor)?
        }
        Processor::Expr(text) => BandMath::new(Expr::parse(text).map_err(Failure::processor)?),
        Processor::Run(_) | Processor::Native => {
            return Err(Failure::processor("this task has no formula"));
        }
    };
    spec.resolution = job.task.resolution;
    spec.window = job.task.window.map(window);
    spec.resample = match job.task.resample {
        task::Resample::Nearest => raster::Resample::Nearest,
        task::Resample::Bilinear => raster::Resample::Bilinear,
        task::Resample::Average => raster::Resample::Average,
    };
    let bands = inputs(job);
    let tif = job.out();
    let png = tif.with_extension("png");
    let first = OnceLock::new();
    let stats = if job.task.at_once {
        let sources = bands.iter().map(|band| {
            let input = job.band_input(&band.name).and_then(|input| job.open(input));
            let missing = || Failure::processor(format!("there is no input for {}", band.name));
            input.ok_or_else(missing)
        });
        let sources = sources.collect::<Result<Vec<Partial<'_>>, _>>()?;
        let sources: Vec<&dyn Source> = sources.iter().map(|one| one as &dyn Source).collect();
        let progress = |_| {
            first.get_or_init(|| begun.elapsed().as_secs_f64());
        };
        let places = (tif.as_path(), png.as_path());
        raster::band_math_while_landing(&spec, &bands, &sources, &progress, places, job.threads)
    } else {
        raster::band_math(&spec, &bands, &tif, &png, job.threads)
    };
    let stats = stats.map_err(failure)?;
    let figure = |value: f64| value.is_finite().then_some(value);
    let stats = ResultStats {
        width: stats.width,
        height: stats.height,
        valid: stats.valid,
        nodata: stats.nodata,
        min: figure(stats.min),
        max: figure(stats.max),
        mean: figure(stats.mean),
        crs: stats.crs,
        pixel_size: stats.pixel_size,
    };
    Ok((stats, first.get().copied()))
}

fn inputs(job: &Job<'_>) -> Vec<BandInput> {
    job.payload
        .bands
        .iter()
        .filter_map(|(name, band)| {
            let scale = band.quantification.map(|quantification| raster::Scale {
                quantification,
                add_offset: band.add_offset.unwrap_or(0.0),
            });
            Some(BandInput {
                name: name.clone(),
                path: job.band(name)?,
                scale,
            })
        })
        .collect()
}

fn window(window: task::Window) -> raster::Window {
    match window {
        task::Window::Pixels {
            col,
            row,
            width,
            height,
        } => raster::Window::Pixels {
            col,
            row,
            width,
            height,
        },
        task::Window::Bbox {
            min_x,
            min_y,
            max_x,
            max_y,
        } => raster::Window::Bbox {
            min_x,
            min_y,
            max_x,
            max_y,
        },
    }
}

fn failure(error: RasterError) -> Failure {
    if !error.is_output() {
        return Failure::processor(error);
    }
    let errno = match &error {
        RasterError::Io { source, .. } => source.raw_os_error().unwrap_or(0),
        _ => 0,
    };
    Failure {
        fault: Fault::new(FaultCode::Output, errno.unsigned_abs()),
        ..Failure::processor(error)
    }
}
