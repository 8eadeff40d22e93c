//! The planner: products in, jobs out, in order, with the next products under way.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::error::PlanError;
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
use crate::task::{JobFile, JobFileError, ProductSpec, Task, nearest};

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
/// product by product in the order given and task by task within a product. Runs on the caller's
/// thread; memory does not grow with the number of products but for some bytes each.
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
}

impl Run<'_> {
    fn product(&mut self, product: &Product, tasks: &[(u32, &Task)]) -> Result<(), PlanError> {
        let prefix = product.listing.prefix.as_str();
        let name = self.names.of(prefix);
        self.summary.products += 1;
        self.sink.product(&name, prefix);
        for (number, task) in tasks {
            let job = format!("{}/{name}", task.name);
            let drafted = if product.listing.objects.is_empty() {
                Err("the store has no object of this product".to_owned())
            } else {
                draft(task, &name, product)
            };
            let mut draft = match drafted {
                Ok(draft) => draft,
                Err(reason) => {
                    self.summary.broken += 1;
                    self.sink.broken_job(&BrokenJob {
                        name: &job,
                        task: *number,
                        product: &name,
                        prefix,
                        reason: &reason,
                    })?;
                    continue;
                }
            };
            let listed = &product.listing.objects;
            let objects: Vec<&ObjectInfo> =
                (draft.objects.iter().filter_map(|at| listed.get(*at))).collect();
            let of_task = (self.recipes.entry(*number)).or_insert_with(|| recipe::of_task(task));
            draft.payload.recipe = recipe::of_job(of_task, &draft.payload, &objects);
            if self.sink.done_before(&job, *number, &draft.payload)? {
                self.summary.jobs += 1;
                continue;
            }
            let manifests = manifests(product, &objects);
            let needed = objects.iter().chain(&manifests).copied();
            if let Err(reason) = self.space.take(needed, task.scratch.unwrap_or(0)) {
                self.summary.broken += 1;
                self.sink.broken_job(&BrokenJob {
                    name: &job,
                    task: *number,
                    product: &name,
                    prefix,
                    reason: &reason,
                })?;
                continue;
            }
            let inputs = self.sink.objects(&objects)?;
            let bytes = objects
                .iter()
                .fold(0u64, |sum, object| sum.saturating_add(object.size));
            self.sink.job(&PlannedJob {
                name: &job,
                task: *number,
                inputs: &inputs,
                bytes,
                payload: &draft.payload,
            })?;
            self.summary.jobs += 1;
        }
        Ok(())
    }
}
