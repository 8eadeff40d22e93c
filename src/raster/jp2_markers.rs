//! Follows the markers of a JPEG2000 codestream, trusting none of them.

use std::ops::Range;

use super::jp2_boxes::{be16, be32};

/// What the SIZ marker of a codestream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Size {
    /// Columns of the image.
    pub width: u32,
    /// Rows of the image.
    pub height: u32,
    /// Number of tiles.
    pub tiles: u64,
    /// Pixels of a whole tile, at most those of the image.
    pub tile_pixels: u64,
    /// Number of components.
    pub components: u16,
    /// Bits of a sample of the first component.
    pub bits: u8,
    /// Whether samples of the first component are signed.
    pub signed: bool,
    /// Whether the first component has a sample for each pixel.
    pub full: bool,
    /// First row of the image on the reference grid, and the row after its last.
    pub rows: Range<u32>,
    /// First row of the grid of tiles.
    pub tile_row: u32,
    /// Rows of a tile.
    pub tile_height: u32,
    /// Tiles side by side.
    pub across: u32,
}

impl Size {
    /// Reads the SIZ marker, which is the first after SOC; `None` where it makes no sense.
    pub fn of(codestream: &[u8]) -> Option<Self> {
        if !codestream.starts_with(b"\xff\x4f\xff\x51") {
            return None;
        }
        let at = |i: usize| be32(codestream, 8 + 4 * i);
        let (x1, y1, x0, y0) = (at(0)?, at(1)?, at(2)?, at(3)?);
        let (tile_width, tile_height, tile_x0, tile_y0) = (at(4)?, at(5)?, at(6)?, at(7)?);
        let components = be16(codestream, 40)?;
        let depth = *codestream.get(42)?;
        if tile_width == 0 || tile_height == 0 || components == 0 {
            return None;
        }
        let across = x1.checked_sub(tile_x0)?.div_ceil(tile_width);
        let down = y1.checked_sub(tile_y0)?.div_ceil(tile_height);
        let (width, height) = (x1.checked_sub(x0)?, y1.checked_sub(y0)?);
        Some(Self {
            width,
            height,
            tile_pixels: u64::from(tile_width.min(width)) * u64::from(tile_height.min(height)),
            tiles: u64::from(across) * u64::from(down),
            components,
            bits: (depth & 0x7f) + 1,
            signed: depth & 0x80 != 0,
            full: codestream.get(43..45)? == [1, 1],
            rows: y0..y1,
            tile_row: tile_y0,
            tile_height,
            across,
        })
    }
}

/// What following the markers of a codestream finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The number of different tiles whose data is whole. A decoder that meets a missing tile
    /// leaves its pixels 0, which would pass for nodata.
    pub whole_tiles: u64,
    /// Pixels of the smallest code-block that any header allows for: a decoder keeps a record
    /// for each block of a tile.
    pub block_pixels: u64,
    /// The end of the main header.
    pub header_end: usize,
    /// The tile-parts: the tile and the bytes of each.
    pub parts: Vec<(u16, Range<usize>)>,
    /// Whether the main header holds packet headers of tiles (PPM).
    pub packed_headers: bool,
}

const SOT: u16 = 0xff90;
const SOD: u16 = 0xff93;
const EOC: u16 = 0xffd9;
const COD: u16 = 0xff52;
const COC: u16 = 0xff53;
const PPM: u16 = 0xff60;

impl Layout {
    /// Follows the main header and the tile-part headers of a codestream of so many components
    /// and tiles.
    pub fn of(codestream: &[u8], size: &Size) -> Self {
        let mut layout = Self {
            whole_tiles: 0,
            block_pixels: u64::MAX,
            header_end: 0,
            parts: Vec::new(),
            packed_headers: false,
        };
        let mut seen = vec![false; usize::try_from(size.tiles.min(65_535)).unwrap_or(0)];
        let mut at = layout.header(codestream, 2, size.components);
        layout.header_end = at;
        while be16(codestream, at) == Some(SOT) {
            let (Some(tile), Some(part)) = (be16(codestream, at + 4), be32(codestream, at + 6))
            else {
                break;
            };
            // Length 0: the part reaches to the end of the codestream.
            let end = if part == 0 {
                codestream.len()
            } else {
                at.saturating_add(part as usize)
            };
            let whole = end <= codestream.len() && end > at;
            if let Some(flag) = seen.get_mut(usize::from(tile)) {
                *flag = whole;
            }
            if !whole {
                break;
            }
            layout.header(codestream, at + 12, size.components);
            layout.parts.push((tile, at..end));
            at = end;
        }
        layout.whole_tiles = seen.iter().filter(|s| **s).count() as u64;
        layout
    }

    /// Follows the marker segments from `at` to the first that ends a header; its place.
    fn header(&mut self, codestream: &[u8], mut at: usize, components: u16) -> usize {
        while let Some(marker) = be16(codestream, at) {
            if matches!(marker, SOT | SOD | EOC) {
                break;
            }
            let Some(length) = be16(codestream, at + 2) else {
                break;
            };
            let end = at + 2 + usize::from(length.max(2));
            let segment = codestream.get(at + 4..end).unwrap_or_default();
            let blocks = match marker {
                COD => style(segment.first(), segment.get(5..)),
                COC => {
                    let wide = usize::from(components > 256);
                    style(segment.get(1 + wide), segment.get(2 + wide..))
                }
                _ => None,
            };
            self.packed_headers |= marker == PPM;
            self.block_pixels = self.block_pixels.min(blocks.unwrap_or(u64::MAX));
            at = end;
        }
        at
    }
}

/// The most strips that a codestream is split into.
const MAX_STRIPS: u64 = 1024;

/// A codestream of one row of tiles.
pub(crate) struct Strip {
    /// The codestream: the main header with the image cut to the strip, then its tiles.
    pub codestream: Vec<u8>,
    /// Rows of the image that it holds.
    pub rows: usize,
}

/// Splits a codestream by rows of tiles, so that they can be decoded one by one: tiles do not
/// depend on each other, and each keeps its place on the reference grid. `None` where they
/// cannot be split.
pub(crate) fn strips(codestream: &[u8], size: &Size, layout: &Layout) -> Option<Vec<Strip>> {
    let header = codestream.get(..layout.header_end)?;
    if layout.packed_headers || size.across == 0 {
        return None;
    }
    let count = size.tiles / u64::from(size.across);
    // Each strip has a header of its own: not worth it for a great many.
    if count > MAX_STRIPS || count * header.len() as u64 > codestream.len() as u64 + (1 << 24) {
        return None;
    }
    let mut by_row = vec![Vec::new(); count as usize];
    for (tile, part) in &layout.parts {
        let row = by_row.get_mut((u32::from(*tile) / size.across) as usize)?;
        row.push((u32::from(*tile) % size.across, part.clone()));
    }
    (0u32..)
        .zip(by_row)
        .map(|(row, parts)| {
            let top = size
                .tile_row
                .checked_add(row.checked_mul(size.tile_height)?)?;
            let bottom = top.saturating_add(size.tile_height).min(size.rows.end);
            let first = top.max(size.rows.start);
            let rows = bottom.checked_sub(first).filter(|r| *r > 0)?;
            let mut out = header.to_vec();
            for (at, value) in [(12, bottom), (20, first), (36, top)] {
                out.get_mut(at..at + 4)?
                    .copy_from_slice(&value.to_be_bytes());
            }
            for (number, part) in parts {
                let start = out.len();
                out.extend_from_slice(codestream.get(part)?);
                out.get_mut(start + 4..start + 6)?
                    .copy_from_slice(&(number as u16).to_be_bytes());
            }
            out.extend_from_slice(&EOC.to_be_bytes());
            Some(Strip {
                codestream: out,
                rows: rows as usize,
            })
        })
        .collect()
}

/// The pixels of the smallest code-block of a coding style: blocks end where precincts do.
fn style(flags: Option<&u8>, parameters: Option<&[u8]>) -> Option<u64> {
    let [levels, width, height, _, _, precincts @ ..] = parameters? else {
        return None;
    };
    let (mut across, mut down) = ((width & 15) + 2, (height & 15) + 2);
    if flags? & 1 != 0 {
        for (level, size) in precincts.iter().take(usize::from(*levels) + 1).enumerate() {
            let halved = u8::from(level > 0);
            across = across.min((size & 15).saturating_sub(halved));
            down = down.min((size >> 4).saturating_sub(halved));
        }
    }
    Some(1 << (across + down))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn siz(width: u32, height: u32, tile: u32) -> Vec<u8> {
        let mut out = b"\xff\x4f\xff\x51\0\x29\0\0".to_vec();
        for v in [width, height, 0, 0, tile, tile, 0, 0] {
            out.extend_from_slice(&v.to_be_bytes());
        }
        out.extend_from_slice(&[0, 1, 14, 1, 1]);
        out
    }

    fn tile_part(tile: u16, data: &[u8]) -> Vec<u8> {
        let mut out = b"\xff\x90\0\x0a".to_vec();
        out.extend_from_slice(&tile.to_be_bytes());
        out.extend_from_slice(&(12 + data.len() as u32).to_be_bytes());
        out.extend_from_slice(&[0, 1]);
        out.extend_from_slice(data);
        out
    }

    #[test]
    fn sizes_and_tiles_are_counted() {
        let size = Size::of(&siz(10980, 10980, 1024)).unwrap();
        assert_eq!(
            (size.width, size.tiles, size.bits, size.signed),
            (10980, 121, 15, false)
        );
        assert_eq!(Size::of(&siz(1, 1, 0)), None);
        assert_eq!(Size::of(b"\xff\x4f\xff\x51\0"), None);
    }

    #[test]
    fn a_truncated_codestream_lacks_tiles() {
        let mut stream = siz(20, 10, 10);
        stream.extend(tile_part(0, b"abc"));
        stream.extend(tile_part(1, b"defg"));
        let size = Size::of(&stream).unwrap();
        let whole_tiles = |stream: &[u8]| Layout::of(stream, &size).whole_tiles;
        assert_eq!(whole_tiles(&stream), 2);
        stream.pop();
        assert_eq!(whole_tiles(&stream), 1);
        assert_eq!(whole_tiles(&stream[..59]), 0);
    }

    #[test]
    fn a_codestream_is_split_by_rows_of_tiles() {
        let mut stream = siz(20, 25, 10);
        for tile in [4, 0, 1, 3, 2, 5] {
            stream.extend(tile_part(tile, &[b'0' + tile as u8]));
        }
        let size = Size::of(&stream).unwrap();
        let layout = Layout::of(&stream, &size);
        assert_eq!((layout.whole_tiles, layout.parts.len()), (6, 6));
        let strips = strips(&stream, &size, &layout).unwrap();
        let rows: Vec<usize> = strips.iter().map(|s| s.rows).collect();
        assert_eq!(rows, [10, 10, 5]);
        let last = &strips[2].codestream;
        let cut = Size::of(last).unwrap();
        assert_eq!((cut.width, cut.height, cut.tiles), (20, 5, 2));
        assert_eq!((cut.rows.clone(), cut.tile_row), (20..25, 20));
        let expected = [tile_part(0, b"4"), tile_part(1, b"5")].concat();
        assert!(last[..last.len() - 2].ends_with(&expected));
        // Packet headers in the main header cannot be told apart.
        let packed = [&stream[..45], b"\xff\x60\0\x03\0", &stream[45..]].concat();
        let layout = Layout::of(&packed, &size);
        assert!(layout.whole_tiles == 6 && super::strips(&packed, &size, &layout).is_none());
    }

    #[test]
    fn the_smallest_code_block_is_found_in_any_header() {
        let plain = b"\xff\x52\0\x0c\0\0\0\x01\0\x04\x04\x04\0\x01";
        let small = b"\xff\x52\0\x0e\x01\0\0\x01\0\x01\x04\x04\0\x01\x53\x31";
        let mut stream = siz(20, 10, 20);
        let size = Size::of(&stream).unwrap();
        let smallest = |stream: &[u8]| Layout::of(stream, &size).block_pixels;
        assert_eq!(smallest(&stream), u64::MAX);
        stream.extend(plain);
        assert_eq!(smallest(&stream), 64 * 64);
        // Precincts of 8 x 32, then 2 x 8, of which the latter are halved.
        stream.extend(tile_part(0, small));
        assert_eq!(smallest(&stream), 4);
    }
}
