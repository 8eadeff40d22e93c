//! A colour picture of a result, at most 1,024 pixels wide and high.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::error::RasterError;
use super::indices::{ColorScale, Palette};

/// The longest side of a quick-look, in pixels.
pub const MAX_SIDE: usize = 1024;

/// Writes `values` (`width` columns, NaN is nodata) as a PNG in colours; nodata is transparent.
///
/// Without `colors`, the values between the 2nd and 98th percentile get the colours of
/// [`Palette::Quantity`].
///
/// # Errors
/// Where the file cannot be created or written.
pub(crate) fn write(
    path: &Path,
    width: usize,
    values: &[f32],
    colors: Option<ColorScale>,
) -> Result<(), RasterError> {
    let file = File::create(path).map_err(|e| RasterError::io(path, "create", e))?;
    let mut out = BufWriter::new(file);
    let scale = colors.unwrap_or_else(|| stretch(values));
    let picture = Picture::new(width, values, scale);
    picture
        .encode(&mut out, scale.palette)
        .map_err(|e| match e {
            png::EncodingError::IoError(e) => RasterError::io(path, "write", e),
            e => RasterError::io(path, "write", std::io::Error::other(e)),
        })?;
    out.flush().map_err(|e| RasterError::io(path, "write", e))
}

/// A picture whose pixels are places in a palette; 0 is transparent.
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// Means of square blocks of values, as palette places.
    fn new(width: usize, values: &[f32], scale: ColorScale) -> Self {
        let height = values.len() / width.max(1);
        let block = width.max(height).div_ceil(MAX_SIDE).max(1);
        let (across, down) = (width.div_ceil(block), height.div_ceil(block));
        let mut pixels = Vec::with_capacity(across * down);
        for rows in values.chunks(width.max(1) * block) {
            let (mut sums, mut counts) = (vec![0.0f64; across], vec![0u32; across]);
            for row in rows.chunks(width.max(1)) {
                for (x, part) in row.chunks(block).enumerate() {
                    for v in part.iter().filter(|v| !v.is_nan()) {
                        sums[x] += f64::from(*v);
                        counts[x] += 1;
                    }
                }
            }
            pixels.extend(sums.iter().zip(&counts).map(|(sum, count)| match count {
                0 => 0,
                n => place((sum / f64::from(*n)) as f32, scale),
            }));
        }
        Self {
            width: across,
            height: down,
            pixels,
        }
    }

    fn encode<W: Write>(&self, out: W, palette: Palette) -> Result<(), png::EncodingError> {
        let mut encoder = png::Encoder::new(out, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        let colors: Vec<u8> = (0..=255u8).flat_map(|i| color(palette, i)).collect();
        encoder.set_palette(colors);
        encoder.set_trns(vec![0]);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()
    }
}

/// The palette place of a value: 1 for the lowest, 255 for the highest.
fn place(value: f32, scale: ColorScale) -> u8 {
    let share = (value - scale.low) / (scale.high - scale.low);
    1 + (share.clamp(0.0, 1.0) * 254.0).round() as u8
}

/// The range between the 2nd and 98th percentile of a sample of the values.
fn stretch(values: &[f32]) -> ColorScale {
    let step = (values.len() / 100_000).max(1);
    let mut sample: Vec<f32> = values
        .iter()
        .step_by(step)
        .copied()
        .filter(|v| v.is_finite())
        .collect();
    sample.sort_by(f32::total_cmp);
    let at = |percent: usize| sample.get(sample.len() * percent / 100).copied();
    let (low, high) = (at(2).unwrap_or(0.0), at(98).unwrap_or(1.0));
    ColorScale {
        palette: Palette::Quantity,
        low,
        // All values the same: any range that is not empty.
        high: if high > low { high } else { low + 1.0 },
    }
}

/// The colours of a palette at equal steps; between them colours are mixed.
fn anchors(palette: Palette) -> &'static [[u8; 3]] {
    match palette {
        Palette::Vegetation => &[
            [0x6a, 0x3d, 0x1a],
            [0xa0, 0x6a, 0x35],
            [0xd3, 0xa9, 0x62],
            [0xf4, 0xe3, 0xa3],
            [0xd9, 0xe8, 0x8f],
            [0xa3, 0xd1, 0x69],
            [0x5f, 0xb0, 0x4b],
            [0x25, 0x86, 0x38],
            [0x00, 0x58, 0x2a],
        ],
        Palette::Water => &[
            [0x7a, 0x4a, 0x14],
            [0xbf, 0x8b, 0x41],
            [0xe6, 0xcf, 0x9b],
            [0xf5, 0xf3, 0xea],
            [0xb5, 0xdc, 0xe8],
            [0x6a, 0xb0, 0xd6],
            [0x2e, 0x7c, 0xb8],
            [0x08, 0x3a, 0x7a],
        ],
        Palette::Quantity => &[
            [0x44, 0x01, 0x54],
            [0x48, 0x28, 0x78],
            [0x3e, 0x4a, 0x89],
            [0x31, 0x68, 0x8e],
            [0x26, 0x82, 0x8e],
            [0x1f, 0x9e, 0x89],
            [0x35, 0xb7, 0x79],
            [0x6d, 0xcd, 0x59],
            [0xb4, 0xde, 0x2c],
            [0xfd, 0xe7, 0x25],
        ],
    }
}

/// The colour of a palette place.
fn color(palette: Palette, place: u8) -> [u8; 3] {
    let anchors = anchors(palette);
    let position = f64::from(place.saturating_sub(1)) / 254.0 * (anchors.len() - 1) as f64;
    let left = (position.floor() as usize).min(anchors.len() - 2);
    let share = position - left as f64;
    let (a, b) = (anchors[left], anchors[left + 1]);
    std::array::from_fn(|i| {
        (f64::from(a[i]) * (1.0 - share) + f64::from(b[i]) * share).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: ColorScale = ColorScale {
        palette: Palette::Vegetation,
        low: -1.0,
        high: 1.0,
    };

    #[test]
    fn values_get_colours_and_nodata_none() {
        assert_eq!((place(-9.0, SCALE), place(-1.0, SCALE)), (1, 1));
        assert_eq!((place(0.0, SCALE), place(9.0, SCALE)), (128, 255));
        for palette in [Palette::Vegetation, Palette::Water, Palette::Quantity] {
            let ends = anchors(palette);
            assert_eq!(color(palette, 1), ends[0]);
            assert_eq!(color(palette, 255), ends[ends.len() - 1]);
        }
    }

    #[test]
    fn large_results_are_shrunk_by_means_without_nodata() {
        let mut values = vec![f32::NAN; 2048 * 3];
        values[0] = 1.0;
        values[2049] = -1.0;
        let picture = Picture::new(2048, &values, SCALE);
        assert_eq!((picture.width, picture.height), (1024, 2));
        assert_eq!(picture.pixels[0], place(0.0, SCALE));
        assert!(picture.pixels[1..].iter().all(|p| *p == 0));
    }

    #[test]
    fn the_file_is_a_png_with_transparency() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q.png");
        write(&path, 3, &[0.0, f32::NAN, 2.0], None).unwrap();
        let file = std::io::BufReader::new(File::open(&path).unwrap());
        let mut decoder = png::Decoder::new(file);
        decoder.set_transformations(png::Transformations::EXPAND);
        let mut reader = decoder.read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let alpha: Vec<u8> = pixels.chunks_exact(4).map(|p| p[3]).collect();
        assert_eq!(alpha, [255, 0, 255]);
        write(&path, 1, &[f32::NAN], None).unwrap();
    }
}
