//! The checksum that goes along with what is uploaded, for the store to compare.
//!
//! `x-amz-checksum-crc32c` first: the store keeps it, so that whoever downloads the object can
//! compare it again. A store that refuses it gets `Content-MD5`, which all of them know.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::store::sum::{Algorithm, Sum, Summer};

/// Bytes read at a time.
const CHUNK: usize = 256 << 10;

/// The first choice.
pub(super) const FIRST: Algorithm = Algorithm::Crc32c;
/// The second.
pub(super) const SECOND: Algorithm = Algorithm::Md5;

/// The header that carries it, in lower case.
pub(super) fn header(algorithm: Algorithm) -> &'static str {
    algorithm.header().unwrap_or("content-md5")
}

/// The checksum of some bytes of a file. Blocks.
pub(super) fn of_file(
    path: &Path,
    start: u64,
    length: u64,
    algorithm: Algorithm,
) -> io::Result<Sum> {
    let file = std::fs::File::open(path)?;
    let mut summer = Summer::new(algorithm);
    let mut buffer = vec![0; CHUNK];
    let mut at = start;
    while at < start + length {
        let most = usize::try_from(start + length - at).map_or(CHUNK, |left| left.min(CHUNK));
        let read = file.read_at(&mut buffer[..most], at)?;
        if read == 0 {
            let what = "it got shorter while it was read";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        summer.add(&buffer[..read]);
        at += read as u64;
    }
    Ok(summer.take())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_of_a_part_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"..123456789..").unwrap();
        // The check value of CRC-32C, and the MD5 of the same digits.
        let crc = of_file(&path, 2, 9, FIRST).unwrap();
        assert_eq!(crc.bytes(), 0xe306_9283u32.to_be_bytes());
        let md5 = of_file(&path, 2, 9, SECOND).unwrap();
        assert_eq!(md5.to_base64(), "JfnnlDI7RTiF9RgfG2JNCw==");
        assert_eq!(of_file(&path, 2, 0, FIRST).unwrap().bytes(), [0; 4]);
        let error = of_file(&path, 2, 100, FIRST).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(
            (header(FIRST), header(SECOND)),
            ("x-amz-checksum-crc32c", "content-md5")
        );
    }
}
