//! Image file directories of a classic little-endian TIFF.

use std::collections::BTreeMap;

use super::geo::{Crs, Geo};

/// What GDAL writes after the header of a COG: where things are and how tiles are framed.
pub(crate) const STRUCTURAL_METADATA: &[u8] = b"GDAL_STRUCTURAL_METADATA_SIZE=000140 bytes\n\
LAYOUT=IFDS_BEFORE_DATA\n\
BLOCK_ORDER=ROW_MAJOR\n\
BLOCK_LEADER=SIZE_AS_UINT4\n\
BLOCK_TRAILER=LAST_4_BYTES_REPEATED\n\
KNOWN_INCOMPATIBLE_EDITION=NO\n \0";

const TILE_OFFSETS: u16 = 324;
const TILE_BYTE_COUNTS: u16 = 325;

/// One value of a tag: its TIFF type, the number of values and their bytes.
struct Entry {
    kind: u16,
    count: u32,
    bytes: Vec<u8>,
}

/// A directory whose size is known before the offsets of its tiles are.
pub(crate) struct Directory {
    entries: BTreeMap<u16, Entry>,
    tiles: usize,
    offsets: Vec<u32>,
    lengths: Vec<u32>,
}

impl Directory {
    /// An empty directory of an image of so many tiles.
    pub fn new(tiles: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            tiles,
            offsets: Vec::with_capacity(tiles),
            lengths: Vec::with_capacity(tiles),
        }
    }

    fn set(&mut self, tag: u16, kind: u16, count: usize, bytes: Vec<u8>) {
        let count = count as u32;
        self.entries.insert(tag, Entry { kind, count, bytes });
    }

    /// Sets a tag of 16-bit numbers.
    pub fn short(&mut self, tag: u16, values: &[u16]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.set(tag, 3, values.len(), bytes);
    }

    /// Sets a tag of 32-bit numbers.
    pub fn long(&mut self, tag: u16, values: &[u32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.set(tag, 4, values.len(), bytes);
    }

    /// Sets a tag of 64-bit floats.
    pub fn double(&mut self, tag: u16, values: &[f64]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.set(tag, 12, values.len(), bytes);
    }

    /// Sets a tag of text.
    pub fn ascii(&mut self, tag: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.set(tag, 2, bytes.len(), bytes);
    }

    /// Sets the GeoTIFF tags.
    pub fn geo(&mut self, geo: &Geo) {
        let t = &geo.transform;
        self.double(33550, &[t.pixel_width, t.pixel_height, 0.0]);
        self.double(33922, &[0.0, 0.0, 0.0, t.origin_x, t.origin_y, 0.0]);
        let code = |model: u16, key: u16, code: u16| {
            [
                1, 1, 0, 3, 1024, 0, 1, model, 1025, 0, 1, 1, key, 0, 1, code,
            ]
        };
        match &geo.crs {
            None => {}
            Some(Crs::Projected(c)) => self.short(34735, &code(1, 3072, *c)),
            Some(Crs::Geographic(c)) => self.short(34735, &code(2, 2048, *c)),
            Some(Crs::Keys(keys)) => {
                let mut directory = keys.directory.clone();
                for key in directory.chunks_exact_mut(4).skip(1) {
                    // Coordinates are those of pixel corners here, whatever they were before.
                    if key[0] == 1025 && key[1] == 0 {
                        key[3] = 1;
                    }
                }
                self.short(34735, &directory);
                if !keys.doubles.is_empty() {
                    self.double(34736, &keys.doubles);
                }
                if !keys.ascii.is_empty() {
                    self.ascii(34737, &keys.ascii);
                }
            }
        }
    }

    /// Adds the next tile's place in the file and its length.
    pub fn add_tile(&mut self, offset: u32, length: u32) {
        self.offsets.push(offset);
        self.lengths.push(length);
    }

    /// The bytes it takes, the values that do not fit into its entries included.
    pub fn size(&self) -> usize {
        let tables = 2 * outside(self.tiles * 4);
        let values: usize = self.entries.values().map(|e| outside(e.bytes.len())).sum();
        2 + 12 * (self.entries.len() + 2) + 4 + tables + values
    }

    /// The directory as it stands at `start`, with the place of the one that follows.
    pub fn bytes(&self, start: u32, next: u32) -> Vec<u8> {
        let table = |values: &[u32]| Entry {
            kind: 4,
            count: values.len() as u32,
            bytes: values.iter().flat_map(|v| v.to_le_bytes()).collect(),
        };
        let tables = [
            (TILE_OFFSETS, table(&self.offsets)),
            (TILE_BYTE_COUNTS, table(&self.lengths)),
        ];
        let mut all: Vec<(u16, &Entry)> = self.entries.iter().map(|(t, e)| (*t, e)).collect();
        all.extend(tables.iter().map(|(t, e)| (*t, e)));
        all.sort_by_key(|(tag, _)| *tag);

        let mut out = (all.len() as u16).to_le_bytes().to_vec();
        let mut values = Vec::new();
        let values_start = start + (2 + 12 * all.len() + 4) as u32;
        for (tag, entry) in all {
            out.extend_from_slice(&tag.to_le_bytes());
            out.extend_from_slice(&entry.kind.to_le_bytes());
            out.extend_from_slice(&entry.count.to_le_bytes());
            if outside(entry.bytes.len()) == 0 {
                let mut inline = entry.bytes.clone();
                inline.resize(4, 0);
                out.extend_from_slice(&inline);
            } else {
                let at = values_start + values.len() as u32;
                out.extend_from_slice(&at.to_le_bytes());
                values.extend_from_slice(&entry.bytes);
                // Values begin at even places.
                values.resize(values.len().next_multiple_of(2), 0);
            }
        }
        out.extend_from_slice(&next.to_le_bytes());
        out.extend_from_slice(&values);
        out
    }
}

/// The bytes a value takes outside its entry: none up to four.
fn outside(length: usize) -> usize {
    if length <= 4 {
        0
    } else {
        length.next_multiple_of(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structural_metadata_has_the_length_it_states() {
        let first = STRUCTURAL_METADATA
            .iter()
            .position(|b| *b == b'\n')
            .unwrap()
            + 1;
        let stated = std::str::from_utf8(&STRUCTURAL_METADATA[..first]).unwrap();
        // One byte more, so that what follows stands at an even place.
        let payload = STRUCTURAL_METADATA.len() - first - 1;
        assert_eq!(
            stated,
            format!("GDAL_STRUCTURAL_METADATA_SIZE={payload:06} bytes\n")
        );
        assert_eq!(STRUCTURAL_METADATA.len() % 2, 0);
    }

    #[test]
    fn the_size_is_known_before_the_tiles() {
        for tiles in [1, 2, 7] {
            let mut d = Directory::new(tiles);
            d.short(256, &[7]);
            d.ascii(42113, "nan");
            d.ascii(34737, "odd|");
            d.double(33550, &[1.0, 1.0, 0.0]);
            let size = d.size();
            (0..tiles).for_each(|i| d.add_tile(i as u32, 9));
            assert_eq!(d.bytes(100, 0).len(), size);
        }
    }
}
