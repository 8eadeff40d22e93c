//! The planner: products in, jobs out, in order, with the next products under way.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use xxhash_rust::xxh3::xxh3_64;

use super::error::PlanError;
use super::group::{self, Gathered};
use super::job::draft;
use super::listing::{Listing, list_product, nearest_product};
use super::per_band::{band_words, candidates};
use super::prepare::{Kind, Product, find_mtd, kind, prepare};
use super::products::Products;
use super::recipe;
use super::sink::{BrokenJob, PlanSink, PlannedJob};
use super::source::ProductSource;
use super::space::{Space, manifests};
use super::unique::Names;
use crate::store::ObjectInfo;
use crate::task::{
    GroupBy, JobFile, JobFileError, JobPayload, ProductSpec, Task, TemplateError, Upload, nearest,
};
use crate::values::Limits;

/// The recipe is added to a payload last.
const ROOM_OF_RECIPE: usize = 64;
/// S3 takes no longer keys.
const LONGEST_KEY: usize = 1024;

/// How much the planner does ahead.
#[derive(Clone, Copy, Debug)]
pub struct PlanOptions {
    /// Products listed, and their metadata awaited, at the same time; at least 1.
    pub ahead: usize,
    /// Named products that are looked up before the first job is registered, so that a wrong name
    /// is known before anything is downloaded. Those after them fail their own jobs.
    pub checked_names: usize,
    /// The bytes of staging that jobs may have, where there is a limit.
    pub staging: Option<u64>,
    /// Whether nothing is removed from staging, so that all jobs together have this room.
    pub keep: bool,
}

impl Default for PlanOptions {
    fn default() -> Self {
        PlanOptions {
            ahead: 16,
            checked_names: 256,
            staging: None,
            keep: false,
        }
    }
}

/// What was planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlanSummary {
    /// Products found.
    pub products: u64,
    /// Jobs registered.
    pub jobs: u64,
    /// Jobs that failed before they began.
    pub broken: u64,
}

/// Tasks with the same products.
struct Group<'a> {
    spec: &'a ProductSpec,
    tasks: Vec<(u32, &'a Task)>,
}

/// Listings made ahead of their turn, by prefix.
type Ahead = RefCell<HashMap<String, Listing>>;

/// Plans a job file: finds its products in `source`, and registers objects and jobs with `sink`,
/// product by product in the order given and task by task within a product. Jobs on groups of
/// products come after those of the single ones, when all are known. Runs on the caller's thread;
/// memory does not grow with the number of products but for some bytes each, and the inputs of
/// groups.
///
/// # Errors
/// What the job file asks for and is not there, before anything is registered; then the store, or
/// the sink. What is wrong with one product only fails its jobs.
pub async fn plan(
    jobfile: &JobFile,
    source: &dyn ProductSource,
    sink: &dyn PlanSink,
    options: &PlanOptions,
) -> Result<PlanSummary, PlanError> {
    let groups = groups(jobfile);
    let ahead = Ahead::default();
    for group in &groups {
        check_names(group, source, options, &ahead).await?;
        check_first(group, source, &ahead).await?;
    }
    let mut run = Run {
        sink,
        names: Names::default(),
        summary: PlanSummary::default(),
        recipes: HashMap::new(),
        space: Space::new(options.staging, options.keep),
        written: HashSet::new(),
        gathered: HashMap::new(),
    };
    for group in &groups {
        let products = Products::new(source, group.spec);
        let found = stream::try_unfold(products, |mut products| async {
            Ok(products.next().await?.map(|found| (found, products)))
        });
        let (tasks, ahead) = (&group.tasks, &ahead);
        let mut ready = Box::pin(
            found
                .map_ok(|prefix: String| async move {
                    let listing = listing(source, &prefix, ahead).await?;
                    prepare(listing, tasks, sink).await
                })
                .try_buffered(options.ahead.max(1)),
        );
        while let Some(product) = ready.try_next().await? {
            run.product(&product, tasks)?;
        }
        run.groups(tasks)?;
    }
    Ok(run.summary)
}

/// A product's listing, made ahead or now.
async fn listing(
    source: &dyn ProductSource,
    prefix: &str,
    ahead: &Ahead,
) -> Result<Listing, PlanError> {
    let known = ahead.borrow_mut().remove(prefix);
    match known {
        Some(listing) => Ok(listing),
        None => list_product(source, prefix).await,
    }
}

fn groups(jobfile: &JobFile) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut specs: Vec<&Arc<ProductSpec>> = Vec::new();
    for (number, task) in (0u32..).zip(&jobfile.tasks) {
        let known = specs
            .iter()
            .position(|spec| Arc::ptr_eq(spec, &task.products));
        match known.and_then(|at| groups.get_mut(at)) {
            Some(group) => group.tasks.push((number, task)),
            None => {
                specs.push(&task.products);
                groups.push(Group {
                    spec: &task.products,
                    tasks: vec![(number, task)],
                });
            }
        }
    }
    groups
}

/// Lists the first named products; an unknown name is the whole plan's error.
async fn check_names(
    group: &Group<'_>,
    source: &dyn ProductSource,
    options: &PlanOptions,
    ahead: &Ahead,
) -> Result<(), PlanError> {
    let names = group.spec.names.iter().take(options.checked_names);
    let mut listings =
        stream::iter(names)
            .map(|name| async move {
                Ok::<_, PlanError>((name, list_product(source, &name.prefix).await?))
            })
            .buffered(options.ahead.max(1) * 2);
    while let Some((name, listing)) = listings.try_next().await? {
        if listing.objects.is_empty() {
            let bare = name.prefix.trim_end_matches('/');
            return Err(name
                .place
                .error(format!("the store has no product {bare:?}"))
                .nearest(nearest_product(source, &name.prefix).await?)
                .into());
        }
        // A product of another group has its listing already.
        ahead.borrow_mut().insert(name.prefix.clone(), listing);
    }
    Ok(())
}

/// Looks at the first product: is there one, and does it have what the tasks ask for?
async fn check_first(
    group: &Group<'_>,
    source: &dyn ProductSource,
    ahead: &Ahead,
) -> Result<(), PlanError> {
    let Some(first) = Products::new(source, group.spec).next().await? else {
        return Err(no_products(group.spec).into());
    };
    let listing = listing(source, &first, ahead).await?;
    let mtd = find_mtd(&listing);
    let name = first.trim_end_matches('/');
    for (_, task) in group.tasks.iter().filter(|_| !listing.cut) {
        match kind(task, mtd) {
            Kind::Objects => {}
            Kind::Safe if mtd.is_none() => {
                return Err(task
                    .places
                    .field("layout")
                    .error(format!(
                        "the product {name:?} is no SAFE: it has no MTD_MSI*.xml"
                    ))
                    .help("leave `layout` out, or use \"per-band\"")
                    .into());
            }
            Kind::Safe => task.check_sentinel2_bands()?,
            Kind::PerBand => {
                let found = candidates(&listing, &task.bands);
                let missing = task
                    .bands
                    .iter()
                    .find(|band| !found.iter().any(|c| c.band == **band));
                if let Some(band) = missing {
                    let mut words = band_words(&listing);
                    words.retain(|word| *word != band.as_str());
                    return Err(task
                        .places
                        .band(band)
                        .error(format!("the product {name:?} has no band {band:?}"))
                        .nearest(nearest(band, words))
                        .into());
                }
            }
        }
    }
    ahead.borrow_mut().insert(first, listing);
    Ok(())
}

fn no_products(spec: &ProductSpec) -> JobFileError {
    match &spec.listed {
        None => JobFileError::new("no product is named"),
        Some(listed) => {
            let below = if listed.prefix.is_empty() {
                "in the bucket".to_owned()
            } else {
                format!("below {:?}", listed.prefix)
            };
            let message = match &listed.pattern {
                Some(pattern) => format!("no product {below} matches {:?}", pattern.glob().glob()),
                None => format!("there is no product {below}"),
            };
            listed.place.error(message).help(
                "products are the directories directly below the prefix; `cotec ls` shows them",
            )
        }
    }
}

/// The part of the planner that registers, in order.
struct Run<'a> {
    sink: &'a dyn PlanSink,
    names: Names,
    summary: PlanSummary,
    /// Of the tasks, by number.
    recipes: HashMap<u32, String>,
    space: Space,
    /// Hashes of the keys that results go to.
    written: HashSet<u64>,
    /// The groups of products so far, by their task's number and their key, each with its place.
    gathered: HashMap<(u32, String), (usize, Gathered)>,
}

impl Run<'_> {
    fn product(&mut self, product: &Product, tasks: &[(u32, &Task)]) -> Result<(), PlanError> {
        let prefix = product.listing.prefix.as_str();
        let name = self.names.of(prefix);
        self.summary.products += 1;
        self.sink.product(&name, prefix);
        for (number, task) in tasks {
            let drafted = if product.listing.objects.is_empty() {
                Err("the store has no object of this product".to_owned())
            } else {
                draft(task, &name, product)
            };
            if let Some(by) = task.group_by {
                match group::key(by, prefix) {
                    Some(key) => self.gathered(*number, key).add(&name, product, drafted),
                    None => {
                        let reason = format!(
                            "the {} of the product {name:?} cannot be told from its name; leave it out of this task's products, or do without `group_by`",
                            by.as_str()
                        );
                        self.broken(task, *number, &name, prefix, &reason)?;
                    }
                }
                continue;
            }
            match drafted {
                Ok(draft) => {
                    let listed = &product.listing.objects;
                    let objects: Vec<&ObjectInfo> =
                        (draft.objects.iter().filter_map(|at| listed.get(*at))).collect();
                    let manifests = manifests(product, &objects);
                    self.register(task, *number, draft.payload, &objects, &manifests)?;
                }
                Err(reason) => self.broken(task, *number, &name, prefix, &reason)?,
            }
        }
        Ok(())
    }

    /// The group of a task's products that have the same key.
    fn gathered(&mut self, task: u32, key: String) -> &mut Gathered {
        let next = self.gathered.len();
        let new = || (next, Gathered::default());
        &mut self.gathered.entry((task, key)).or_insert_with(new).1
    }

    /// Registers the jobs on groups, in the order in which the first product of each was found.
    fn groups(&mut self, tasks: &[(u32, &Task)]) -> Result<(), PlanError> {
        let mut groups: Vec<_> = self.gathered.drain().collect();
        groups.sort_by_key(|(_, (place, _))| *place);
        for ((number, key), (_, group)) in groups {
            let Some((_, task)) = tasks.iter().find(|(known, _)| *known == number) else {
                continue;
            };
            let name = self.names.of(&format!("{key}/"));
            let payload = JobPayload {
                product: name.clone(),
                ..group.payload
            };
            let size = payload.to_bytes().map_or(0, |bytes| bytes.len());
            let most = Limits::PAYLOAD_BYTES - ROOM_OF_RECIPE;
            let reason = match group.broken {
                None if size > most => Some(format!(
                    "it has {} inputs, and what is to be said of them is longer than {most} bytes; choose fewer products",
                    payload.inputs.len()
                )),
                broken => broken,
            };
            match reason {
                Some(reason) => self.broken(task, number, &name, "", &reason)?,
                None => {
                    let objects: Vec<&ObjectInfo> = group.objects.iter().collect();
                    let manifests: Vec<&ObjectInfo> = group.manifests.iter().collect();
                    self.register(task, number, payload, &objects, &manifests)?;
                }
            }
        }
        Ok(())
    }

    /// Registers a job that cannot be done.
    fn broken(
        &mut self,
        task: &Task,
        number: u32,
        product: &str,
        prefix: &str,
        reason: &str,
    ) -> Result<(), PlanError> {
        self.summary.broken += 1;
        self.sink.broken_job(&BrokenJob {
            name: &format!("{}/{product}", task.name),
            task: number,
            product,
            prefix,
            reason,
        })
    }

    /// Where a job's results go in a store, or why they cannot.
    fn uploads(&mut self, task: &Task, payload: &JobPayload) -> Result<Vec<Upload>, String> {
        let Some(destination) = &task.destination else {
            return Ok(Vec::new());
        };
        // The products of a group have in common what it is named after.
        let first = payload.members.first();
        let prefix = first.map_or(&payload.prefix, |member| &member.prefix);
        let value = |name: &str| match name {
            "product" => Some(payload.product.clone()),
            "tile" => group::key(GroupBy::Tile, prefix),
            "date" => group::key(GroupBy::Date, prefix),
            _ => None,
        };
        let missing = |error: TemplateError| {
            format!("{error}: {destination} cannot be made of the product's name")
        };
        let uploads = destination
            .uploads(&task.result_files(), value)
            .map_err(missing)?;
        for upload in &uploads {
            let (bucket, key) = (&destination.bucket, &upload.key);
            if key.len() > LONGEST_KEY {
                return Err(format!(
                    "its result's key {key:?} is longer than {LONGEST_KEY} bytes"
                ));
            }
            if !self
                .written
                .insert(xxh3_64(format!("{bucket}/{key}").as_bytes()))
            {
                return Err(format!(
                    "another job writes s3://{bucket}/{key}; let {{task}} or a parameter stand in `output`"
                ));
            }
        }
        Ok(uploads)
    }

    /// Registers a job with its objects, unless an earlier run has done it.
    fn register(
        &mut self,
        task: &Task,
        number: u32,
        mut payload: JobPayload,
        objects: &[&ObjectInfo],
        manifests: &[&ObjectInfo],
    ) -> Result<(), PlanError> {
        let name = format!("{}/{}", task.name, payload.product);
        match self.uploads(task, &payload) {
            Ok(uploads) => payload.uploads = uploads,
            Err(reason) => {
                return self.broken(task, number, &payload.product, &payload.prefix, &reason);
            }
        }
        let of_task = (self.recipes.entry(number)).or_insert_with(|| recipe::of_task(task));
        payload.recipe = recipe::of_job(of_task, &payload, objects);
        if self.sink.done_before(&name, number, &payload)? {
            self.summary.jobs += 1;
            return Ok(());
        }
        let needed = objects.iter().chain(manifests).copied();
        if let Err(reason) = self.space.take(needed, task.scratch.unwrap_or(0)) {
            return self.broken(task, number, &payload.product, &payload.prefix, &reason);
        }
        self.summary.jobs += 1;
        let inputs = self.sink.objects(objects)?;
        let bytes = objects
            .iter()
            .fold(0u64, |sum, object| sum.saturating_add(object.size));
        self.sink.job(&PlannedJob {
            name: &name,
            task: number,
            inputs: &inputs,
            bytes,
            at_once: task.at_once,
            payload: &payload,
        })
    }
}
