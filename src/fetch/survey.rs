//! What stands in a staging directory: what earlier runs left there that may be used again or
//! removed, and what is not cotec's own.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sys::disk;
use crate::values::staged;

use super::landed;

/// What the record of landed objects may grow by before it is written anew.
const GROWTH: u64 = 64 << 10;

/// What stands in a staging directory.
#[derive(Debug, Default)]
pub struct Survey {
    /// Bytes of files that cotec does not know. They are never removed.
    pub foreign: u64,
    /// Bytes of the directories and of cotec's records.
    pub books: u64,
    /// What earlier runs left: complete objects as they were recorded, and landing files.
    pub(super) left: Vec<Left>,
}

/// A file that an earlier run left.
#[derive(Debug)]
pub(super) struct Left {
    pub path: PathBuf,
    /// Bytes that it takes on the disk.
    pub bytes: u64,
}

impl Survey {
    /// Looks through a staging directory. Scratch directories are passed over.
    ///
    /// # Errors
    /// A directory or the record of landed objects cannot be read.
    pub fn take(root: &Path) -> io::Result<Survey> {
        let standing = landed::standing(root)?;
        let mut survey = Survey {
            books: GROWTH,
            ..Survey::default()
        };
        for entry in fs::read_dir(root)? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), entry.path());
            match name.to_str() {
                Some(staged::SCRATCH) => {}
                Some(staged::LANDING) => survey.landing_files(&path)?,
                Some(name) if name.starts_with(staged::LANDED) || name == staged::LOCK => {
                    survey.books += disk::used(&path);
                }
                _ => survey.walk(&path, &standing)?,
            }
        }
        Ok(survey)
    }

    /// The bytes of what earlier runs left.
    pub fn left_bytes(&self) -> u64 {
        self.left.iter().map(|left| left.bytes).sum()
    }

    /// Data files are left; their records are small, and go with them.
    fn landing_files(&mut self, dir: &Path) -> io::Result<()> {
        self.books += fs::metadata(dir).map_or(0, |meta| disk::blocks(&meta));
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "parts") {
                continue;
            }
            let bytes = disk::used(&path);
            self.left.push(Left { path, bytes });
        }
        Ok(())
    }

    fn walk(&mut self, path: &Path, standing: &HashSet<PathBuf>) -> io::Result<()> {
        let meta = fs::symlink_metadata(path)?;
        let bytes = disk::blocks(&meta);
        if meta.is_dir() {
            self.books += bytes;
            let entries = match fs::read_dir(path) {
                // What cannot be looked into was not made by cotec, such as lost+found.
                Err(e) if e.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
                entries => entries?,
            };
            for entry in entries {
                self.walk(&entry?.path(), standing)?;
            }
        } else if standing.contains(path) {
            let path = path.to_owned();
            self.left.push(Left { path, bytes });
        } else {
            self.foreign += bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::Landed;
    use crate::values::Verified;
    use crate::values::staged::Tree;
    use std::fs::File;

    #[test]
    fn what_was_recorded_is_known_and_what_was_touched_is_foreign() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let tree = Tree::Bucket("b".to_owned());
        let mut landed = Landed::open(root, "b", &tree).unwrap();
        for key in ["p/a", "p/b"] {
            let path = tree.path(root, key);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, vec![1; 10_000]).unwrap();
            let file = File::open(&path).unwrap();
            landed
                .add(key, 10_000, Some("e"), &file, Verified::Md5)
                .unwrap();
        }
        fs::write(tree.path(root, "p/b"), vec![1; 9_000]).unwrap();
        fs::write(tree.path(root, "p/mine"), vec![1; 50_000]).unwrap();
        fs::create_dir(root.join(staged::LANDING)).unwrap();
        fs::write(root.join(staged::LANDING).join("k0"), vec![1; 20_000]).unwrap();
        fs::write(root.join(staged::LANDING).join("k0.parts"), "{}").unwrap();
        fs::create_dir_all(staged::scratch_path(root, 1, 1)).unwrap();
        let survey = Survey::take(root).unwrap();
        let mut left: Vec<_> = survey.left.iter().map(|left| left.path.clone()).collect();
        left.sort();
        let landing = root.join(staged::LANDING).join("k0");
        assert_eq!(left, [landing, tree.path(root, "p/a")]);
        assert!(survey.left_bytes() >= 30_000);
        assert!(survey.foreign >= 59_000, "{}", survey.foreign);
    }
}
