//! A PNG made so small that many of them fit on a page.

use std::io::Cursor;

use png::{BitDepth, ColorType, Compression, Decoder, Encoder, Limits, Transformations};

/// The longest side of a picture on the page, in pixels.
const SIDE: usize = 340;
/// Pixels of a picture that is looked at, at most.
const PIXELS: usize = 16_000_000;

/// A picture on the page.
pub struct Thumbnail {
    /// PNG.
    pub png: Vec<u8>,
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
}

/// The picture, smaller if it is larger than a page needs; `None` if it is no PNG, or a damaged or
/// a huge one.
pub fn of(png: Vec<u8>) -> Option<Thumbnail> {
    let mut decoder = Decoder::new_with_limits(Cursor::new(&png), Limits { bytes: 4 * PIXELS });
    decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
    let mut reader = decoder.read_info().ok()?;
    let (width, height) = (reader.info().width as usize, reader.info().height as usize);
    if width == 0 || height == 0 || width.checked_mul(height)? > PIXELS {
        return None;
    }
    let mut pixels = vec![0; reader.output_buffer_size()?];
    let frame = reader.next_frame(&mut pixels).ok()?;
    let block = width.max(height).div_ceil(SIDE);
    if block == 1 {
        return Some(Thumbnail { png, width, height });
    }
    let channels = frame.color_type.samples();
    let small = means(&pixels, width, channels, block);
    let (width, height) = (width.div_ceil(block), height.div_ceil(block));
    let png = encode(&small, (width, height), frame.color_type)?;
    Some(Thumbnail { png, width, height })
}

/// Means of square blocks. The last channel is how opaque a pixel is; what is transparent counts
/// as much less.
fn means(pixels: &[u8], width: usize, channels: usize, block: usize) -> Vec<u8> {
    let across = width.div_ceil(block);
    let mut small = Vec::new();
    for rows in pixels.chunks(width * channels * block) {
        let mut sums = vec![0_u64; across * channels];
        let mut counts = vec![0_u64; across];
        for row in rows.chunks_exact(width * channels) {
            for (x, pixel) in row.chunks_exact(channels).enumerate() {
                let Some((alpha, colours)) = pixel.split_last() else {
                    continue;
                };
                let alpha = u64::from(*alpha);
                let sums = &mut sums[x / block * channels..][..channels];
                for (sum, colour) in sums.iter_mut().zip(colours) {
                    *sum += u64::from(*colour) * alpha;
                }
                sums[channels - 1] += alpha;
                counts[x / block] += 1;
            }
        }
        for (sums, count) in sums.chunks_exact(channels).zip(counts) {
            let alpha = sums[channels - 1];
            let colours = sums[..channels - 1].iter();
            small.extend(colours.map(|sum| (sum / alpha.max(1)) as u8));
            small.push((alpha / count.max(1)) as u8);
        }
    }
    small
}

fn encode(pixels: &[u8], size: (usize, usize), colours: ColorType) -> Option<Vec<u8>> {
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, size.0 as u32, size.1 as u32);
    encoder.set_color(colours);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(pixels).ok()?;
    writer.finish().ok()?;
    Some(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, colours: ColorType) -> Vec<u8> {
        let pixels = vec![200; width * height * colours.samples()];
        encode(&pixels, (width, height), colours).unwrap()
    }

    #[test]
    fn large_pictures_become_small_ones() {
        for colours in [ColorType::Rgb, ColorType::Rgba, ColorType::Grayscale] {
            let small = of(picture(1000, 501, colours)).unwrap();
            assert_eq!((small.width, small.height), (334, 167), "{colours:?}");
            let mut reader = Decoder::new(Cursor::new(&small.png)).read_info().unwrap();
            let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut pixels).unwrap();
            assert_eq!(pixels[0], 200);
        }
        let same = picture(300, 340, ColorType::Rgb);
        assert_eq!(of(same.clone()).unwrap().png, same);
    }

    #[test]
    fn what_is_transparent_has_no_colour() {
        let pixels = [[10, 20, 30, 255], [90, 90, 90, 0]].concat();
        assert_eq!(means(&pixels, 2, 4, 2), [10, 20, 30, 127]);
    }

    #[test]
    fn what_is_no_picture_is_none() {
        let mut huge = picture(3, 3, ColorType::Rgb);
        huge[16..24].copy_from_slice(&[0x7f; 8]);
        let mut cut = picture(500, 500, ColorType::Rgb);
        cut.truncate(100);
        for bytes in [huge, cut, Vec::new(), b"GIF89a".to_vec()] {
            assert!(of(bytes).is_none());
        }
    }
}
