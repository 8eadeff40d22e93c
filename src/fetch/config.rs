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
    /// End when everything is registered and nothing is wanted any more, instead of when all
    /// jobs have ended.
    pub until_idle: bool,
}
