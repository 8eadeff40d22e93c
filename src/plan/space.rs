//! Jobs that can never have room in staging are refused before anything of them is downloaded.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

use super::prepare::Product;
use crate::schedule::Room;
use crate::store::ObjectInfo;
use crate::values::bytes;
use crate::values::safe::{is_manifest, manifest_of};

/// The room that staging has for jobs.
#[derive(Debug)]
pub(super) struct Space {
    limit: Option<u64>,
    /// What was promised so far, where nothing is ever removed.
    kept: Option<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: u64,
    /// Hashes of the keys that are counted.
    keys: HashSet<u64>,
}

impl Space {
    /// Room for so many bytes. With `keep` for all jobs together, else for each alone.
    pub fn new(limit: Option<u64>, keep: bool) -> Space {
        Space {
            limit,
            kept: (limit.is_some() && keep).then(Kept::default),
        }
    }

    /// Takes the room of a job: for the objects that it needs, and so many bytes of scratch.
    ///
    /// # Errors
    /// Why it can never have it, and what to do.
    pub fn take<'a>(
        &mut self,
        objects: impl Iterator<Item = &'a ObjectInfo>,
        scratch: u64,
    ) -> Result<(), String> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let inputs: Vec<(u64, u64)> = objects
            .map(|object| (xxh3_64(object.key.as_bytes()), object.size))
            .collect();
        let numbered: Vec<(u32, u64)> = (0..)
            .zip(&inputs)
            .map(|(n, (_, size))| (n, *size))
            .collect();
        let sum = |sizes: &mut dyn Iterator<Item = u64>| sizes.fold(0, u64::saturating_add);
        let needed = sum(&mut inputs.iter().map(|(_, size)| *size));
        if !Room::fits_alone(limit, &numbered, scratch) {
            let all = needed.saturating_add(scratch);
            return Err(format!(
                "it needs {} of staging, {}, and staging has {} for jobs; raise --staging-limit, or take smaller products",
                bytes::text(all),
                parts(inputs.len(), needed, scratch),
                bytes::text(limit),
            ));
        }
        let Some(kept) = &mut self.kept else {
            return Ok(());
        };
        let new = inputs.iter().filter(|(key, _)| !kept.keys.contains(key));
        let more = sum(&mut new.map(|(_, size)| *size)).saturating_add(scratch);
        let all = kept.bytes.saturating_add(more);
        if all > limit {
            return Err(format!(
                "with --keep nothing is removed, and with this job ({}) the run would need {} of staging, which has {} for jobs; raise --staging-limit, or leave --keep out",
                parts(inputs.len(), needed, scratch),
                bytes::text(all),
                bytes::text(limit),
            ));
        }
        kept.bytes = all;
        kept.keys.extend(inputs.iter().map(|(key, _)| *key));
        Ok(())
    }
}

fn parts(objects: usize, needed: u64, scratch: u64) -> String {
    let objects = match objects {
        1 => format!("{} for its object", bytes::text(needed)),
        n => format!("{} for its {n} objects", bytes::text(needed)),
    };
    match scratch {
        0 => objects,
        scratch => format!(
            "{objects} and {} for its scratch directory",
            bytes::text(scratch)
        ),
    }
}

/// The manifests that the objects of a job are compared with, which have to be in staging with
/// them.
pub(super) fn manifests<'a>(product: &'a Product, objects: &[&ObjectInfo]) -> Vec<&'a ObjectInfo> {
    let listed = product.listing.objects.iter();
    listed
        .filter(|found| is_manifest(&found.key))
        .filter(|found| !objects.iter().any(|object| object.key == found.key))
        .filter(|found| {
            let mut keys = objects.iter().map(|object| manifest_of(&object.key));
            keys.any(|manifest| manifest.is_some_and(|(key, _)| key == found.key))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, size: u64) -> ObjectInfo {
        ObjectInfo {
            key: key.to_owned(),
            size,
            etag: None,
            last_modified: None,
        }
    }

    #[test]
    fn a_job_that_never_fits_is_refused_with_its_sizes_and_the_way_out() {
        let (a, b) = (object("a", 6 << 20), object("b", 3 << 20));
        let mut space = Space::new(Some(10 << 20), false);
        assert_eq!(space.take([&a, &b].into_iter(), 1 << 20), Ok(()));
        assert_eq!(
            space.take([&a, &b].into_iter(), 1 << 20),
            Ok(()),
            "for each alone"
        );
        let why = space.take([&a, &b].into_iter(), 2 << 20).unwrap_err();
        for part in [
            "11MiB",
            "9MiB for its 2 objects",
            "2MiB for its scratch",
            "10MiB",
            "--staging-limit",
        ] {
            assert!(why.contains(part), "{why}");
        }
        assert_eq!(
            Space::new(None, true).take([&a].into_iter(), u64::MAX),
            Ok(())
        );
    }

    #[test]
    fn where_all_is_kept_all_must_fit_together() {
        let (a, b) = (object("a", 6 << 20), object("b", 3 << 20));
        let mut space = Space::new(Some(10 << 20), true);
        assert_eq!(space.take([&a].into_iter(), 0), Ok(()));
        assert_eq!(
            space.take([&a].into_iter(), 1 << 20),
            Ok(()),
            "the same object"
        );
        assert_eq!(space.take([&b].into_iter(), 0), Ok(()));
        let why = space.take([&b].into_iter(), 1).unwrap_err();
        assert!(why.contains("--keep") && why.contains("10.01MiB"), "{why}");
    }
}
