//! Writes a raster as a Cloud Optimized GeoTIFF: tiled, deflate, overviews, all tags at the front.
//!
//! The layout is the one GDAL writes: header, structural metadata, directories (full resolution
//! first), then tiles (smallest overview first). Tiles are compressed in parallel on the
//! caller's rayon pool and written one batch at a time, so memory holds the pixels and little more.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use rayon::prelude::*;

use super::cog_ifd::{Directory, STRUCTURAL_METADATA};
use super::error::RasterError;
use super::geo::Geo;

/// The side of a tile, in pixels; smaller images get one smaller tile.
const TILE: usize = 512;
/// Tiles compressed at once.
const BATCH: usize = 32;

/// A sample type that can be written.
pub(crate) trait CogSample: Copy + Send + Sync + PartialEq {
    /// Bits of a sample.
    const BITS: u16;
    /// TIFF's sample format: 1 unsigned, 3 float.
    const FORMAT: u16;
    /// TIFF's predictor: 2 horizontal differences, 3 floating point.
    const PREDICTOR: u16;
    /// True for the value that stands for nodata.
    fn is_nodata(self) -> bool;
    /// The value that stands for nodata.
    fn nodata() -> Self;
    /// For means of overviews.
    fn to_f64(self) -> f64;
    /// The nearest value of this type.
    fn from_f64(v: f64) -> Self;
    /// Appends a row of a tile, predicted, as bytes.
    fn predict(row: &[Self], out: &mut Vec<u8>);
}

impl CogSample for f32 {
    const BITS: u16 = 32;
    const FORMAT: u16 = 3;
    const PREDICTOR: u16 = 3;
    fn is_nodata(self) -> bool {
        self.is_nan()
    }
    fn nodata() -> Self {
        f32::NAN
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn from_f64(v: f64) -> Self {
        v as f32
    }
    fn predict(row: &[Self], out: &mut Vec<u8>) {
        // All first bytes, then all second bytes and so on; then differences of neighbours.
        let mut last = 0u8;
        for byte in 0..4 {
            for v in row {
                let b = v.to_be_bytes()[byte];
                out.push(b.wrapping_sub(last));
                last = b;
            }
        }
    }
}

macro_rules! unsigned {
    ($type:ty) => {
        impl CogSample for $type {
            const BITS: u16 = <$type>::BITS as u16;
            const FORMAT: u16 = 1;
            const PREDICTOR: u16 = 2;
            fn is_nodata(self) -> bool {
                self == 0
            }
            fn nodata() -> Self {
                0
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn from_f64(v: f64) -> Self {
                v.round() as $type
            }
            fn predict(row: &[Self], out: &mut Vec<u8>) {
                let mut last = 0;
                for v in row {
                    out.extend_from_slice(&v.wrapping_sub(last).to_le_bytes());
                    last = *v;
                }
            }
        }
    };
}
unsigned!(u8);
unsigned!(u16);

/// How pixels of an overview are made from four of the level below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overview {
    /// The mean of those that hold data.
    Mean,
    /// The upper-left one: for classes, of which there is no mean.
    First,
}

/// Which deflate writes the tiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deflate {
    /// The quick one; its bytes may differ between processors.
    Fast,
    /// The one whose bytes are the same on every machine.
    Reproducible,
}

impl Deflate {
    fn compress(self, data: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Fast => {
                let out = Vec::with_capacity(data.len() / 2);
                let mut encoder = flate2::write::ZlibEncoder::new(out, flate2::Compression::new(5));
                encoder.write_all(data)?;
                encoder.finish()
            }
            Self::Reproducible => Ok(miniz_oxide::deflate::compress_to_vec_zlib(data, 1)),
        }
    }
}

/// What to write.
pub(crate) struct Cog<'a, T> {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` samples, row by row.
    pub samples: &'a [T],
    /// The georeference, if any.
    pub geo: Option<&'a Geo>,
    /// The text of GDAL_NODATA.
    pub nodata: &'static str,
    /// How overviews are made.
    pub overview: Overview,
    /// Which deflate.
    pub deflate: Deflate,
}

impl<T: CogSample> Cog<'_, T> {
    /// Writes the file; run it inside a rayon pool.
    ///
    /// # Errors
    /// Where the file cannot be created or written.
    pub fn write(&self, path: &Path) -> Result<(), RasterError> {
        let file = File::create(path).map_err(|e| RasterError::io(path, "create", e))?;
        let mut out = BufWriter::with_capacity(1 << 18, file);
        self.write_to(&mut out)
            .and_then(|()| out.flush())
            .map_err(|e| RasterError::io(path, "write", e))
    }

    fn write_to<W: Write + Seek>(&self, out: &mut W) -> std::io::Result<()> {
        let overviews = self.overviews();
        let mut levels = vec![Level {
            width: self.width,
            height: self.height,
            samples: self.samples,
        }];
        levels.extend(overviews.iter().map(|(width, height, samples)| Level {
            width: *width,
            height: *height,
            samples,
        }));
        let tile = (tile_side(self.width), tile_side(self.height));
        let mut directories: Vec<Directory> = levels
            .iter()
            .enumerate()
            .map(|(i, l)| self.directory(l, i > 0, tile))
            .collect();

        // The directories' sizes do not depend on the offsets in them: leave room, write the
        // tiles, come back.
        let head = 8 + STRUCTURAL_METADATA.len();
        let room: usize = directories.iter().map(Directory::size).sum();
        out.seek(SeekFrom::Start((head + room) as u64))?;
        let mut at = (head + room) as u64;
        for (level, directory) in levels.iter().zip(&mut directories).rev() {
            let tiles = level.tiles(tile);
            for batch in tiles.chunks(BATCH) {
                let packed: Vec<Vec<u8>> = batch
                    .par_iter()
                    .map(|&corner| self.deflate.compress(&level.tile_bytes(corner, tile)))
                    .collect::<std::io::Result<_>>()?;
                for data in packed {
                    // Each tile stands between its length and its last four bytes again.
                    let length = data.len() as u32;
                    out.write_all(&length.to_le_bytes())?;
                    out.write_all(&data)?;
                    out.write_all(&data[data.len().saturating_sub(4)..])?;
                    directory.add_tile(u32::try_from(at + 4).map_err(too_large)?, length);
                    at += u64::from(length) + 8;
                }
            }
        }

        out.seek(SeekFrom::Start(0))?;
        out.write_all(b"II*\0")?;
        out.write_all(&(head as u32).to_le_bytes())?;
        out.write_all(STRUCTURAL_METADATA)?;
        let mut start = head;
        for (i, directory) in directories.iter().enumerate() {
            let end = start + directory.size();
            let next = if i + 1 < directories.len() { end } else { 0 };
            out.write_all(&directory.bytes(start as u32, next as u32))?;
            start = end;
        }
        Ok(())
    }

    fn directory(&self, level: &Level<'_, T>, overview: bool, tile: (usize, usize)) -> Directory {
        let mut d = Directory::new(level.tiles(tile).len());
        if overview {
            d.long(254, &[1]);
        }
        d.short(256, &[level.width as u16]);
        d.short(257, &[level.height as u16]);
        if level.width > 0xffff || level.height > 0xffff {
            d.long(256, &[level.width as u32]);
            d.long(257, &[level.height as u32]);
        }
        d.short(258, &[T::BITS]);
        d.short(259, &[8]);
        d.short(262, &[1]);
        d.short(277, &[1]);
        d.short(284, &[1]);
        d.short(317, &[T::PREDICTOR]);
        d.short(322, &[tile.0 as u16]);
        d.short(323, &[tile.1 as u16]);
        d.short(339, &[T::FORMAT]);
        d.ascii(42113, self.nodata);
        if !overview && let Some(geo) = self.geo {
            d.geo(geo);
        }
        d
    }

    /// Each level half the one before, until it fits into one tile.
    fn overviews(&self) -> Vec<(usize, usize, Vec<T>)> {
        let mut levels: Vec<(usize, usize, Vec<T>)> = Vec::new();
        loop {
            let (width, height, samples) = match levels.last() {
                Some((w, h, s)) => (*w, *h, s.as_slice()),
                None => (self.width, self.height, self.samples),
            };
            if width.max(height) <= TILE {
                return levels;
            }
            let half = halve(width, height, samples, self.overview);
            levels.push((width.div_ceil(2), height.div_ceil(2), half));
        }
    }
}

fn too_large(_: std::num::TryFromIntError) -> std::io::Error {
    std::io::Error::new(
        std::io::ErrorKind::FileTooLarge,
        "the result is larger than a TIFF can be (4 GiB)",
    )
}

fn tile_side(pixels: usize) -> usize {
    // TIFF wants multiples of 16.
    pixels.next_multiple_of(16).clamp(16, TILE)
}

fn halve<T: CogSample>(width: usize, height: usize, samples: &[T], how: Overview) -> Vec<T> {
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut out = vec![T::nodata(); half_width * half_height];
    out.par_chunks_mut(half_width)
        .enumerate()
        .for_each(|(y, row)| {
            let upper = &samples[2 * y * width..][..width];
            // The last row of an odd height has no row below.
            let lower = samples.get((2 * y + 1) * width..).unwrap_or_default();
            for (x, o) in row.iter_mut().enumerate() {
                if how == Overview::First {
                    *o = upper[2 * x];
                    continue;
                }
                let (mut sum, mut count) = (0.0, 0.0);
                let pair = 2 * x..(2 * x + 2).min(width);
                let below = lower.get(pair.clone()).unwrap_or_default();
                for v in upper[pair].iter().chain(below) {
                    if !v.is_nodata() {
                        sum += v.to_f64();
                        count += 1.0;
                    }
                }
                if count > 0.0 {
                    *o = T::from_f64(sum / count);
                }
            }
        });
    out
}

struct Level<'a, T> {
    width: usize,
    height: usize,
    samples: &'a [T],
}

impl<T: CogSample> Level<'_, T> {
    /// The upper-left corners of the tiles, row by row.
    fn tiles(&self, (w, h): (usize, usize)) -> Vec<(usize, usize)> {
        (0..self.height)
            .step_by(h)
            .flat_map(|y| (0..self.width).step_by(w).map(move |x| (x, y)))
            .collect()
    }

    /// The predicted bytes of a tile; pixels beyond the image are nodata.
    fn tile_bytes(&self, (x, y): (usize, usize), (w, h): (usize, usize)) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(w * h * usize::from(T::BITS / 8));
        let mut row = vec![T::nodata(); w];
        let across = w.min(self.width - x);
        for r in y..y + h {
            if r < self.height {
                row[..across].copy_from_slice(&self.samples[r * self.width + x..][..across]);
            } else {
                row.fill(T::nodata());
            }
            T::predict(&row, &mut bytes);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::band::Samples;
    use super::super::geo::{Crs, GeoTransform};
    use super::super::read::read_band;
    use super::*;

    fn geo(crs: Option<Crs>) -> Geo {
        Geo {
            transform: GeoTransform {
                origin_x: 300_000.0,
                origin_y: 4_900_020.0,
                pixel_width: 10.0,
                pixel_height: 10.0,
            },
            crs,
        }
    }

    fn round_trip<T: CogSample>(
        width: usize,
        samples: &[T],
        geo: Option<&Geo>,
    ) -> super::super::Raster {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.tif");
        Cog {
            width,
            height: samples.len() / width,
            samples,
            geo,
            nodata: if T::FORMAT == 3 { "nan" } else { "0" },
            overview: Overview::Mean,
            deflate: Deflate::Fast,
        }
        .write(&path)
        .unwrap();
        read_band(&path).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let geo = geo(Some(Crs::Projected(32631)));
        let floats: Vec<f32> = (0..700 * 530).map(|i| (i as f32).sin() * 3.0).collect();
        let back = round_trip(700, &floats, Some(&geo));
        assert_eq!((back.width, back.height), (700, 530));
        assert_eq!(back.samples, Samples::F32(floats));
        assert_eq!(back.geo.as_ref(), Some(&geo));
        assert!(back.nodata.is_some_and(f64::is_nan));

        let words: Vec<u16> = (0..33 * 17).map(|i| (i * 977) as u16).collect();
        let back = round_trip(33, &words, None);
        assert_eq!((back.geo, back.nodata), (None, Some(0.0)));
        assert_eq!(back.samples, Samples::U16(words));

        let bytes: Vec<u8> = (0..5).collect();
        assert_eq!(round_trip(1, &bytes, None).samples, Samples::U8(bytes));
    }

    #[test]
    fn systems_without_a_code_pass_through() {
        use super::super::geo::GeoKeys;
        let keys = GeoKeys {
            directory: vec![
                1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 1026, 34737, 5, 0, 3072, 0, 1, 32767,
            ],
            doubles: vec![6378137.0],
            ascii: "mine|".to_owned(),
        };
        let geo = geo(Some(Crs::Keys(keys)));
        assert_eq!(round_trip(2, &[1u8, 2], Some(&geo)).geo, Some(geo));
    }

    #[test]
    fn overviews_leave_nodata_out() {
        let nan = f32::NAN;
        let half = halve(
            3,
            3,
            &[1.0, 3.0, nan, nan, nan, nan, 5.0, 7.0, 9.0],
            Overview::Mean,
        );
        assert_eq!(half[0], 2.0);
        assert!(half[1].is_nan());
        assert_eq!(half[2..], [6.0, 9.0]);
        assert_eq!(halve(3, 1, &[0u16, 8, 0], Overview::Mean), [8, 0]);
        assert_eq!(halve(3, 1, &[4u8, 8, 6], Overview::First), [4, 6]);
    }

    #[test]
    fn both_ways_to_deflate_hold_the_same() {
        let data: Vec<u8> = (0..50_000u32).map(|i| ((i * i) >> 7) as u8).collect();
        for how in [Deflate::Fast, Deflate::Reproducible] {
            let packed = how.compress(&data).unwrap();
            let back = miniz_oxide::inflate::decompress_to_vec_zlib(&packed).unwrap();
            assert!(back == data && packed.len() < data.len());
        }
    }
}
