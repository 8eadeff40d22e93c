//! Reads the first component of a JPEG2000 file (JP2 or bare codestream).

use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use hayro_jpeg2000::{DecodeSettings, DecoderContext, Image};
use rayon::prelude::*;

use super::band::{Raster, Samples, check_size};
use super::error::RasterError;
use super::geo::Geo;
use super::jp2_boxes::Boxes;
use super::jp2_markers::{Layout, Size, Strip, strips};
use super::{gmljp2, tiff_band, tiff_geo};

/// The largest file read; a 10,980 x 10,980 band has about 130 MB.
const MAX_FILE: u64 = 4 << 30;

/// The most code-blocks of a tile; Sentinel-2's tiles have at most a few thousand.
const MAX_BLOCKS: u64 = 1 << 22;

/// Reads the first component of `path`.
pub(crate) fn read(path: &Path) -> Result<Raster, RasterError> {
    let file = read_file(path)?;
    let boxes = Boxes::of(&file);
    let codestream = boxes.codestream.unwrap_or_default();
    let size = Size::of(codestream)
        .ok_or_else(|| RasterError::decode(path, "the file holds no JPEG2000 codestream"))?;
    check_size(
        path,
        size.width.into(),
        size.height.into(),
        size.components.into(),
    )?;
    if size.signed || size.bits > 16 {
        return Err(RasterError::format(
            path,
            format!(
                "{} samples of {} bits are not supported in JPEG2000, only unsigned ones of up to \
                 16 bits; convert the file to GeoTIFF first",
                if size.signed { "signed" } else { "unsigned" },
                size.bits
            ),
        ));
    }
    if !size.full {
        return Err(RasterError::format(
            path,
            "the first component is subsampled, which is not supported",
        ));
    }
    let layout = Layout::of(codestream, &size);
    if layout.whole_tiles < size.tiles {
        return Err(RasterError::decode(
            path,
            format!(
                "only {} of {} tiles are there; is the download whole?",
                layout.whole_tiles, size.tiles
            ),
        ));
    }
    let blocks = size.tile_pixels * u64::from(size.components) / layout.block_pixels;
    if blocks > MAX_BLOCKS {
        return Err(RasterError::too_large(
            path,
            format!("a tile has up to {blocks} code-blocks; at most {MAX_BLOCKS} are read"),
        ));
    }
    let geo = georeference(path, &boxes)?;
    let samples = if size.bits <= 8 {
        decode(path, codestream, &size, &layout, |v| v as u8).map(Samples::U8)
    } else {
        decode(path, codestream, &size, &layout, |v| v as u16).map(Samples::U16)
    }?;
    Ok(Raster {
        width: size.width,
        height: size.height,
        samples,
        geo,
        nodata: None,
    })
}

fn read_file(path: &Path) -> Result<Vec<u8>, RasterError> {
    let io = |e| RasterError::io(path, "read", e);
    let file = std::fs::File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > MAX_FILE {
        return Err(RasterError::too_large(
            path,
            format!("the file has {length} bytes; at most {MAX_FILE} are read"),
        ));
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn georeference(path: &Path, boxes: &Boxes<'_>) -> Result<Option<Geo>, RasterError> {
    for xml in &boxes.xml {
        if let Some(geo) = gmljp2::georeference(xml).map_err(|what| RasterError::geo(path, what))? {
            return Ok(Some(geo));
        }
    }
    match boxes.geotiff {
        // A damaged GeoJP2 box leaves the band without georeference, as in GDAL.
        Some(tiff) => match tiff_band::open(path, Cursor::new(tiff)) {
            Ok(mut decoder) => tiff_geo::read(path, &mut decoder),
            Err(_) => Ok(None),
        },
        None => Ok(None),
    }
}

/// Decodes the first component, a row of tiles at a time and several in parallel, so that memory
/// holds the samples and a few rows of tiles. `round` makes a sample of a rounded value.
fn decode<T: Copy + Default + Send>(
    path: &Path,
    codestream: &[u8],
    size: &Size,
    layout: &Layout,
    round: impl Fn(f32) -> T + Sync,
) -> Result<Vec<T>, RasterError> {
    let strips = strips(codestream, size, layout).unwrap_or_else(|| {
        vec![Strip {
            codestream: codestream.to_vec(),
            rows: size.height as usize,
        }]
    });
    let width = size.width as usize;
    let mut band = vec![T::default(); width * size.height as usize];
    let mut rest = band.as_mut_slice();
    let mut parts = Vec::with_capacity(strips.len());
    for strip in strips {
        let (rows, after) = rest
            .split_at_mut_checked(strip.rows * width)
            .ok_or_else(|| RasterError::decode(path, "the tiles do not fit into the image"))?;
        parts.push((strip.codestream, rows));
        rest = after;
    }
    parts.into_par_iter().try_for_each(|(codestream, rows)| {
        // The decoder is not ours and the bytes are not either: a panic of its becomes an error.
        catch_unwind(AssertUnwindSafe(|| {
            decode_strip(&codestream, size, rows, &round)
        }))
        .unwrap_or_else(|_| Err("the JPEG2000 decoder gave up on damaged data".to_owned()))
        .map_err(|what| RasterError::decode(path, what))
    })?;
    Ok(band)
}

fn decode_strip<T>(
    codestream: &[u8],
    size: &Size,
    out: &mut [T],
    round: &impl Fn(f32) -> T,
) -> Result<(), String> {
    let settings = DecodeSettings {
        // The index into a palette is the band's value, not a colour.
        resolve_palette_indices: false,
        // Damage is an error, not a few wrong pixels.
        strict: true,
        target_resolution: None,
    };
    let image = Image::new(codestream, &settings).map_err(|e| e.to_string())?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(|e| e.to_string())?;
    let values = decoded
        .components()
        .first()
        .map(|c| c.samples())
        .filter(|v| image.width() == size.width && v.len() == out.len())
        .ok_or("the first component does not have one sample for each pixel")?;
    let max = f32::from(u16::MAX >> (16 - u32::from(size.bits)));
    for (out, value) in out.iter_mut().zip(values) {
        *out = round(value.round().clamp(0.0, max));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_give_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jp2");
        let mut siz = b"\xff\x4f\xff\x51\0\x29\0\0".to_vec();
        for v in [60_000u32, 60_000, 0, 0, 60_000, 60_000, 0, 0] {
            siz.extend_from_slice(&v.to_be_bytes());
        }
        siz.extend_from_slice(&[0, 1, 15, 1, 1]);
        std::fs::write(&path, &siz).unwrap();
        assert!(matches!(read(&path), Err(RasterError::TooLarge { .. })));
        std::fs::write(&path, b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\0").unwrap();
        let message = read(&path).unwrap_err().to_string();
        assert!(message.contains("no JPEG2000 codestream"), "{message}");
    }
}
