//! How much of the disk files and directories take.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The bytes that a file or directory takes on the disk, without what is below it.
pub fn blocks(meta: &Metadata) -> u64 {
    meta.blocks().saturating_mul(512)
}

/// The bytes that a file, or a directory with everything below it, takes on the disk. What comes or
/// goes meanwhile counts or does not; symbolic links are not followed.
pub fn used(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return 0;
    };
    let mut sum = blocks(&meta);
    if meta.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries {
            sum = sum.saturating_add(used(&entry.path()));
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::used;

    #[test]
    fn holes_take_nothing_and_what_is_written_does() {
        let dir = tempfile::tempdir().unwrap();
        let before = used(dir.path());
        let file = std::fs::File::create(dir.path().join("sparse")).unwrap();
        file.set_len(1 << 30).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("link")).unwrap();
        assert!(used(dir.path()) < before + (1 << 20));
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d/full"), vec![1; 1 << 20]).unwrap();
        assert!(used(dir.path()) >= before + (1 << 20));
        assert_eq!(used(&dir.path().join("none")), 0);
    }
}
