//! The files of a directory as keys, in the order of a listing.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a listing was asked for.
pub(super) struct Query<'a> {
    pub prefix: &'a str,
    pub delimiter: Option<&'a str>,
    /// Only keys and common prefixes beyond this one.
    pub after: &'a str,
    pub max: usize,
}

/// One line of a listing.
pub(super) enum Entry {
    Object { key: String, meta: fs::Metadata },
    Prefix(String),
}

impl Entry {
    pub(super) fn name(&self) -> &str {
        match self {
            Entry::Object { key, .. } => key,
            Entry::Prefix(prefix) => prefix,
        }
    }
}

pub(super) fn is_bucket_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

/// Where the object of that key is, `None` where no file can have that name.
pub(super) fn path_of(bucket: &Path, key: &str) -> Option<PathBuf> {
    let plain = |s: &str| !matches!(s, "" | "." | "..") && s.len() <= 255 && !s.contains('\0');
    key.split('/').all(plain).then(|| bucket.join(key))
}

/// Up to `max` entries in the order of their bytes, and whether there are more.
pub(super) fn list(bucket: &Path, query: &Query<'_>) -> io::Result<(Vec<Entry>, bool)> {
    let mut walk = Walk {
        query,
        found: Vec::new(),
        above: Vec::new(),
    };
    let more = query.max > 0 && walk.directory(bucket, "")?;
    Ok((walk.found, more))
}

struct Walk<'a> {
    query: &'a Query<'a>,
    found: Vec<Entry>,
    /// Device and inode of the directories above, so that a link to one of them ends there.
    above: Vec<(u64, u64)>,
}

impl Walk<'_> {
    /// Walks one directory, whose keys begin with `base`; true as soon as there is one entry more
    /// than wanted.
    fn directory(&mut self, path: &Path, base: &str) -> io::Result<bool> {
        let Some(names) = self.enter(path, base)? else {
            return Ok(false);
        };
        for (key, path, is_dir) in names {
            let Query { prefix, after, .. } = *self.query;
            let wanted = match (key.starts_with(prefix), is_dir) {
                (true, _) => true,
                (false, is_dir) => is_dir && prefix.starts_with(&key),
            };
            let beyond = key.as_str() > after || (is_dir && after.starts_with(&key));
            if !wanted || !beyond {
                continue;
            }
            let full = match (self.common_prefix(&key), is_dir) {
                (Some(common), _) => {
                    let known = self.found.last().is_some_and(|last| last.name() == common);
                    let skip = known
                        || common.as_str() <= after
                        || (is_dir && !self.holds_a_file(&path)?);
                    !skip && self.push(Entry::Prefix(common))
                }
                (None, true) => self.directory(&path, &key)?,
                (None, false) => match fs::metadata(&path) {
                    Ok(meta) => self.push(Entry::Object { key, meta }),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => false,
                    Err(e) => return Err(e),
                },
            };
            if full {
                return Ok(true);
            }
        }
        self.above.pop();
        Ok(false)
    }

    fn push(&mut self, entry: Entry) -> bool {
        if self.found.len() == self.query.max {
            return true;
        }
        self.found.push(entry);
        false
    }

    /// The prefix under which a key is grouped, where it is.
    fn common_prefix(&self, key: &str) -> Option<String> {
        let delimiter = self.query.delimiter?;
        let rest = key.strip_prefix(self.query.prefix)?;
        let at = rest.find(delimiter)?;
        key.get(..self.query.prefix.len() + at + delimiter.len())
            .map(str::to_owned)
    }

    fn holds_a_file(&mut self, path: &Path) -> io::Result<bool> {
        let Some(names) = self.enter(path, "")? else {
            return Ok(false);
        };
        for (_, path, is_dir) in names {
            if !is_dir || self.holds_a_file(&path)? {
                self.above.pop();
                return Ok(true);
            }
        }
        self.above.pop();
        Ok(false)
    }

    /// The entries of a directory as (key, path, is a directory), sorted. A directory's key ends
    /// with a slash, as all keys below it begin: that gives the order of a listing. `None` where
    /// the directory is gone, or is one of those above; else [`Walk::above`] has grown by one.
    #[allow(clippy::type_complexity)]
    fn enter(
        &mut self,
        path: &Path,
        base: &str,
    ) -> io::Result<Option<Vec<(String, PathBuf, bool)>>> {
        let (meta, entries) = match (fs::metadata(path), fs::read_dir(path)) {
            (Ok(meta), Ok(entries)) => (meta, entries),
            (Err(e), _) | (_, Err(e)) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            (Err(e), _) | (_, Err(e)) => return Err(e),
        };
        let id = (meta.dev(), meta.ino());
        if self.above.contains(&id) {
            return Ok(None);
        }
        self.above.push(id);
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let mut kind = entry.file_type()?;
            if kind.is_symlink() {
                match fs::metadata(&path) {
                    Ok(meta) => kind = meta.file_type(),
                    Err(_) => continue,
                }
            }
            let Ok(name) = entry.file_name().into_string() else {
                tracing::warn!(path = %path.display(), "a file whose name is not UTF-8 is no object");
                continue;
            };
            match (kind.is_dir(), kind.is_file()) {
                (true, _) => names.push((format!("{base}{name}/"), path, true)),
                (_, true) => names.push((format!("{base}{name}"), path, false)),
                _ => {}
            }
        }
        names.sort_unstable();
        Ok(Some(names))
    }
}

/// An ETag that changes when the file does, and is no MD5.
pub(super) fn etag(meta: &fs::Metadata) -> String {
    format!(
        "{:x}-{:x}-{:x}{:08x}",
        meta.ino(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec()
    )
}
