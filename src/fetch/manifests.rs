//! Which products' manifests are at hand, and which objects wait for one.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use crate::store::Sum;
use crate::table::{SlotId, Table, TableError};
use crate::values::ObjectState;
use crate::values::safe::manifest_of;
use crate::values::staged::Tree;

use super::integrity::Manifest;
use super::object::Object;

/// Manifests kept in memory; an older one is read again from staging.
const KEPT: usize = 32;
/// Bytes of a manifest at most; real ones have some tens of kilobytes.
const MAX_BYTES: u64 = 16 << 20;

/// What a product's manifest says of an object.
pub(super) enum Told {
    /// This, or nothing.
    Sum(Option<Sum>),
    /// It is registered and has not landed yet: its slot.
    Later(SlotId),
}

/// The manifests of the products under way.
#[derive(Debug, Default)]
pub(super) struct Manifests {
    read: HashMap<SlotId, Manifest>,
    waiting: HashMap<SlotId, Vec<Rc<Object>>>,
}

impl Manifests {
    /// What the manifest of its product says of an object. There is none for keys outside of SAFE
    /// products, and where no manifest is registered.
    pub fn ask(
        &mut self,
        table: &Table,
        (root, tree): (&Path, &Tree),
        key: &str,
    ) -> Result<Told, TableError> {
        let Some((manifest_key, path)) = manifest_of(key) else {
            return Ok(Told::Sum(None));
        };
        let Some(slot) = table.find_object(&manifest_key)? else {
            return Ok(Told::Sum(None));
        };
        if !self.read.contains_key(&slot) {
            let manifest = match table.object_state(slot)? {
                Some(ObjectState::Ready) => {
                    let file = tree.path(root, &manifest_key);
                    read(&file).map_or_else(
                        |why| {
                            table.note(&format!(
                                "the manifest {manifest_key:?} cannot be used ({why}); the product's objects are compared with what the store says of them"
                            ))?;
                            Ok::<_, TableError>(Manifest::default())
                        },
                        Ok,
                    )?
                }
                // That it failed was said.
                Some(ObjectState::Failed) => Manifest::default(),
                Some(ObjectState::Evicted) => {
                    table.want(slot)?;
                    return Ok(Told::Later(slot));
                }
                Some(ObjectState::Wanted | ObjectState::Fetching) | None => {
                    return Ok(Told::Later(slot));
                }
            };
            if self.read.len() >= KEPT {
                self.read.clear();
            }
            self.read.insert(slot, manifest);
        }
        Ok(Told::Sum(self.read.get(&slot).and_then(|m| m.sum(path))))
    }

    /// How many objects wait.
    pub fn waiting(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Lets a landed object wait for the manifest of that slot.
    pub fn wait(&mut self, slot: SlotId, object: Rc<Object>) {
        self.waiting.entry(slot).or_default().push(object);
    }

    /// The objects that waited for this slot, which has ended.
    pub fn ended(&mut self, slot: SlotId) -> Vec<Rc<Object>> {
        self.waiting.remove(&slot).unwrap_or_default()
    }
}

fn read(file: &Path) -> Result<Manifest, String> {
    let size = fs::metadata(file).map_err(|e| e.to_string())?.len();
    if size > MAX_BYTES {
        return Err(format!("it has {size} bytes"));
    }
    Manifest::parse(&fs::read(file).map_err(|e| e.to_string())?)
}
