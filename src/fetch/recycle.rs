//! Removes what nobody needs from staging, and knows what earlier runs left there.
//!
//! Objects of this run are slots. What earlier runs left gets numbers of its own that no slot has,
//! until a slot of this run turns out to be the same object.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::sys::{death, disk};
use crate::table::{SlotId, Table, TableError};
use crate::values::ObjectState;
use crate::values::staged::{self, Tree};

use super::landed::Landed;
use super::landing;
use super::survey::Survey;

/// The first number of what earlier runs left; slots are below it.
const LEFT: u32 = 1 << 31;

/// Removes files from a staging directory.
#[derive(Debug)]
pub(super) struct Recycler {
    root: PathBuf,
    bucket: String,
    tree: Tree,
    left: HashMap<u32, PathBuf>,
    numbers: HashMap<PathBuf, u32>,
}

/// What an earlier run left of an object, which is the object's own from now on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Adopted {
    /// The numbers that it had.
    pub numbers: Vec<u32>,
    /// Bytes of the disk that it takes.
    pub bytes: u64,
}

impl Recycler {
    pub fn new(root: &Path, bucket: &str, tree: &Tree) -> Recycler {
        Recycler {
            root: root.to_owned(),
            bucket: bucket.to_owned(),
            tree: tree.clone(),
            left: HashMap::new(),
            numbers: HashMap::new(),
        }
    }

    /// Takes in what stands in staging; the number of each file, and its bytes. What a downloader
    /// of this run left under the number of a slot is removed.
    pub fn take_in(&mut self, survey: Survey) -> Vec<(u32, u64)> {
        let mut numbered = Vec::new();
        for (number, left) in (LEFT..).zip(survey.left) {
            if landing::is_of_slot(&left.path) {
                let _ = fs::remove_file(&left.path);
                continue;
            }
            self.numbers.insert(left.path.clone(), number);
            self.left.insert(number, left.path);
            numbered.push((number, left.bytes));
        }
        numbered
    }

    /// Finds what an earlier run left of an object; what is no longer the same is removed.
    pub fn adopt(
        &mut self,
        table: &Table,
        landed: &Landed,
        slot: SlotId,
    ) -> Result<Adopted, TableError> {
        let mut adopted = Adopted::default();
        if self.left.is_empty() {
            return Ok(adopted);
        }
        let key = table.key(slot)?;
        let place = staged::find(&self.root, self.tree.path(&self.root, &key));
        if let Some(number) = self.numbers.remove(&place) {
            self.left.remove(&number);
            adopted.numbers.push(number);
            let etag = table.etag(slot)?;
            let held = landed.holds(&key, table.size(slot)?, etag.as_deref(), &place);
            if held.is_some() || table.object_state(slot)? == Some(ObjectState::Ready) {
                adopted.bytes += disk::used(&place);
            } else {
                self.remove(&place);
            }
        }
        let path = staged::landing_path_of_key(&self.root, &self.bucket, &key);
        if let Some(number) = self.numbers.remove(&path) {
            self.left.remove(&number);
            adopted.numbers.push(number);
            adopted.bytes += disk::used(&path);
        }
        Ok(adopted)
    }

    /// Removes what nobody holds from staging: a slot, or what an earlier run left. False if it is
    /// being fetched.
    pub fn recycle(
        &mut self,
        table: &Table,
        landed: &mut Landed,
        number: u32,
    ) -> Result<bool, TableError> {
        if let Some(path) = self.left.remove(&number) {
            self.numbers.remove(&path);
            self.remove(&path);
            return Ok(true);
        }
        if number >= LEFT {
            return Ok(true);
        }
        let slot = SlotId(number);
        let key = table.key(slot)?;
        let place = staged::find(&self.root, self.tree.path(&self.root, &key));
        let ours = match table.object_state(slot)? {
            Some(ObjectState::Fetching) => return Ok(false),
            // The table first: whoever claims a job after this finds that its input is gone.
            Some(ObjectState::Ready) => table.evict(slot)?,
            _ => {
                let (size, etag) = (table.size(slot)?, table.etag(slot)?);
                landed.holds(&key, size, etag.as_deref(), &place).is_some()
            }
        };
        if ours {
            death::point("object-evicted");
            self.remove(&place);
            death::point("object-removed");
            // The record is none of what was removed; it is left as it is where it cannot be
            // written.
            let _ = landed.gone(&self.root, &self.tree);
        }
        let path = staged::landing_path_of_key(&self.root, &self.bucket, &key);
        landing::remove(&path);
        Ok(true)
    }

    /// Removes a landing file with its record, or an object with the directories that it leaves
    /// empty.
    fn remove(&self, path: &Path) {
        let landing = self.root.join(staged::LANDING);
        if path.starts_with(&landing) {
            return landing::remove(path);
        }
        let _ = fs::remove_file(path);
        for directory in path.ancestors().skip(1) {
            let inside = directory != self.root && directory.starts_with(&self.root);
            if !inside || fs::remove_dir(directory).is_err() {
                return;
            }
        }
    }
}
