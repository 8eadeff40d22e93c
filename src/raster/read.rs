//! Opens a band by what the file holds, whatever it is called.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::band::Raster;
use super::error::RasterError;
use super::{jp2_band, tiff_band};

/// Reads the first band of a GeoTIFF or JPEG2000 file; the first bytes tell which it is.
///
/// # Errors
/// Where the file cannot be read, is neither, is damaged, or is larger than [`MAX_PIXELS`](super::MAX_PIXELS).
pub fn read_band(path: &Path) -> Result<Raster, RasterError> {
    let mut file = File::open(path).map_err(|e| RasterError::io(path, "read", e))?;
    let mut head = [0u8; 12];
    let mut got = 0;
    while got < head.len() {
        match file.read(&mut head[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(RasterError::io(path, "read", e)),
        }
    }
    match Kind::of(&head[..got]) {
        Some(Kind::Tiff) => tiff_band::read(path),
        Some(Kind::Jpeg2000) => jp2_band::read(path),
        None if got == 0 => Err(RasterError::format(path, "the file is empty")),
        None => Err(RasterError::format(
            path,
            format!(
                "the file is neither a TIFF nor a JPEG2000: it begins with the bytes {:02x?}",
                &head[..got.min(8)]
            ),
        )),
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

    #[test]
    fn neither_format_and_empty_files_are_named_errors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("B04.jp2");
        std::fs::write(&path, b"<html>not found</html>").unwrap();
        let message = read_band(&path).unwrap_err().to_string();
        assert!(
            message.contains("neither a TIFF nor a JPEG2000"),
            "{message}"
        );
        std::fs::write(&path, b"").unwrap();
        assert!(read_band(&path).unwrap_err().to_string().contains("empty"));
        assert!(read_band(&dir.path().join("none")).is_err());
    }
}
