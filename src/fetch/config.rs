//! What a downloader is asked to do.

use std::path::PathBuf;

use crate::values::order::Order;
use crate::values::staged::Tree;

use super::control::Bounds;

/// What a downloader needs besides the table and the store.
#[derive(Clone, Debug)]
pub struct FetchConfig {
    /// The staging directory, absolute; the run holds its lock.
    pub staging: PathBuf,
    /// Which path in it an object gets.
    pub tree: Tree,
    /// Between which numbers of connections it may choose.
    pub connections: Bounds,
    /// In which order jobs begin.
    pub order: Order,
    /// Jobs that run at the same time.
    pub workers: usize,
    /// The room in staging, where there is a limit.
    pub space: Option<SpaceConfig>,
    /// End when everything is registered and nothing is wanted any more, instead of when all
    /// jobs have ended.
    pub until_idle: bool,
}

/// The room in staging.
#[derive(Clone, Debug)]
pub struct SpaceConfig {
    /// Bytes for everything that is cotec's own.
    pub limit: u64,
    /// Bytes that jobs write to their scratch directories, by the number of their task; 0 where
    /// nobody knows.
    pub scratch: Vec<u64>,
}
