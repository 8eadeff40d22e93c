//! The project's files.

use std::fs;
use std::path::{Path, PathBuf};

/// A Rust file.
pub struct Source {
    /// Relative to the project.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

impl Source {
    /// The module of the first level that a file in `src` belongs to.
    pub fn module(&self) -> Option<String> {
        let (module, _) = self.path.strip_prefix("src/")?.split_once('/')?;
        Some(module.to_owned())
    }
}

/// The project's directory.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below a directory, in order.
pub fn sources(directory: &str) -> Vec<Source> {
    let mut paths: Vec<PathBuf> = Vec::new();
    collect(&root().join(directory), &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).unwrap(),
            path: path
                .strip_prefix(root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned(),
        })
        .collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path);
        }
    }
}

/// A file without its unit tests, which stand at its end.
pub fn production(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or_default()
}
