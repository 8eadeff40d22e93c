//! Opens a band by what the file holds, whatever it is called.

use std::path::Path;

use super::band::Raster;
use super::error::RasterError;
use super::incoming::Incoming;
use super::source::Whole;

/// Reads the first band of a GeoTIFF or JPEG2000 file; the first bytes tell which it is.
///
/// # Errors
/// Where the file cannot be read, is neither, is damaged, or is larger than [`MAX_PIXELS`](super::MAX_PIXELS).
pub fn read_band(path: &Path) -> Result<Raster, RasterError> {
    let source = Whole::open(path).map_err(|e| RasterError::io(path, "read", e))?;
    let mut band = Incoming::open(path, &source)?;
    band.decode_to(u32::MAX)?;
    Ok(band.raster)
}

#[cfg(test)]
mod tests {
    use super::*;

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
