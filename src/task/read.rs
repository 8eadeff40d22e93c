//! From a text to a checked job file.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use super::check;
use super::document::{Document, EndpointSection, StoreSection, TaskSection};
use super::flags::{Flags, words};
use super::model::{Formulas, JobFile, StoreSettings, TaskPlaces};
use super::products;
use super::rows::{self, Bound};
use super::source::{JobFileError, Place, Source};
use super::tree::{self, Node};
use crate::store::{EndpointSettings, StoreError};
use crate::values::bytes;
use crate::values::order::Order;

/// The job file of a command line that names none.
pub const DEFAULT_JOB_FILE: &str = "cotec.toml";

/// Bytes of a job file at most.
const MAX_BYTES: u64 = 64 << 20;

impl JobFile {
    /// Reads and checks a job file, TOML or JSON, and applies the flags.
    ///
    /// # Errors
    /// The file cannot be read, or the first thing in it, or in the flags, that cannot be.
    pub fn read(
        path: &Path,
        flags: &Flags,
        formulas: &dyn Formulas,
    ) -> Result<JobFile, JobFileError> {
        let name = path.display().to_string();
        let cannot = |error: std::io::Error| {
            JobFileError::new(format!("the job file {name} cannot be read: {error}"))
                .help("name another, or say what to do with --product and --index")
        };
        let size = fs::metadata(path).map_err(cannot)?.len();
        if size > MAX_BYTES {
            return Err(JobFileError::new(format!(
                "the job file {name} has {size} bytes; more than {MAX_BYTES} are no job file"
            ))
            .help("name another"));
        }
        let bytes = fs::read(path).map_err(cannot)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = error.utf8_error().valid_up_to();
            let shown = String::from_utf8_lossy(error.as_bytes()).into_owned();
            Place::new(&Source::new(name.as_str(), shown), good..good + 1)
                .error("this is not UTF-8 text")
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        JobFile::parse(&Source::new(name, text), flags, formulas)
    }

    /// Checks the text of a job file and applies the flags.
    ///
    /// # Errors
    /// The first thing in the text, or in the flags, that cannot be.
    pub fn parse(
        source: &Arc<Source>,
        flags: &Flags,
        formulas: &dyn Formulas,
    ) -> Result<JobFile, JobFileError> {
        let root = tree::parse(source)?;
        let document = Document::deserialize(&root).map_err(|error| {
            let span = error.span.clone().unwrap_or(0..0);
            Place::new(source, span)
                .error(error.message)
                .nearest(error.nearest)
        })?;
        build(source, &root, document, flags, formulas)
    }

    /// A run with no job file: the flags say everything.
    ///
    /// # Errors
    /// The first thing in the flags that cannot be, or what they do not say.
    pub fn from_flags(flags: &Flags, formulas: &dyn Formulas) -> Result<JobFile, JobFileError> {
        JobFile::parse(&Source::new("command line", ""), flags, formulas)
    }
}

fn build(
    source: &Arc<Source>,
    root: &Node,
    document: Document,
    flags: &Flags,
    formulas: &dyn Formulas,
) -> Result<JobFile, JobFileError> {
    let place = |node: Option<&Node>| match node {
        Some(node) => Place::new(source, node.span.clone()),
        None => Place::new(source, 0..0),
    };
    if document.workers == Some(0) || flags.workers == Some(0) {
        let at = if flags.workers.is_some() {
            Place::whole(&Source::new("--workers", "0"))
        } else {
            place(root.get("workers"))
        };
        return Err(at.error("at least one worker is needed"));
    }
    let store = store(
        source,
        root.get("store"),
        document.store.unwrap_or_default(),
    )?;
    let endpoint = endpoint(
        source,
        root.get("endpoint"),
        document.endpoint.unwrap_or_default(),
    )?;
    let shared = products::shared(source, root, document.products, &store, flags)?;

    let mut tasks = Vec::new();
    if flags.indices.is_empty() {
        let nodes = root.get("task").map_or(&[][..], Node::items);
        for (section, node) in document.task.into_iter().zip(nodes) {
            let places = task_places(source, node);
            let own = match (&section.products, node.get("products")) {
                (Some(own), Some(node)) if flags.products.is_empty() => {
                    Some(Arc::new(products::of_table(source, node, own)?))
                }
                _ => shared.clone(),
            };
            let rows = rows::rows(&section, &places, source, node.get("parameters"))?;
            for row in &rows {
                let (section, places) = (section.clone(), places.clone());
                tasks.push(check::task(
                    section,
                    places,
                    own.clone(),
                    row,
                    flags,
                    formulas,
                )?);
            }
        }
    } else {
        for word in words("--index", &flags.indices)? {
            let mut places = TaskPlaces {
                task: word.place.clone(),
                fields: Default::default(),
            };
            places.fields.insert("index".into(), word.place);
            let section = TaskSection {
                index: Some(word.text),
                ..TaskSection::default()
            };
            tasks.push(check::task(
                section,
                places,
                shared.clone(),
                &Bound::default(),
                flags,
                formulas,
            )?);
        }
    }
    if tasks.is_empty() {
        return Err(
            JobFileError::new("there is nothing to do: no task is given")
                .help("write a [[task]] into the job file, or say --index ndvi"),
        );
    }
    let path = |flag: &Option<PathBuf>, field: Option<String>, default: &str| {
        flag.clone()
            .or(field.map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(default))
    };
    for (name, value) in [("out", &document.out), ("staging", &document.staging)] {
        if value
            .as_deref()
            .is_some_and(|text| text.is_empty() || text.contains('\0'))
        {
            return Err(place(root.get(name)).error(format!("`{name}` is no path")));
        }
    }
    let staging_limit = match (flags.staging_limit, &document.staging_limit) {
        (None, Some(text)) => bytes::parse(text).ok_or_else(|| {
            place(root.get("staging_limit"))
                .error("`staging_limit` is a number of bytes such as \"20GiB\" or \"500MB\"")
        })?,
        (limit, _) => limit.unwrap_or(0),
    };
    let jobfile = JobFile {
        staging_limit: (staging_limit > 0).then_some(staging_limit),
        keep: flags.keep,
        out: path(&flags.out, document.out, "./out"),
        staging: path(&flags.staging, document.staging, "./.cotec/staging"),
        workers: flags
            .workers
            .or(document.workers.and_then(|n| usize::try_from(n).ok())),
        connections: flags
            .connections
            .or(document.connections)
            .unwrap_or_default(),
        order: flags
            .order
            .or(document.order.map(Order::from))
            .unwrap_or_default(),
        store,
        endpoint,
        tasks,
    };
    jobfile.check_results()?;
    jobfile.check_scratch()?;
    Ok(jobfile)
}

/// A value that is one of a few words.
fn named<T: FromStr<Err = StoreError>>(
    text: Option<String>,
    place: &Place,
) -> Result<Option<T>, JobFileError> {
    let value = text.map(|text| text.parse::<T>()).transpose();
    value.map_err(|error| place.error(error.to_string()))
}

fn store(
    source: &Arc<Source>,
    node: Option<&Node>,
    section: StoreSection,
) -> Result<StoreSettings, JobFileError> {
    let sample = section.sample.filter(|sample| sample.enabled);
    let place = |field: &str| {
        let span = node
            .and_then(|node| node.get(field))
            .map(|n| n.span.clone());
        Place::new(source, span.unwrap_or(0..0))
    };
    if let Some(sample) = &sample {
        if section.endpoint.is_some() || section.bucket.is_some() {
            return Err(place("sample")
                .error("`sample` is a store of its own: it goes with no `endpoint` or `bucket`"));
        }
        if !(1..=1000).contains(&sample.products) {
            return Err(place("sample").error("a sample has 1 to 1000 products"));
        }
    }
    for (name, value) in [
        ("endpoint", &section.endpoint),
        ("bucket", &section.bucket),
        ("region", &section.region),
        ("profile", &section.profile),
        ("ca_bundle", &section.ca_bundle),
    ] {
        if value.as_deref() == Some("") {
            return Err(place(name).error(format!("`{name}` is empty; leave it out instead")));
        }
    }
    let addressing = named(section.addressing_style, &place("addressing_style"))?;
    let signature = named(section.signature_version, &place("signature_version"))?;
    Ok(StoreSettings {
        addressing,
        signature,
        ca_bundle: section.ca_bundle.map(PathBuf::from),
        endpoint: section.endpoint,
        bucket: section.bucket,
        region: section.region,
        profile: section.profile,
        anonymous: section.anonymous,
        requester_pays: section.requester_pays,
        sample: sample.map(|sample| sample.products),
    })
}

fn endpoint(
    source: &Arc<Source>,
    node: Option<&Node>,
    section: EndpointSection,
) -> Result<EndpointSettings, JobFileError> {
    let settings = EndpointSettings {
        connections: section.connections,
        bytes_per_connection: section.bytes_per_connection,
        bytes_per_second: section.bytes_per_second,
        requests_per_minute: section.requests_per_minute,
        bytes_per_month: section.bytes_per_month,
    };
    match settings.wrong() {
        None => Ok(settings),
        Some((name, text)) => {
            let span = node.and_then(|node| node.get(name)).map(|n| n.span.clone());
            Err(Place::new(source, span.unwrap_or(0..0)).error(text))
        }
    }
}

fn task_places(source: &Arc<Source>, node: &Node) -> TaskPlaces {
    let fields = match &node.value {
        tree::Tree::Table(entries) => entries
            .iter()
            .map(|entry| {
                let place = Place::new(source, entry.node.span.clone());
                (entry.key.clone(), place)
            })
            .collect(),
        _ => Default::default(),
    };
    TaskPlaces {
        task: Place::new(source, node.span.clone()),
        fields,
    }
}
