//! One product, listed and with its metadata read.

use super::error::PlanError;
use super::listing::{Listing, MAX_OBJECTS};
use super::safe::SafeMetadata;
use super::sink::PlanSink;
use super::stac::StacScales;
use crate::store::ObjectInfo;
use crate::task::{Layout, Radiometry, Task};
use crate::values::safe::is_manifest;

/// Bytes of a metadata object at most; real ones have some tens of kilobytes.
pub(super) const MAX_METADATA: u64 = 32 << 20;

/// JSON files looked at in search of a STAC item.
const MAX_JSON: usize = 4;

/// A product, ready for its jobs.
#[derive(Debug)]
pub(super) struct Product {
    pub listing: Listing,
    /// The position of `MTD_MSI*.xml` in the listing.
    pub mtd: Option<usize>,
    /// What that says, where a task needs it, or why it cannot be used.
    pub safe: Option<Result<SafeMetadata, String>>,
    /// The position of a STAC item in the listing, and what it says.
    pub stac: Option<(usize, StacScales)>,
}

/// How the objects of a product are found for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Safe,
    PerBand,
    Objects,
}

/// The layout that holds for a task on a product.
pub(super) fn kind(task: &Task, mtd: Option<usize>) -> Kind {
    match task.layout {
        Layout::Safe => Kind::Safe,
        Layout::PerBand => Kind::PerBand,
        Layout::Objects => Kind::Objects,
        Layout::Auto if task.bands.is_empty() => Kind::Objects,
        Layout::Auto if mtd.is_some() => Kind::Safe,
        Layout::Auto => Kind::PerBand,
    }
}

/// The position of the product's `MTD_MSI*.xml`, directly in its directory; Level-2A first.
pub(super) fn find_mtd(listing: &Listing) -> Option<usize> {
    let mut found = None;
    for (position, object) in listing.objects.iter().enumerate() {
        let path = listing.relative(object);
        if path.starts_with("MTD_MSI") && path.ends_with(".xml") && !path.contains('/') {
            if path == "MTD_MSIL2A.xml" {
                return Some(position);
            }
            found = found.or(Some(position));
        }
    }
    found
}

/// Reads the metadata that the tasks need.
pub(super) async fn prepare(
    listing: Listing,
    tasks: &[(u32, &Task)],
    sink: &dyn PlanSink,
) -> Result<Product, PlanError> {
    let mtd = find_mtd(&listing);
    for object in &listing.objects {
        if is_manifest(&object.key) {
            sink.manifest(object)?;
        }
    }
    let mut product = Product {
        listing,
        mtd,
        safe: None,
        stac: None,
    };
    if product.listing.cut {
        let reason = format!(
            "it has more than {MAX_OBJECTS} objects; a product is one image, so this is rather a prefix that holds products"
        );
        product.safe = Some(Err(reason));
        return Ok(product);
    }
    let safe = tasks.iter().any(|(_, task)| kind(task, mtd) == Kind::Safe);
    if safe {
        let object = mtd.and_then(|position| product.listing.objects.get(position));
        let Some(object) = object else {
            product.safe = Some(Err("it has no MTD_MSI*.xml in its directory".to_owned()));
            return Ok(product);
        };
        let name = product.listing.relative(object);
        product.safe = Some(match read(object, sink).await? {
            Ok(bytes) => SafeMetadata::parse(&bytes)
                .map_err(|why| format!("its {name} cannot be used: {why}")),
            Err(why) => Err(format!("its {name} cannot be read: {why}")),
        });
    }
    let scaled = tasks.iter().any(|(_, task)| {
        kind(task, mtd) == Kind::PerBand
            && task.radiometry == Radiometry::Reflectance
            && !matches!(task.processor, crate::task::Processor::Run(_))
    });
    if scaled {
        product.stac = find_stac(&product.listing, sink).await?;
    }
    Ok(product)
}

/// The first STAC item among the JSON files directly in the product's directory, the one named
/// like the product first.
async fn find_stac(
    listing: &Listing,
    sink: &dyn PlanSink,
) -> Result<Option<(usize, StacScales)>, PlanError> {
    let bare = listing.prefix.trim_end_matches('/');
    let name = bare.rsplit('/').next().unwrap_or(bare);
    let mut files: Vec<(bool, usize, &ObjectInfo)> = listing
        .objects
        .iter()
        .enumerate()
        .filter_map(|(position, object)| {
            let path = listing.relative(object);
            let stem = path.strip_suffix(".json")?;
            (!path.contains('/')).then_some((stem != name, position, object))
        })
        .collect();
    files.sort_by_key(|(other, position, _)| (*other, *position));
    for (_, position, object) in files.into_iter().take(MAX_JSON) {
        // What cannot be read is no item; the job says that it found none.
        if let Ok(bytes) = read(object, sink).await?
            && let Some(scales) = StacScales::parse(&bytes)
        {
            return Ok(Some((position, scales)));
        }
    }
    Ok(None)
}

/// The bytes of a metadata object, or why this one cannot be had.
async fn read(
    object: &ObjectInfo,
    sink: &dyn PlanSink,
) -> Result<Result<Vec<u8>, String>, PlanError> {
    if object.size > MAX_METADATA {
        return Ok(Err(format!("{} bytes are no metadata", object.size)));
    }
    match sink.metadata(object).await {
        Ok(bytes) => Ok(Ok(bytes)),
        Err(PlanError::Metadata { reason, .. }) => Ok(Err(reason)),
        Err(error) => Err(error),
    }
}
