//! Reads the first band of a TIFF or BigTIFF: striped or tiled, any predictor, chunky or planar.

use std::io::{BufReader, Read, Seek};
use std::path::Path;

use tiff::decoder::{Decoder, DecodingResult, Limits};
use tiff::tags::Tag;
use tiff::{ColorType, TiffError};

use super::band::{MAX_SAMPLES, Raster, Samples, check_size};
use super::error::RasterError;
use super::source::{Reader, Source};
use super::tiff_chunks::Chunks;
use super::tiff_geo;

/// The first band of the first image: its samples zero, and where they are; or its samples, where
/// another than [`Chunks`] has to read them.
pub(crate) fn begin(
    path: &Path,
    source: &dyn Source,
) -> Result<(Raster, Option<Chunks>), RasterError> {
    let reader = Reader::new(source).map_err(|e| RasterError::io(path, "read", e))?;
    let mut decoder = open(path, BufReader::with_capacity(1 << 16, reader))?;
    let (width, height) = decoder.dimensions().map_err(|e| decode_error(path, e))?;
    let samples_per_pixel = u64::from(samples_per_pixel(&mut decoder));
    check_size(path, width.into(), height.into(), samples_per_pixel)?;
    let geo = tiff_geo::read(path, &mut decoder)?;
    let nodata = tiff_geo::nodata(&mut decoder);
    let chunks = Chunks::of(&mut decoder, width, height);
    let (samples, chunks) = match chunks.and_then(|c| Some((c.zeros()?, c))) {
        Some((zeros, chunks)) => (zeros, Some(chunks)),
        None => (read_first_band(path, &mut decoder, width, height)?, None),
    };
    let raster = Raster {
        width,
        height,
        samples,
        geo,
        nodata,
    };
    Ok((raster, chunks))
}

/// A decoder that allocates no more than the limits allow, whatever the file claims.
pub(crate) fn open<R: Read + Seek>(path: &Path, reader: R) -> Result<Decoder<R>, RasterError> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MAX_SAMPLES as usize;
    limits.intermediate_buffer_size = MAX_SAMPLES as usize;
    // Offsets and byte counts of a large tiled image are long arrays.
    limits.ifd_value_size = 16 << 20;
    Decoder::new(reader)
        .map(|d| d.with_limits(limits))
        .map_err(|e| decode_error(path, e))
}

fn samples_per_pixel<R: Read + Seek>(decoder: &mut Decoder<R>) -> u16 {
    decoder
        .find_tag_unsigned::<u16>(Tag::SamplesPerPixel)
        .ok()
        .flatten()
        .unwrap_or(1)
        .max(1)
}

fn is_planar<R: Read + Seek>(decoder: &mut Decoder<R>) -> bool {
    matches!(
        decoder.find_tag_unsigned::<u16>(Tag::PlanarConfiguration),
        Ok(Some(2))
    )
}

fn decode_error(path: &Path, e: TiffError) -> RasterError {
    match e {
        TiffError::IoError(e) if e.raw_os_error().is_some() => RasterError::io(path, "read", e),
        TiffError::IoError(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {
            RasterError::decode(path, "the file ends too early; is the download whole?")
        }
        // A decompressor's complaint.
        TiffError::IoError(e) => RasterError::decode(path, e.to_string()),
        TiffError::LimitsExceeded => RasterError::too_large(
            path,
            "a tile, strip or tag of the TIFF is too large to read",
        ),
        TiffError::UnsupportedError(e) => RasterError::format(
            path,
            format!(
                "{e}; convert the file first, for example with gdal_translate -co COMPRESS=DEFLATE"
            ),
        ),
        e => RasterError::decode(path, e.to_string()),
    }
}

/// Reads the samples through the tiff crate: the compressions and sample types that
/// [`Chunks`] leaves to it.
fn read_first_band<R: Read + Seek>(
    path: &Path,
    decoder: &mut Decoder<R>,
    width: u32,
    height: u32,
) -> Result<Samples, RasterError> {
    let color = decoder.colortype().map_err(|e| decode_error(path, e))?;
    if matches!(color, ColorType::YCbCr(_) | ColorType::Lab(_)) {
        return Err(RasterError::format(
            path,
            format!("the TIFF holds a picture ({color:?}), not a band of measurements"),
        ));
    }
    if !matches!(color.bit_depth(), 8 | 16 | 32 | 64) {
        return Err(RasterError::format(
            path,
            format!(
                "samples of {} bits are not supported; convert the file first, for example with \
                 gdal_translate -ot UInt16",
                color.bit_depth()
            ),
        ));
    }
    let stride = if is_planar(decoder) {
        1
    } else {
        usize::from(samples_per_pixel(decoder))
    };
    let (chunk_width, chunk_height) = decoder.chunk_dimensions();
    if chunk_width == 0 || chunk_height == 0 {
        return Err(RasterError::decode(path, "a tile or strip has no pixels"));
    }
    let (across, down) = (width.div_ceil(chunk_width), height.div_ceil(chunk_height));
    let mut band: Option<Samples> = None;
    let size = width as usize * height as usize;
    for index in 0..across.saturating_mul(down) {
        let at = Place {
            col: (index % across) as usize * chunk_width as usize,
            row: (index / across) as usize * chunk_height as usize,
            image_width: width as usize,
            stride,
        };
        let (data_width, data_height) = decoder.chunk_data_dimensions(index);
        let data_size = (data_width as usize, data_height as usize);
        let chunk = decoder
            .read_chunk(index)
            .map_err(|e| decode_error(path, e))?;
        let fits = match chunk {
            DecodingResult::U8(c) => at.put(&c, data_size, band_of(&mut band, size)),
            DecodingResult::U16(c) => at.put(&c, data_size, band_of(&mut band, size)),
            DecodingResult::U32(c) => at.put(&c, data_size, band_of(&mut band, size)),
            DecodingResult::I16(c) => at.put(&c, data_size, band_of(&mut band, size)),
            DecodingResult::I32(c) => at.put(&c, data_size, band_of(&mut band, size)),
            DecodingResult::F32(c) => at.put(&c, data_size, band_of(&mut band, size)),
            DecodingResult::F64(c) => at.put(&c, data_size, band_of(&mut band, size)),
            DecodingResult::I8(c) => {
                let wide: Vec<i16> = c.into_iter().map(i16::from).collect();
                at.put(&wide, data_size, band_of(&mut band, size))
            }
            DecodingResult::F16(c) => {
                let wide: Vec<f32> = c.into_iter().map(f32::from).collect();
                at.put(&wide, data_size, band_of(&mut band, size))
            }
            DecodingResult::U64(_) | DecodingResult::I64(_) => {
                return Err(RasterError::format(
                    path,
                    "64-bit integer samples are not supported; convert the file first, for \
                     example with gdal_translate -ot Float64",
                ));
            }
        };
        if !fits {
            return Err(RasterError::decode(
                path,
                format!("tile or strip {index} does not hold the samples it should"),
            ));
        }
    }
    band.ok_or_else(|| RasterError::decode(path, "the TIFF holds no tile or strip"))
}

/// A sample type that [`Samples`] can hold.
trait Sample: Copy + Default {
    fn samples(values: Vec<Self>) -> Samples;
    fn values(samples: &mut Samples) -> Option<&mut Vec<Self>>;
}

macro_rules! sample {
    ($type:ty, $variant:ident) => {
        impl Sample for $type {
            fn samples(values: Vec<Self>) -> Samples {
                Samples::$variant(values)
            }
            fn values(samples: &mut Samples) -> Option<&mut Vec<Self>> {
                match samples {
                    Samples::$variant(values) => Some(values),
                    _ => None,
                }
            }
        }
    };
}
sample!(u8, U8);
sample!(u16, U16);
sample!(i16, I16);
sample!(u32, U32);
sample!(i32, I32);
sample!(f32, F32);
sample!(f64, F64);

/// The band's values, made on first use; `None` where an earlier chunk had another type.
fn band_of<T: Sample>(band: &mut Option<Samples>, size: usize) -> Option<&mut Vec<T>> {
    T::values(band.get_or_insert_with(|| T::samples(vec![T::default(); size])))
}

/// Where a chunk belongs in the image.
struct Place {
    col: usize,
    row: usize,
    image_width: usize,
    stride: usize,
}

impl Place {
    /// Copies the first sample of each pixel of a chunk; false where it does not fit.
    fn put<T: Copy>(
        &self,
        chunk: &[T],
        (width, height): (usize, usize),
        band: Option<&mut Vec<T>>,
    ) -> bool {
        let Some(band) = band else { return false };
        for y in 0..height {
            let from = y * width * self.stride;
            let to = (self.row + y) * self.image_width + self.col;
            let (Some(source), Some(target)) = (
                chunk.get(from..from + width * self.stride),
                band.get_mut(to..to + width),
            ) else {
                return false;
            };
            if self.stride == 1 {
                target.copy_from_slice(source);
            } else {
                for (t, s) in target.iter_mut().zip(source.iter().step_by(self.stride)) {
                    *t = *s;
                }
            }
        }
        true
    }
}
