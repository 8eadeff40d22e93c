//! The checked job file: what the rest of a run works with.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use globset::GlobMatcher;

use crate::values::bytes;
use crate::values::connections::Connections;
use crate::values::order::Order;

use super::destination::Destination;
use super::document::{GroupBy, Radiometry, Resample};
use super::parameters::Row;
use super::source::{JobFileError, Place};
use super::template::Template;
use crate::store::{Addressing, EndpointSettings, SignatureVersion};

/// A job file that was read and checked, with the command line's wishes applied.
#[derive(Clone, Debug)]
pub struct JobFile {
    /// The directory of the results; relative to the working directory.
    pub out: PathBuf,
    /// The directory that objects are downloaded to; relative to the working directory.
    pub staging: PathBuf,
    /// Bytes of disk that the staging directory may take; `None`: as many as there are.
    pub staging_limit: Option<u64>,
    /// Nothing is removed from staging, and no scratch directory.
    pub keep: bool,
    /// Jobs at the same time; `None`: the number of cores.
    pub workers: Option<usize>,
    /// Connections to the store at the same time.
    pub connections: Connections,
    /// In which order jobs begin.
    pub order: Order,
    /// What the job file says about the store.
    pub store: StoreSettings,
    /// What it says about the limits of the store's endpoint.
    pub endpoint: EndpointSettings,
    /// The tasks, in the order of the file; at least one.
    pub tasks: Vec<Task>,
}

/// What a job file says about the store; flags and the environment win over it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreSettings {
    /// The service's address.
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: Option<String>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// The profile in the AWS configuration files.
    pub profile: Option<String>,
    /// Where the bucket stands in URLs.
    pub addressing: Option<Addressing>,
    /// How requests are signed.
    pub signature: Option<SignatureVersion>,
    /// Certificates to trust besides the system's.
    pub ca_bundle: Option<PathBuf>,
    /// No credentials.
    pub anonymous: bool,
    /// Requests and traffic are paid by the requester.
    pub requester_pays: bool,
    /// The number of products of the synthetic sample, where that is the store.
    pub sample: Option<u32>,
}

/// A recipe.
#[derive(Clone, Debug)]
pub struct Task {
    /// Unique in the job file, and fit for a file name.
    pub name: String,
    /// Its products; tasks that take the file's products share one value.
    pub products: Arc<ProductSpec>,
    /// How a product's objects are found.
    pub layout: Layout,
    /// What is done with them.
    pub processor: Processor,
    /// The bands that it needs, each once, in the order of their first use.
    pub bands: Vec<String>,
    /// Further objects that it needs; matched against keys relative to the product.
    pub objects: Vec<GlobMatcher>,
    /// Metres per pixel of the result; `None`: the finest of the bands.
    pub resolution: Option<f64>,
    /// The part of the grid to compute; `None`: all.
    pub window: Option<Window>,
    /// What band values mean, where the product says enough.
    pub radiometry: Radiometry,
    /// How bands of another resolution are brought to the grid.
    pub resample: Resample,
    /// From digital numbers to reflectance, for products without metadata.
    pub scale: Option<Scale>,
    /// The name of the result's file; empty for none.
    pub output: String,
    /// Where the result goes in a store; `None`: it stays in the directory of the results.
    pub destination: Option<Destination>,
    /// Which products a job has in common; `None`: a job for each.
    pub group_by: Option<GroupBy>,
    /// Its parameters; a task with several rows of them is as many tasks.
    pub parameters: Row,
    /// Whether a job is run before its inputs are there.
    pub at_once: bool,
    /// Environment variables that a command gets.
    pub env: BTreeMap<String, String>,
    /// How often a job is run again when its processor failed.
    pub retries: u32,
    /// How long a job may run.
    pub timeout: Option<Duration>,
    /// Bytes that a processor writes to its scratch directory, if the job file says it.
    pub scratch: Option<u64>,
    /// How many bytes a command may map.
    pub memory: Option<u64>,
    /// Where all this was written.
    pub places: TaskPlaces,
}

/// How a product's objects are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `Safe` where the product has a `MTD_MSI*.xml`, else `PerBand`.
    Auto,
    /// Sentinel-2 SAFE: bands through the product's metadata.
    Safe,
    /// A band's file has the band's name in its own.
    PerBand,
    /// No bands, only objects matched by globs.
    Objects,
}

/// What a task does with its inputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Processor {
    /// A known index, by name.
    Index(String),
    /// A formula over band names.
    Expr(String),
    /// A command; the first template is the program.
    Run(Vec<Template>),
    /// The function given to `cotec::run`.
    Native,
}

/// The part of a task's grid to compute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Window {
    /// In pixels of the grid; width and height are at least 1.
    Pixels {
        /// The first column.
        col: u32,
        /// The first row.
        row: u32,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// In the product's coordinates.
    Bbox {
        /// West or left.
        min_x: f64,
        /// South or lower.
        min_y: f64,
        /// East or right.
        max_x: f64,
        /// North or upper.
        max_y: f64,
    },
}

/// reflectance = (digital number + `add_offset`) / `quantification`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The divisor; finite and not zero.
    pub quantification: f64,
    /// Added before dividing; finite.
    pub add_offset: f64,
}

impl Scale {
    /// From `value = number * scale + offset`, as STAC and GDAL write it. Quotients within 1e-9
    /// of a whole number become that number, so that `0.0001` and `-0.1` give 10000 and -1000.
    /// `None` where the numbers define no scale.
    pub fn from_scale_offset(scale: f64, offset: f64) -> Option<Scale> {
        let whole = |value: f64| {
            let near = value.round();
            if (value - near).abs() <= 1e-9 * near.abs().max(1.0) {
                near
            } else {
                value
            }
        };
        let scale = Scale {
            quantification: whole(1.0 / scale),
            // Adding zero turns -0 into 0.
            add_offset: whole(offset / scale) + 0.0,
        };
        let usable = scale.quantification.is_finite()
            && scale.quantification != 0.0
            && scale.add_offset.is_finite();
        usable.then_some(scale)
    }
}

/// Which products.
#[derive(Clone, Debug)]
pub struct ProductSpec {
    /// Products by name, each once, in the order given.
    pub names: Vec<NamedProduct>,
    /// Products found by listing, after the named ones.
    pub listed: Option<ListedProducts>,
}

/// A product given by name.
#[derive(Clone, Debug)]
pub struct NamedProduct {
    /// The key prefix of its objects, with one slash at its end.
    pub prefix: String,
    /// Where it was written.
    pub place: Place,
}

/// Products found by listing the directories directly below a prefix.
#[derive(Clone, Debug)]
pub struct ListedProducts {
    /// Empty, or with a slash at its end.
    pub prefix: String,
    /// What the product's name must match; `None`: anything.
    pub pattern: Option<GlobMatcher>,
    /// Where it was written.
    pub place: Place,
}

/// Where the fields of a task were written.
#[derive(Clone, Debug)]
pub struct TaskPlaces {
    pub(super) task: Place,
    pub(super) fields: BTreeMap<String, Place>,
}

impl TaskPlaces {
    /// The place of a field's value, or of the whole task where it does not give that field.
    pub fn field(&self, name: &str) -> Place {
        self.fields.get(name).unwrap_or(&self.task).clone()
    }

    /// The place where a task asks for a band.
    pub fn band(&self, band: &str) -> Place {
        let mut whole = self.task.clone();
        for name in ["index", "run", "expr", "bands"] {
            if let Some(place) = self.fields.get(name) {
                let word = place.word(band);
                if word.span() != place.span() {
                    return word;
                }
                whole = place.clone();
            }
        }
        whole
    }
}

impl Task {
    /// The names of the result files, all in the product's directory.
    pub fn result_files(&self) -> Vec<String> {
        let picture = match self.processor {
            Processor::Index(_) | Processor::Expr(_) => self.output.strip_suffix(".tif"),
            Processor::Run(_) | Processor::Native => None,
        };
        let mut files = Vec::new();
        if !self.output.is_empty() {
            files.push(self.output.clone());
        }
        files.extend(picture.map(|stem| format!("{stem}.png")));
        files
    }

    /// Whether the task is done by a formula in this program.
    pub fn is_formula(&self) -> bool {
        matches!(self.processor, Processor::Index(_) | Processor::Expr(_))
    }
}

/// What a job file needs to know about formulas; the planner has them from the raster module.
pub trait Formulas {
    /// The names of all known indices.
    fn index_names(&self) -> Vec<String>;

    /// The bands of an index; `None` where there is no index of that name.
    fn index_bands(&self, name: &str) -> Option<Vec<String>>;

    /// The bands of a formula.
    ///
    /// # Errors
    /// What is wrong with the formula, and where in it.
    fn expr_bands(&self, text: &str) -> Result<Vec<String>, FormulaError>;
}

/// What is wrong with a formula.
#[derive(Clone, Debug)]
pub struct FormulaError {
    /// The bytes of the formula that are meant.
    pub span: Range<usize>,
    /// What is wrong there.
    pub message: String,
    /// The nearest valid name, where a name is what is wrong.
    pub nearest: Option<String>,
}

impl JobFile {
    /// The names of all tasks, in order.
    pub fn task_names(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(|task| task.name.as_str())
    }

    /// No job of a task could ever begin whose scratch directory alone is larger than staging may
    /// be.
    pub(super) fn check_scratch(&self) -> Result<(), JobFileError> {
        for task in &self.tasks {
            if let (Some(limit), Some(scratch)) = (self.staging_limit, task.scratch)
                && scratch > limit
            {
                let (needed, limit) = (bytes::text(scratch), bytes::text(limit));
                return Err(task.places.field("scratch").error(format!(
                    "the scratch directory of the task {:?} ({needed}) is larger than staging may be ({limit})",
                    task.name
                ))
                .help("the scratch directories stand in staging: raise --staging-limit"));
            }
        }
        Ok(())
    }

    pub(super) fn check_results(&self) -> Result<(), JobFileError> {
        let mut owner: BTreeMap<String, &str> = BTreeMap::new();
        let mut names = HashSet::new();
        for task in &self.tasks {
            for file in task.result_files() {
                let file = match &task.destination {
                    Some(destination) => destination.of_file(&file),
                    None => file,
                };
                if let Some(other) = owner.insert(file.clone(), &task.name) {
                    let field = if task.places.fields.contains_key("output") {
                        "output"
                    } else {
                        "name"
                    };
                    let help = match task.parameters.keys().next() {
                        Some(name) => format!(
                            "let a parameter tell them apart, such as {{{name}}}, or give another `name` or `output`"
                        ),
                        None => "give one of them another `name` or `output`".to_owned(),
                    };
                    return Err(task
                        .places
                        .field(field)
                        .error(format!(
                            "the tasks {other:?} and {:?} would both write {file:?}",
                            task.name
                        ))
                        .help(help));
                }
            }
            if !names.insert(task.name.as_str()) {
                let field = match task.parameters.is_empty() {
                    true => "name",
                    false => "parameters",
                };
                return Err(task
                    .places
                    .field(field)
                    .error(format!(
                        "two tasks, or two rows of one, are called {:?}",
                        task.name
                    ))
                    .help(
                        "give each its own `name`; parameters may stand in it as {placeholders}",
                    ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_become_whole_where_they_are_whole() {
        let exact = Scale::from_scale_offset(0.0001, -0.1).unwrap();
        assert_eq!((exact.quantification, exact.add_offset), (10000.0, -1000.0));
        let none = Scale::from_scale_offset(0.0001, 0.0).unwrap();
        assert!(none.add_offset == 0.0 && none.add_offset.is_sign_positive());
        let landsat = Scale::from_scale_offset(2.75e-5, -0.2).unwrap();
        assert_eq!(landsat.quantification, 1.0 / 2.75e-5);
        assert_eq!(landsat.add_offset, -0.2 / 2.75e-5);
        for (scale, offset) in [
            (0.0, 1.0),
            (f64::NAN, 0.0),
            (f64::INFINITY, 0.0),
            (1.0, f64::NAN),
        ] {
            assert_eq!(Scale::from_scale_offset(scale, offset), None);
        }
    }
}
