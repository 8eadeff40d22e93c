//! Native processors: read a band, band maths, write COG and PNG.

mod band;
mod cog;
mod cog_ifd;
mod error;
mod expr;
mod expr_eval;
mod expr_parse;
mod geo;
mod gmljp2;
mod indices;
mod jp2_band;
mod jp2_boxes;
mod jp2_markers;
mod math;
mod quicklook;
mod read;
mod resample;
mod sample;
mod sample_names;
mod sample_scene;
mod sample_xml;
mod tiff_band;
mod tiff_chunks;
mod tiff_codec;
mod tiff_geo;

pub use band::{MAX_PIXELS, MAX_SAMPLES, Raster, Samples};
pub use error::RasterError;
pub use expr::{Expr, ExprError};
pub use expr_eval::Scratch;
pub use geo::{Crs, Geo, GeoKeys, GeoTransform, Grid, PixelWindow, Window};
pub use indices::{ColorScale, IndexDef, Palette, index_expr, index_names};
pub use math::{BandInput, BandMath, BandStats, Scale, band_math};
pub use read::read_band;
pub use resample::{Resample, task_grid};
pub use sample::{SampleProduct, SampleSpec, write_sample};
