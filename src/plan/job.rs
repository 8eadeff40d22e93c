//! One job: a task on a product.

use std::collections::BTreeMap;

use super::per_band;
use super::prepare::{Kind, Product, kind};
use super::resolve::{Candidate, Choice, NoChoice, choose};
use super::safe::SafeMetadata;
use crate::task::{
    BandRef, JobPayload, PayloadInput, Processor, Radiometry, Role, Scale, Task, sentinel2_band,
};

/// A job before it is registered.
#[derive(Debug)]
pub(super) struct Draft {
    pub payload: JobPayload,
    /// The positions of the inputs in the product's listing.
    pub objects: Vec<usize>,
}

impl Draft {
    /// Adds an object, once; its position among the inputs.
    fn input(&mut self, product: &Product, object: usize, role: Role) -> usize {
        if let Some(known) = self.objects.iter().position(|one| *one == object) {
            return known;
        }
        if let Some(info) = product.listing.objects.get(object) {
            let key = info.key.clone();
            self.payload.inputs.push(PayloadInput { key, role });
            self.objects.push(object);
        }
        self.objects.len().saturating_sub(1)
    }
}

/// Finds what a task needs of a product, or says why the job cannot be done.
pub(super) fn draft(task: &Task, name: &str, product: &Product) -> Result<Draft, String> {
    let mut draft = Draft {
        payload: JobPayload {
            product: name.to_owned(),
            prefix: product.listing.prefix.clone(),
            radiometry: task.radiometry,
            ..JobPayload::default()
        },
        objects: Vec::new(),
    };
    match kind(task, product.mtd) {
        Kind::Objects => refuse_cut(product)?,
        Kind::Safe => {
            let metadata = match &product.safe {
                Some(Ok(metadata)) => metadata,
                Some(Err(reason)) => return Err(reason.clone()),
                None => return Err("its metadata was not read".to_owned()),
            };
            safe(task, product, metadata, &mut draft)?;
        }
        Kind::PerBand => {
            refuse_cut(product)?;
            bands_by_name(task, product, &mut draft)?;
        }
    }
    for pattern in &task.objects {
        let before = draft.objects.len();
        for (position, object) in product.listing.objects.iter().enumerate() {
            if pattern.is_match(product.listing.relative(object)) {
                draft.input(product, position, Role::Object);
            }
        }
        let glob = pattern.glob().glob();
        let any = |object| pattern.is_match(product.listing.relative(object));
        if draft.objects.len() == before && !product.listing.objects.iter().any(any) {
            return Err(format!("no object of the product matches {glob:?}"));
        }
    }
    if draft.objects.is_empty() {
        return Err("the product has no object for it".to_owned());
    }
    Ok(draft)
}

fn refuse_cut(product: &Product) -> Result<(), String> {
    match &product.safe {
        Some(Err(reason)) if product.listing.cut => Err(reason.clone()),
        _ => Ok(()),
    }
}

fn safe(
    task: &Task,
    product: &Product,
    metadata: &SafeMetadata,
    draft: &mut Draft,
) -> Result<(), String> {
    let candidates = safe_candidates(task, product, metadata);
    let (choices, notes) = choose(task, &candidates, true).map_err(|why| match why {
        NoChoice::Ambiguous(reason) => reason,
        NoChoice::Missing(band) => {
            let listed = |image: &String| metadata.band_of(image).is_some_and(|(b, _)| b == band);
            if metadata.images.iter().any(listed) {
                format!(
                    "band {band} is in the product's metadata, but its file is not in the store"
                )
            } else {
                format!("the product has no band {band}")
            }
        }
    })?;
    draft.payload.notes.extend(notes);
    let mut scaled = false;
    for choice in choices {
        let actual = choice.stands_in.as_deref().unwrap_or(&choice.band);
        let scale = metadata.scale(actual);
        scaled |= scale.is_some();
        add_band(product, draft, choice, scale);
    }
    if !scaled && needs_reflectance(task) && task.bands.iter().any(|b| spectral(b)) {
        fall_back(task, draft);
    }
    add_metadata(task, product, draft);
    Ok(())
}

/// The images of the metadata that are in the store, under whichever extension.
fn safe_candidates(task: &Task, product: &Product, metadata: &SafeMetadata) -> Vec<Candidate> {
    let mut by_stem: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (position, object) in product.listing.objects.iter().enumerate() {
        let path = product.listing.relative(object);
        if let Some((stem, extension)) = path.rsplit_once('.')
            && ["jp2", "tif", "tiff"]
                .iter()
                .any(|known| extension.eq_ignore_ascii_case(known))
        {
            by_stem.entry(stem).or_default().push(position);
        }
    }
    let wanted = |band: &str| {
        let stands_in = band == "B8A" && task.bands.iter().any(|one| one == "B08");
        stands_in || task.bands.iter().any(|one| one == band)
    };
    let mut candidates: Vec<Candidate> = Vec::new();
    for image in &metadata.images {
        let Some((band, resolution)) = metadata.band_of(image).filter(|(band, _)| wanted(band))
        else {
            continue;
        };
        for position in by_stem.get(image.as_str()).into_iter().flatten() {
            if candidates.iter().any(|one| one.object == *position) {
                continue;
            }
            let object = product.listing.objects.get(*position);
            candidates.push(Candidate {
                band: band.to_owned(),
                resolution: Some(resolution),
                object: *position,
                path: object
                    .map_or("", |o| product.listing.relative(o))
                    .to_owned(),
            });
        }
    }
    candidates
}

fn bands_by_name(task: &Task, product: &Product, draft: &mut Draft) -> Result<(), String> {
    let candidates = per_band::candidates(&product.listing, &task.bands);
    let (choices, notes) = choose(task, &candidates, false).map_err(|why| match why {
        NoChoice::Ambiguous(reason) => reason,
        NoChoice::Missing(band) => format!("no file of the product has band {band} in its name"),
    })?;
    draft.payload.notes.extend(notes);
    let mut scaled = false;
    for choice in choices {
        let key = product
            .listing
            .objects
            .get(choice.object)
            .map(|object| object.key.as_str());
        let item = product.stac.as_ref().zip(key);
        let scale = item.and_then(|((_, scales), key)| scales.scale(key));
        scaled |= scale.is_some();
        add_band(product, draft, choice, scale);
    }
    if let (true, Some((position, _))) = (scaled, &product.stac) {
        draft.input(product, *position, Role::Metadata);
    }
    if !scaled && needs_reflectance(task) {
        fall_back(task, draft);
    }
    Ok(())
}

/// Whether reflectance matters to the task: a command reads the files itself.
fn needs_reflectance(task: &Task) -> bool {
    task.radiometry == Radiometry::Reflectance && !matches!(task.processor, Processor::Run(_))
}

/// Whether a band's digital numbers stand for reflectance; masks and the like are known by name.
fn spectral(band: &str) -> bool {
    sentinel2_band(band).is_none_or(|known| known.band_id.is_some())
}

/// The product says nothing about reflectance: the job file's scale, or else digital numbers.
fn fall_back(task: &Task, draft: &mut Draft) {
    match task.scale {
        Some(scale) => {
            for (name, band) in &mut draft.payload.bands {
                if spectral(name) {
                    band.quantification = Some(scale.quantification);
                    band.add_offset = Some(scale.add_offset);
                }
            }
        }
        None => {
            draft.payload.radiometry = Radiometry::Dn;
            draft.payload.notes.push(
                "no reflectance metadata: computed on digital numbers (give scale and offset in the job file)"
                    .to_owned(),
            );
        }
    }
}

fn add_band(product: &Product, draft: &mut Draft, choice: Choice, scale: Option<Scale>) {
    let input = draft.input(product, choice.object, Role::Band);
    let scale = scale.filter(|_| draft.payload.radiometry == Radiometry::Reflectance);
    let band = BandRef {
        input,
        resolution: choice.resolution,
        stands_in: choice.stands_in,
        quantification: scale.map(|scale| scale.quantification),
        add_offset: scale.map(|scale| scale.add_offset),
    };
    draft.payload.bands.insert(choice.band, band);
}

/// A formula needs only the file that names its bands; other programs want a SAFE directory with
/// all its metadata.
fn add_metadata(task: &Task, product: &Product, draft: &mut Draft) {
    if let Some(mtd) = product.mtd {
        draft.input(product, mtd, Role::Metadata);
    }
    if task.is_formula() {
        return;
    }
    for (position, object) in product.listing.objects.iter().enumerate() {
        let path = product.listing.relative(object);
        let parts: Vec<&str> = path.split('/').collect();
        let metadata = match parts.as_slice() {
            ["manifest.safe" | "INSPIRE.xml"] => true,
            [file] | ["GRANULE" | "DATASTRIP", _, file] => {
                file.starts_with("MTD_") && file.ends_with(".xml")
            }
            _ => false,
        };
        if metadata {
            draft.input(product, position, Role::Metadata);
        }
    }
}
