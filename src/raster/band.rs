//! A band in memory: its samples, and how large it may be.

use std::path::Path;

use super::error::RasterError;
use super::geo::{Geo, Grid};

/// The most pixels a band may have: 16,384 x 16,384. Sentinel-2 has 10,980 x 10,980.
pub const MAX_PIXELS: u64 = 1 << 28;

/// The most samples (pixels times components) decoded at once from one file.
pub const MAX_SAMPLES: u64 = 1 << 29;

/// The samples of one band, row by row from the upper left.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// Unsigned, 8 bits or fewer.
    U8(Vec<u8>),
    /// Unsigned, 9 to 16 bits.
    U16(Vec<u16>),
    /// Signed, 16 bits or fewer.
    I16(Vec<i16>),
    /// Unsigned, 17 to 32 bits.
    U32(Vec<u32>),
    /// Signed, 17 to 32 bits.
    I32(Vec<i32>),
    /// IEEE 32-bit floats.
    F32(Vec<f32>),
    /// IEEE 64-bit floats.
    F64(Vec<f64>),
}

impl Samples {
    /// The number of samples.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(v) => v.len(),
            Self::U16(v) => v.len(),
            Self::I16(v) => v.len(),
            Self::U32(v) => v.len(),
            Self::I32(v) => v.len(),
            Self::F32(v) => v.len(),
            Self::F64(v) => v.len(),
        }
    }

    /// True where there is no sample.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name numpy has for the sample type, such as `uint16`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::U8(_) => "uint8",
            Self::U16(_) => "uint16",
            Self::I16(_) => "int16",
            Self::U32(_) => "uint32",
            Self::I32(_) => "int32",
            Self::F32(_) => "float32",
            Self::F64(_) => "float64",
        }
    }

    /// The samples as bytes, little-endian, row by row.
    pub fn to_le_bytes(&self) -> Vec<u8> {
        match self {
            Self::U8(v) => v.clone(),
            Self::U16(v) => v.iter().flat_map(|s| s.to_le_bytes()).collect(),
            Self::I16(v) => v.iter().flat_map(|s| s.to_le_bytes()).collect(),
            Self::U32(v) => v.iter().flat_map(|s| s.to_le_bytes()).collect(),
            Self::I32(v) => v.iter().flat_map(|s| s.to_le_bytes()).collect(),
            Self::F32(v) => v.iter().flat_map(|s| s.to_le_bytes()).collect(),
            Self::F64(v) => v.iter().flat_map(|s| s.to_le_bytes()).collect(),
        }
    }

    /// Writes row `row` of a raster `width` wide to `out` as digital numbers; NaN where the
    /// value is 0, `nodata` or not finite. `out` has `width` elements.
    pub(crate) fn row_to_f64(
        &self,
        row: usize,
        width: usize,
        nodata: Option<f64>,
        out: &mut [f64],
    ) {
        // No value equals NaN, so NaN stands for "no nodata value".
        let nodata = nodata.unwrap_or(f64::NAN);
        let range = row * width..(row + 1) * width;
        fn fill<T: Copy + Into<f64>>(samples: Option<&[T]>, nodata: f64, out: &mut [f64]) {
            for (o, &s) in out.iter_mut().zip(samples.unwrap_or_default()) {
                let v: f64 = s.into();
                *o = if v == 0.0 || v == nodata || !v.is_finite() {
                    f64::NAN
                } else {
                    v
                };
            }
        }
        match self {
            Self::U8(v) => fill(v.get(range), nodata, out),
            Self::U16(v) => fill(v.get(range), nodata, out),
            Self::I16(v) => fill(v.get(range), nodata, out),
            Self::U32(v) => fill(v.get(range), nodata, out),
            Self::I32(v) => fill(v.get(range), nodata, out),
            Self::F32(v) => fill(v.get(range), nodata, out),
            Self::F64(v) => fill(v.get(range), nodata, out),
        }
    }
}

/// One decoded band.
#[derive(Debug, Clone, PartialEq)]
pub struct Raster {
    /// Columns, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// `width * height` samples.
    pub samples: Samples,
    /// The georeference, if the file has one.
    pub geo: Option<Geo>,
    /// The value the file declares as nodata, if it declares one.
    pub nodata: Option<f64>,
}

impl Raster {
    /// The band's own grid.
    pub fn grid(&self) -> Grid {
        Grid {
            width: self.width,
            height: self.height,
            geo: self.geo.clone(),
        }
    }
}

/// Refuses a claimed size above the limits before anything is allocated for it.
pub(crate) fn check_size(
    path: &Path,
    width: u64,
    height: u64,
    components: u64,
) -> Result<(), RasterError> {
    let pixels = width.saturating_mul(height);
    if pixels == 0 {
        return Err(RasterError::format(path, "the raster has no pixels"));
    }
    if pixels > MAX_PIXELS || pixels.saturating_mul(components) > MAX_SAMPLES {
        return Err(RasterError::too_large(
            path,
            format!(
                "the file claims {width} x {height} pixels of {components} component(s); at most \
                 {MAX_PIXELS} pixels and {MAX_SAMPLES} samples are read"
            ),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_above_the_limit_are_refused() {
        let path = Path::new("x");
        assert!(check_size(path, 10980, 10980, 1).is_ok());
        assert!(check_size(path, 10980, 10980, 3).is_ok());
        assert!(check_size(path, u64::MAX, 2, 1).is_err());
        assert!(check_size(path, 16384, 16385, 1).is_err());
        assert!(check_size(path, 16384, 16384, 3).is_err());
        assert!(check_size(path, 0, 5, 1).is_err());
    }

    #[test]
    fn zero_and_declared_nodata_become_nan() {
        let samples = Samples::I16(vec![9, 9, 0, -1, 7, 9]);
        let mut out = [0.0; 3];
        samples.row_to_f64(1, 3, Some(-1.0), &mut out);
        assert!(out[0].is_nan() && out[1] == 7.0 && out[2] == 9.0);
        samples.row_to_f64(0, 3, None, &mut out);
        assert!(out[0] == 9.0 && out[2].is_nan());
    }
}
