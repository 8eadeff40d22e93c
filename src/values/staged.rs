//! Where a key stands in the staging directory.
//!
//! `STAGING/<bucket>/<key>`, component by component, so that the staged tree has the bucket's
//! own layout. Components that a file system cannot hold, or that would lead out of the
//! directory, get another name that starts with `%~`; a component that itself starts with `%~`
//! gets one too, so that two keys never share a path. A key whose path would be too long to open
//! gets one component.

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

/// The longest file name that Linux file systems take.
const NAME_MAX: usize = 255;
/// The longest path of a key, from the bucket on. Linux opens paths of 4,095 bytes, and the staging
/// directory's own takes some of them. Keys of 1,024 bytes need more only when they have hundreds
/// of empty or dotted components.
const PATH_MAX: usize = 2048;
/// What an altered component starts with.
const MARK: &str = "%~";

/// The path of a staged object.
pub fn staged_path(staging: &Path, bucket: &str, key: &str) -> PathBuf {
    below(staging.join(component(bucket)), key)
}

fn below(mut path: PathBuf, key: &str) -> PathBuf {
    let parts: Vec<String> = key.split('/').map(component).collect();
    if parts.iter().map(|part| part.len() + 1).sum::<usize>() > PATH_MAX {
        path.push(hashed(key));
    } else {
        path.extend(parts);
    }
    path
}

/// Where an object may stand instead when another one's file or directory has its path: S3 may
/// hold the keys `a` and `a/b`, a file system only one of them. Names that no key has otherwise,
/// in the directories of its path below `root`, the nearest first.
pub fn elsewhere<'a>(root: &'a Path, plain: &'a Path) -> impl Iterator<Item = PathBuf> + 'a {
    let directories = plain.ancestors().skip(1);
    directories
        .take_while(move |directory| directory.starts_with(root))
        .filter_map(|directory| {
            let rest = plain.strip_prefix(directory).ok()?;
            // No component holds a slash, so no component is hashed to the same name.
            Some(directory.join(hashed(&format!("/{}", rest.display()))))
        })
}

/// The file of an object that has landed: at its plain path, or [`elsewhere`].
pub fn find(root: &Path, plain: PathBuf) -> PathBuf {
    if plain.is_file() {
        return plain;
    }
    let other = elsewhere(root, &plain).find(|path| path.is_file());
    other.unwrap_or(plain)
}

/// Which path under a directory a key gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// `<bucket>/<key>`, as in staging.
    Bucket(String),
    /// Below the prefix of this name: what follows it in the key, or the last part of the key
    /// that is the name itself.
    Below(String),
}

impl Tree {
    /// The path of a key under `root`.
    pub fn path(&self, root: &Path, key: &str) -> PathBuf {
        match self {
            Tree::Bucket(bucket) => staged_path(root, bucket, key),
            Tree::Below(name) => {
                let rest = key.strip_prefix(name.as_str()).unwrap_or(key);
                let rest = if name.is_empty() || name.ends_with('/') {
                    rest
                } else if rest.is_empty() {
                    key.rsplit('/').next().unwrap_or(key)
                } else {
                    rest.strip_prefix('/').unwrap_or(rest)
                };
                below(root.to_owned(), rest)
            }
        }
    }
}

/// Where the bytes of an object land until it is complete: in the same file system, under a
/// name that no key can have, one for each attempt.
pub fn landing_path(staging: &Path, slot: u32, attempt: u32) -> PathBuf {
    staging.join(LANDING).join(format!("{slot}.{attempt}"))
}

/// The same for a key of a bucket, whatever its slot: what landed of it is found again by the next
/// run.
pub fn landing_path_of_key(staging: &Path, bucket: &str, key: &str) -> PathBuf {
    let name = xxh3_128(format!("{bucket}\0{key}").as_bytes());
    staging.join(LANDING).join(format!("k{name:032x}"))
}

/// The scratch directory of an attempt at a job, inside the staging directory.
pub fn scratch_path(staging: &Path, job: u32, attempt: u32) -> PathBuf {
    staging.join(SCRATCH).join(format!("{job}.{attempt}"))
}

/// The job and the attempt of a scratch directory's name.
pub fn scratch_of(name: &str) -> Option<(u32, u32)> {
    let (job, attempt) = name.split_once('.')?;
    Some((job.parse().ok()?, attempt.parse().ok()?))
}

/// The scratch directory of a worker, inside the staging directory.
pub fn worker_scratch_path(staging: &Path, pid: u32) -> PathBuf {
    staging.join(SCRATCH).join(format!("w{pid}"))
}

/// The worker of a scratch directory's name.
pub fn worker_scratch_of(name: &str) -> Option<u32> {
    name.strip_prefix('w')?.parse().ok()
}

/// The directory of all scratch directories, inside the staging directory.
pub const SCRATCH: &str = "%~scratch";
/// The directory of all landing files, inside the staging directory.
pub const LANDING: &str = "%~landing";
/// The record of what is complete in staging, inside the staging directory.
pub const LANDED: &str = "%~landed.jsonl";
/// The lock that keeps two runs out of one staging directory.
pub const LOCK: &str = "%~lock";

fn component(part: &str) -> String {
    match part {
        "" => return format!("{MARK}empty"),
        "." => return format!("{MARK}dot"),
        ".." => return format!("{MARK}dotdot"),
        _ => {}
    }
    let plain = !part.starts_with(MARK) && !part.contains('\0') && part.len() <= NAME_MAX;
    if plain {
        return part.to_owned();
    }
    hashed(part)
}

/// A readable beginning and a hash of the whole: 128 bits do not meet by chance.
fn hashed(text: &str) -> String {
    let mut cut = text.len().min(160);
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    let head = text[..cut].replace(['\0', '/'], "_");
    format!("{MARK}{:032x}~{head}", xxh3_128(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::path::Component;

    #[test]
    fn ordinary_keys_keep_the_buckets_layout() {
        let at = |key| staged_path(Path::new("/s"), "eodata", key);
        assert_eq!(
            at("a/b c+d%20é.jp2"),
            Path::new("/s/eodata/a/b c+d%20é.jp2")
        );
    }

    #[test]
    fn a_tree_starts_below_its_name() {
        let at = |name: &str, key| Tree::Below(name.to_owned()).path(Path::new("/d"), key);
        assert_eq!(at("a/b/", "a/b/c/d"), Path::new("/d/c/d"));
        assert_eq!(at("a/b", "a/b/c/d"), Path::new("/d/c/d"));
        assert_eq!(at("a/b", "a/b"), Path::new("/d/b"));
        assert_eq!(at("b", "b"), Path::new("/d/b"));
        assert_eq!(at("", "a/c"), Path::new("/d/a/c"));
        assert_eq!(at("a/b", "a/b/../d"), Path::new("/d/%~dotdot/d"));
        let tree = Tree::Bucket("b".to_owned());
        assert_eq!(tree.path(Path::new("/d"), "a/c"), Path::new("/d/b/a/c"));
    }

    #[test]
    fn what_stands_elsewhere_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let plain = staged_path(root, "b", "p/a/x");
        let places: Vec<PathBuf> = elsewhere(root, &plain).collect();
        let above: Vec<_> = places.iter().map(|p| p.parent().unwrap()).collect();
        assert_eq!(
            above,
            [
                &root.join("b/p/a"),
                &root.join("b/p"),
                &root.join("b"),
                root
            ]
        );
        let mut names: HashSet<_> = places.iter().collect();
        names.extend([&plain]);
        assert_eq!(names.len(), 5);
        std::fs::create_dir_all(above[1]).unwrap();
        assert_eq!(find(root, plain.clone()), plain);
        std::fs::write(&places[1], b"").unwrap();
        assert_eq!(find(root, plain.clone()), places[1]);
        std::fs::create_dir(above[0]).unwrap();
        std::fs::write(&plain, b"").unwrap();
        assert_eq!(find(root, plain.clone()), plain);
    }

    #[test]
    fn no_key_leaves_the_directory_and_no_two_keys_meet() {
        let long = "x".repeat(300);
        let long2 = format!("{}y", "x".repeat(299));
        let slashes = "/".repeat(1000);
        let (deep, deep2) = (format!("{slashes}x"), format!("/{slashes}x"));
        let keys = [
            "..",
            "../..",
            "/",
            "/etc/passwd",
            "etc/passwd",
            "a//b",
            "a/b",
            "a/./b",
            "a/../b",
            "",
            ".",
            "%~empty",
            "%~dot",
            "%~dotdot",
            "a/%~dotdot/b",
            "a\0b",
            "a_b",
            &long,
            &long2,
            &deep,
            &deep2,
            "a/",
            "%~",
            "%~~",
        ];
        let mut seen = HashSet::new();
        for key in keys {
            let path = staged_path(Path::new("/s"), "b", key);
            assert!(path.starts_with("/s/b"), "{key:?} -> {path:?}");
            assert!(
                path.components()
                    .all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
            );
            assert!(path.components().all(|c| c.as_os_str().len() <= NAME_MAX));
            assert!(!path.as_os_str().to_string_lossy().contains('\0'));
            assert!(path.as_os_str().len() < 4096 - 1024);
            assert!(seen.insert(path.clone()), "{key:?} shares {path:?}");
        }
    }
}
