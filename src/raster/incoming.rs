//! A band of which some rows are decoded, and the others when they are asked for.

use std::io::Read;
use std::path::Path;

use super::band::Raster;
use super::error::RasterError;
use super::source::{Reader, Source};
use super::tiff_chunks::Chunks;
use super::{jp2_band, tiff_band};

/// A band of full size; rows that are not decoded yet hold zeros.
pub(crate) struct Incoming<'a> {
    pub raster: Raster,
    path: &'a Path,
    source: &'a dyn Source,
    /// What is not decoded yet: from this row of tiles on.
    rest: Option<(Chunks, usize)>,
}

impl<'a> Incoming<'a> {
    /// Reads what the file says of itself. A JPEG2000 file, and a TIFF of a kind that is not read
    /// tile by tile, is read as a whole.
    pub fn open(path: &'a Path, source: &'a dyn Source) -> Result<Incoming<'a>, RasterError> {
        let io = |e| RasterError::io(path, "read", e);
        let mut head = Vec::with_capacity(12);
        let mut reader = Reader::new(source).map_err(io)?.take(12);
        reader.read_to_end(&mut head).map_err(io)?;
        let (raster, rest) = match Kind::of(&head) {
            Some(Kind::Tiff) => tiff_band::begin(path, source)?,
            Some(Kind::Jpeg2000) => (jp2_band::read(&source.whole().map_err(io)?)?, None),
            None if head.is_empty() => return Err(RasterError::format(path, "the file is empty")),
            None => {
                return Err(RasterError::format(
                    path,
                    format!(
                        "the file is neither a TIFF nor a JPEG2000: it begins with the bytes {:02x?}",
                        head.get(..8).unwrap_or(&head)
                    ),
                ));
            }
        };
        Ok(Incoming {
            raster,
            path,
            source,
            rest: rest.map(|chunks| (chunks, 0)),
        })
    }

    /// Decodes up to and with a row of the image, if it has so many.
    pub fn decode_to(&mut self, row: u32) -> Result<(), RasterError> {
        let Some((chunks, next)) = &mut self.rest else {
            return Ok(());
        };
        let end = chunks.row_of(row) + 1;
        if end > *next {
            chunks.read(self.path, self.source, *next..end, &mut self.raster.samples)?;
            *next = end;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tiff,
    Jpeg2000,
}

impl Kind {
    fn of(head: &[u8]) -> Option<Self> {
        const TIFF: [&[u8]; 4] = [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
        const JPEG2000: [&[u8]; 2] = [b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"];
        if TIFF.iter().any(|m| head.starts_with(m)) {
            Some(Self::Tiff)
        } else if JPEG2000.iter().any(|m| head.starts_with(m)) {
            Some(Self::Jpeg2000)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_format() {
        assert_eq!(Kind::of(b"II*\0\x08\0\0\0"), Some(Kind::Tiff));
        assert_eq!(Kind::of(b"MM\0+"), Some(Kind::Tiff));
        assert_eq!(Kind::of(b"\0\0\0\x0cjP  \r\n\x87\n"), Some(Kind::Jpeg2000));
        assert_eq!(Kind::of(b"\xff\x4f\xff\x51"), Some(Kind::Jpeg2000));
        assert_eq!(Kind::of(b"\x89PNG"), None);
        assert_eq!(Kind::of(b""), None);
    }
}
