//! Files that are there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where a file stands until it is whole.
fn part_of(path: &Path) -> io::Result<PathBuf> {
    let is_directory = || io::Error::from(io::ErrorKind::IsADirectory);
    let file = path.file_name().filter(|_| !path.is_dir());
    let mut name = OsString::from(".");
    name.push(file.ok_or_else(is_directory)?);
    name.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(name))
}

/// Whether a file can be written there.
///
/// # Errors
/// Why not.
pub fn can_be_written(path: &Path) -> io::Result<()> {
    let part = part_of(path)?;
    File::create(&part)?;
    fs::remove_file(&part)
}

/// Writes a file that is there whole or not at all.
///
/// # Errors
/// The system's.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = part_of(path)?;
    let written = File::create(&part)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        let _ = fs::remove_file(&part);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        can_be_written(&path).unwrap();
        for text in ["one", "two"] {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        for path in [dir.path().to_owned(), dir.path().join("no/file")] {
            assert!(can_be_written(&path).is_err() && write(&path, b"").is_err());
        }
    }
}
