//! Reads the first band of a TIFF tile by tile or strip by strip, in parallel.

use std::io::{Read, Seek};
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use tiff::decoder::Decoder;
use tiff::tags::{ByteOrder, Tag};

use super::band::{MAX_SAMPLES, Samples};
use super::error::RasterError;
use super::source::Source;
use super::tiff_codec::Packing;

/// Where the tiles or strips of an image are and how they are stored.
pub(crate) struct Chunks {
    width: usize,
    height: usize,
    /// Columns and rows of a tile; a strip is as wide as the image.
    chunk: (usize, usize),
    tiled: bool,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    packing: Packing,
    /// TIFF's sample format: 1 unsigned, 2 signed, 3 float.
    format: u16,
}

impl Chunks {
    /// The layout of the image the decoder stands at; `None` where this module cannot read it.
    pub fn of<R: Read + Seek>(decoder: &mut Decoder<R>, width: u32, height: u32) -> Option<Self> {
        let little_endian = matches!(decoder.byte_order(), ByteOrder::LittleEndian);
        let mut ifd = decoder.image_ifd();
        let mut one = |tag, default: u64| match ifd.find_tag_unsigned_vec::<u64>(tag) {
            Ok(Some(values)) => {
                let first = *values.first()?;
                values.iter().all(|v| *v == first).then_some(first)
            }
            Ok(None) => Some(default),
            Err(_) => None,
        };
        let small = |v: Option<u64>| v.and_then(|v| u16::try_from(v).ok());
        let bits = one(Tag::BitsPerSample, 1)?;
        let samples_per_pixel = small(one(Tag::SamplesPerPixel, 1))?.max(1);
        let planar = one(Tag::PlanarConfiguration, 1)? == 2;
        let packing = Packing {
            compression: small(one(Tag::Compression, 1))?,
            predictor: small(one(Tag::Predictor, 1))?,
            little_endian,
            sample_bytes: matches!(bits, 8 | 16 | 32 | 64).then_some(bits as usize / 8)?,
            samples_per_pixel: if planar { 1 } else { samples_per_pixel.into() },
        };
        let format = small(one(Tag::SampleFormat, 1))?;
        let tiled = one(Tag::TileWidth, 0)? > 0;
        let chunk = if tiled {
            (one(Tag::TileWidth, 0)?, one(Tag::TileLength, 0)?)
        } else {
            let rows = one(Tag::RowsPerStrip, height.into())?;
            (width.into(), rows.min(height.into()))
        };
        let mut list = |tag| ifd.find_tag_unsigned_vec::<u64>(tag).ok().flatten();
        let (offsets, lengths) = if tiled {
            (list(Tag::TileOffsets)?, list(Tag::TileByteCounts)?)
        } else {
            (list(Tag::StripOffsets)?, list(Tag::StripByteCounts)?)
        };
        let chunks = Self {
            width: width as usize,
            height: height as usize,
            chunk: (
                usize::try_from(chunk.0).ok()?,
                usize::try_from(chunk.1).ok()?,
            ),
            tiled,
            offsets,
            lengths,
            packing,
            format,
        };
        let known = chunks.packing.is_known() && chunks.chunk.0 > 0 && chunks.chunk.1 > 0;
        known.then_some(chunks)
    }

    /// As many zeros as the band has samples; `None` where the sample type is another's to read.
    pub fn zeros(&self) -> Option<Samples> {
        let size = self.width * self.height;
        Some(match (self.format, self.packing.sample_bytes) {
            (1, 1) => Samples::U8(vec![0; size]),
            (1, 2) => Samples::U16(vec![0; size]),
            (2, 1 | 2) => Samples::I16(vec![0; size]),
            (1, 4) => Samples::U32(vec![0; size]),
            (2, 4) => Samples::I32(vec![0; size]),
            (3, 4) => Samples::F32(vec![0.0; size]),
            (3, 8) => Samples::F64(vec![0.0; size]),
            _ => return None,
        })
    }

    /// The row of tiles that holds a row of the image; the last for all beyond.
    pub fn row_of(&self, row: u32) -> usize {
        (row as usize).min(self.height.saturating_sub(1)) / self.chunk.1
    }

    /// Reads some rows of tiles into the samples, which are [`Chunks::zeros`] at first.
    pub fn read(
        &self,
        path: &Path,
        source: &dyn Source,
        rows: Range<usize>,
        samples: &mut Samples,
    ) -> Result<(), RasterError> {
        let from = (path, source);
        match (self.packing.sample_bytes, samples) {
            (1, Samples::U8(band)) => self.rows(from, rows, band, |[b]| b),
            (1, Samples::I16(band)) => {
                self.rows(from, rows, band, |b| i16::from(i8::from_le_bytes(b)))
            }
            (_, Samples::U16(band)) => self.rows(from, rows, band, u16::from_le_bytes),
            (_, Samples::I16(band)) => self.rows(from, rows, band, i16::from_le_bytes),
            (_, Samples::U32(band)) => self.rows(from, rows, band, u32::from_le_bytes),
            (_, Samples::I32(band)) => self.rows(from, rows, band, i32::from_le_bytes),
            (_, Samples::F32(band)) => self.rows(from, rows, band, f32::from_le_bytes),
            (_, Samples::F64(band)) => self.rows(from, rows, band, f64::from_le_bytes),
            _ => Err(RasterError::decode(path, "the samples are of another type")),
        }
    }

    fn rows<const N: usize, T: Copy + Send>(
        &self,
        (path, source): (&Path, &dyn Source),
        rows: Range<usize>,
        band: &mut [T],
        sample: impl Fn([u8; N]) -> T + Sync,
    ) -> Result<(), RasterError> {
        // Rows of tiles are apart in the band, so each can be filled on its own.
        let size = self.width * self.chunk.1.min(self.height);
        let begin = (rows.start * size).min(band.len());
        let end = (rows.end * size).min(band.len());
        band[begin..end]
            .par_chunks_mut(size)
            .enumerate()
            .try_for_each(|(row, band)| {
                self.row_of_chunks(path, source, rows.start + row, band, &sample)
            })
    }

    /// Fills `band`, the image's rows that the `row`-th row of tiles covers.
    fn row_of_chunks<const N: usize, T: Copy>(
        &self,
        path: &Path,
        source: &dyn Source,
        row: usize,
        band: &mut [T],
        sample: &impl Fn([u8; N]) -> T,
    ) -> Result<(), RasterError> {
        let (across, rows) = (self.width.div_ceil(self.chunk.0), band.len() / self.width);
        // A tile is whole even where the image is not; the last strip is cut to the image.
        let stored_rows = if self.tiled { self.chunk.1 } else { rows };
        for column in 0..across {
            let Some(bytes) = self.chunk_bytes(path, source, row * across + column, stored_rows)?
            else {
                continue;
            };
            let left = column * self.chunk.0;
            let pixel = N * self.packing.samples_per_pixel;
            let stored = bytes.chunks_exact(self.chunk.0 * pixel);
            for (target, source) in band.chunks_exact_mut(self.width).zip(stored) {
                let pixels = source.chunks_exact(pixel);
                for (t, bytes) in target[left..].iter_mut().zip(pixels) {
                    if let Some(first) = bytes.first_chunk() {
                        *t = sample(*first);
                    }
                }
            }
        }
        Ok(())
    }

    /// The bytes of a tile or strip; `None` for one that a sparse file leaves out.
    fn chunk_bytes(
        &self,
        path: &Path,
        source: &dyn Source,
        index: usize,
        rows: usize,
    ) -> Result<Option<Vec<u8>>, RasterError> {
        let bad = |what: String| {
            let kind = if self.tiled { "tile" } else { "strip" };
            RasterError::decode(path, format!("{kind} {index}: {what}"))
        };
        let (Some(&offset), Some(&length)) = (self.offsets.get(index), self.lengths.get(index))
        else {
            return Err(bad("the file does not say where it is".to_owned()));
        };
        if length == 0 {
            return Ok(None);
        }
        let row = self
            .chunk
            .0
            .saturating_mul(self.packing.sample_bytes * self.packing.samples_per_pixel);
        let size = row.saturating_mul(rows);
        let file_length = source
            .size()
            .map_err(|e| RasterError::io(path, "read", e))?;
        if size as u64 > MAX_SAMPLES {
            return Err(RasterError::too_large(
                path,
                format!("a tile or strip has {size} bytes; at most {MAX_SAMPLES} are read"),
            ));
        }
        if offset.saturating_add(length) > file_length {
            return Err(bad(
                "it lies beyond the end of the file; is the download whole?".to_owned(),
            ));
        }
        // Nothing that is packed needs much more room than what it holds.
        let length = length.min(2 * size as u64 + 1024);
        let mut packed = vec![0; length as usize];
        source
            .read_exact_at(&mut packed, offset)
            .map_err(|e| RasterError::io(path, "read", e))?;
        self.packing
            .unpack(&packed, size, row)
            .map(Some)
            .map_err(bad)
    }
}
