//! The checks of one task.

use std::sync::Arc;
use std::time::Duration;

use super::address;
use super::bands::{SENTINEL2_BANDS, sentinel2_band, sentinel2_band_names};
use super::destination::Destination;
use super::document::{LayoutName, Start, TaskSection};
use super::flags::Flags;
use super::keys::glob;
use super::model::{Formulas, Layout, Processor, ProductSpec, Scale, Task, TaskPlaces, Window};
use super::names::{RESULT_NAME_RULE, is_result_name};
use super::nearest::nearest;
use super::rows::Bound;
use super::source::JobFileError;
use super::template::{PLACEHOLDERS, Template};
use crate::values::bytes;

/// The most that `retries` may say.
const MOST_RETRIES: u32 = 100;
/// The most that `timeout` may say.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(30 * 24 * 3600);

/// Checks a task as written and makes it whole.
pub(super) fn task(
    section: TaskSection,
    places: TaskPlaces,
    products: Option<Arc<ProductSpec>>,
    row: &Bound,
    flags: &Flags,
    formulas: &dyn Formulas,
) -> Result<Task, JobFileError> {
    let layout = match section.layout {
        LayoutName::Auto if has_objects_only(&section, row) => Layout::Objects,
        LayoutName::Auto => Layout::Auto,
        LayoutName::Sentinel2Safe => Layout::Safe,
        LayoutName::PerBand => Layout::PerBand,
        LayoutName::Objects => Layout::Objects,
    };
    let mut bands = Vec::new();
    let processor = processor(
        &section,
        &places,
        layout,
        row,
        (flags, formulas),
        &mut bands,
    )?;
    for band in &section.bands {
        let word = band.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if band.is_empty() || !word || PLACEHOLDERS.contains(&band.as_str()) {
            let place = places.field("bands").word(band);
            return Err(place.error(format!("{band:?} is no name of a band")));
        }
        push_once(&mut bands, band);
    }
    if section.group_by.is_some() && (section.index.is_some() || section.expr.is_some()) {
        return Err(places
            .field("group_by")
            .error("a formula is computed on one product, not on a group")
            .help("use `run` with a program that takes many files, such as gdal_merge.py"));
    }
    let name = name(&section, &places, row)?;
    let (output, destination) = output(&section, &places, &processor, &name, row)?;
    let objects = section
        .objects
        .iter()
        .map(|pattern| glob(pattern, &places.field("objects").word(pattern)))
        .collect::<Result<Vec<_>, _>>()?;
    if bands.is_empty() && objects.is_empty() {
        return Err(places
            .field("run")
            .error(format!("the task {name:?} has no input"))
            .help("name bands, in placeholders or in `bands`, or give globs in `objects`"));
    }
    let Some(products) = products else {
        return Err(places
            .task
            .error(format!("the task {name:?} has no products"))
            .help("write a [products] table into the job file, or say --product NAME"));
    };
    let task = Task {
        window: window(&section, &places)?,
        scale: scale(&section, &places)?,
        resolution: positive(section.resolution, "resolution", &places)?,
        radiometry: flags.radiometry.or(section.radiometry).unwrap_or_default(),
        resample: section.resample.unwrap_or_default(),
        at_once: section.start == Some(Start::AtOnce),
        env: environment(&section, &places, row)?,
        group_by: section.group_by,
        parameters: row.row.clone(),
        retries: retries(&section, &places)?,
        timeout: timeout(&section, &places)?,
        scratch: scratch(&section, &places)?,
        memory: memory(&section, &places, &processor)?,
        name,
        products,
        layout,
        processor,
        bands,
        objects,
        output,
        destination,
        places,
    };
    match layout {
        Layout::Safe => task.check_sentinel2_bands()?,
        Layout::Objects => {
            if let Some(band) = task.bands.first() {
                return Err(task
                    .places
                    .band(band)
                    .error(format!(
                        "band {band} cannot be found: the layout is `objects`"
                    ))
                    .help("the layouts with bands are sentinel2-safe and per-band"));
            }
        }
        Layout::Auto | Layout::PerBand => {}
    }
    Ok(task)
}

impl Task {
    /// Checks that all bands are names that Sentinel-2 products know.
    ///
    /// # Errors
    /// The first that is not, with its place and the nearest that is.
    pub fn check_sentinel2_bands(&self) -> Result<(), JobFileError> {
        match self
            .bands
            .iter()
            .find(|band| sentinel2_band(band).is_none())
        {
            None => Ok(()),
            Some(band) => Err(self
                .places
                .band(band)
                .error(format!("Sentinel-2 has no band {band:?}"))
                .nearest(nearest(band, sentinel2_band_names()))),
        }
    }
}

/// Whether a task asks for objects and for no band, so far as can be seen without its formulas.
fn has_objects_only(section: &TaskSection, row: &Bound) -> bool {
    let band_placeholder = |argument: &String| {
        Template::parse(argument).is_ok_and(|template| {
            template
                .placeholders()
                .any(|(name, _)| !PLACEHOLDERS.contains(&name) && row.value(name).is_none())
        })
    };
    !section.objects.is_empty()
        && section.bands.is_empty()
        && section.index.is_none()
        && section.expr.is_none()
        && !section.run.iter().flatten().any(band_placeholder)
}

fn push_once(bands: &mut Vec<String>, band: &str) {
    if !bands.iter().any(|known| known == band) {
        bands.push(band.to_owned());
    }
}

fn processor(
    section: &TaskSection,
    places: &TaskPlaces,
    layout: Layout,
    row: &Bound,
    (flags, formulas): (&Flags, &dyn Formulas),
    bands: &mut Vec<String>,
) -> Result<Processor, JobFileError> {
    match (&section.index, &section.expr, &section.run) {
        (Some(index), None, None) => {
            let Some(found) = formulas.index_bands(index) else {
                return Err(places
                    .field("index")
                    .inside(index, 0..index.len())
                    .error(format!("no index is called {index:?}"))
                    .nearest(nearest(
                        index,
                        formulas.index_names().iter().map(String::as_str),
                    ))
                    .help("any other formula can be given as `expr`"));
            };
            found.iter().for_each(|band| push_once(bands, band));
            Ok(Processor::Index(index.clone()))
        }
        (None, Some(expr), None) => {
            let place = places.field("expr");
            let formula = row.formula(expr, &place)?;
            let found = formulas.expr_bands(&formula).map_err(|error| {
                let at = match formula == *expr {
                    true => place.inside(expr, error.span),
                    false => place,
                };
                at.error(error.message).nearest(error.nearest)
            })?;
            if found.is_empty() {
                return Err(places.field("expr").error("the formula uses no band"));
            }
            found.iter().for_each(|band| push_once(bands, band));
            Ok(Processor::Expr(formula))
        }
        (None, None, Some(run)) => command(run, section, places, layout, row, bands),
        (None, None, None) if flags.native => Ok(Processor::Native),
        (None, None, None) => Err(places
            .task
            .error("the task has no processor")
            .help("give one of `index`, `expr` and `run`")),
        (_, second, third) => {
            let extra = if third.is_some() && (second.is_some() || section.index.is_some()) {
                "run"
            } else {
                "expr"
            };
            Err(places
                .field(extra)
                .error("a task has one of `index`, `expr` and `run`, not several"))
        }
    }
}

fn command(
    run: &[String],
    section: &TaskSection,
    places: &TaskPlaces,
    layout: Layout,
    row: &Bound,
    bands: &mut Vec<String>,
) -> Result<Processor, JobFileError> {
    let place = places.field("run");
    if run.first().is_none_or(|program| program.is_empty()) {
        return Err(place.error("`run` needs a program as its first element"));
    }
    let mut templates = Vec::with_capacity(run.len());
    for text in run {
        let template = Template::parse(text)
            .map_err(|error| place.inside(text, error.span.clone()).error(error.message))?
            .bind(|name| row.value(name));
        for (name, span) in template.placeholders() {
            let group = section.group_by.is_some();
            let several = match PLACEHOLDERS.contains(&name) {
                true => ["inputs", "products"].contains(&name),
                false => group,
            };
            if several && span.len() != text.len() {
                return Err(place
                    .inside(text, span)
                    .error(format!("{{{name}}} must be an argument of its own"))
                    .help("it stands for several, and becomes one argument for each"));
            }
            if group && ["product_dir", "prefix"].contains(&name) {
                return Err(place
                    .inside(text, span)
                    .error(format!("a group of products has no {{{name}}}"))
                    .help("{inputs}, a band's name and {products} stand for all of them"));
            }
            if name == "out" && section.output.as_deref() == Some("") {
                return Err(place
                    .inside(text, span)
                    .error("{out} is the result, and this task has none: its `output` is empty"));
            }
            if PLACEHOLDERS.contains(&name) {
                continue;
            }
            let listed = section.bands.iter().any(|band| band == name);
            let known = match layout {
                Layout::Objects => false,
                Layout::Safe => listed || sentinel2_band(name).is_some(),
                // A file's name decides; names of bands are capitals and digits.
                Layout::Auto | Layout::PerBand => listed || looks_like_band(name),
            };
            if !known {
                let error = place
                    .inside(text, span)
                    .error(format!("unknown placeholder {{{name}}}"));
                let word = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
                if !name.chars().all(word) {
                    return Err(
                        error.help("a brace of the command's own is written twice: {{ or }}")
                    );
                }
                let mut candidates: Vec<&str> = PLACEHOLDERS.to_vec();
                candidates.extend(row.row.keys().map(String::as_str));
                if layout != Layout::Objects {
                    candidates.extend(section.bands.iter().map(String::as_str));
                    candidates.extend(SENTINEL2_BANDS.iter().map(|band| band.name));
                }
                return Err(error.nearest(nearest(name, candidates)));
            }
            push_once(bands, name);
        }
        templates.push(template);
    }
    Ok(Processor::Run(templates))
}

fn looks_like_band(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn name(section: &TaskSection, places: &TaskPlaces, row: &Bound) -> Result<String, JobFileError> {
    let Some(name) = section.name.as_ref().or(section.index.as_ref()) else {
        return Err(places
            .task
            .error("a task with `expr` or `run` needs a `name`"));
    };
    let name = row.name(name, &places.field("name"))?;
    if !is_result_name(&name) {
        return Err(places
            .field("name")
            .error(format!("{name:?} cannot name a task"))
            .help(RESULT_NAME_RULE));
    }
    Ok(name)
}

fn output(
    section: &TaskSection,
    places: &TaskPlaces,
    processor: &Processor,
    task: &str,
    row: &Bound,
) -> Result<(String, Option<Destination>), JobFileError> {
    let place = places.field("output");
    let text = section.output.as_deref().unwrap_or("{task}.tif");
    let (output, destination) = match address::read(text, places, task, section.group_by, row)? {
        Some((output, destination)) => (output, Some(destination)),
        None => {
            let known = |name: &str| (name == "task").then(|| task.to_owned());
            (row.filled(text, &place, known)?, None)
        }
    };
    let formula = matches!(processor, Processor::Index(_) | Processor::Expr(_));
    if output.is_empty() && !formula {
        return Ok((output, None));
    }
    if !is_result_name(&output) {
        return Err(place
            .error(format!("{output:?} cannot name a result"))
            .help(RESULT_NAME_RULE));
    }
    let stem = output.strip_suffix(".tif");
    if formula && stem.is_none_or(str::is_empty) {
        return Err(place.error(format!(
            "a formula's result is a GeoTIFF: {output:?} does not end in \".tif\""
        )));
    }
    Ok((output, destination))
}

fn window(section: &TaskSection, places: &TaskPlaces) -> Result<Option<Window>, JobFileError> {
    match (section.window, section.bbox) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(places
            .field("bbox")
            .error("a task has one of `window` and `bbox`, not both")),
        (Some(window), None) => {
            if window.width == 0 || window.height == 0 {
                return Err(places.field("window").error("the window is empty"));
            }
            Ok(Some(Window::Pixels {
                col: window.col,
                row: window.row,
                width: window.width,
                height: window.height,
            }))
        }
        (None, Some([min_x, min_y, max_x, max_y])) => {
            let finite = [min_x, min_y, max_x, max_y].iter().all(|x| x.is_finite());
            if !finite || min_x >= max_x || min_y >= max_y {
                return Err(places
                    .field("bbox")
                    .error("the box is empty")
                    .help("write [minimum x, minimum y, maximum x, maximum y]"));
            }
            Ok(Some(Window::Bbox {
                min_x,
                min_y,
                max_x,
                max_y,
            }))
        }
    }
}

fn scale(section: &TaskSection, places: &TaskPlaces) -> Result<Option<Scale>, JobFileError> {
    let stac = section.scale.is_some() || section.offset.is_some();
    let esa = section.quantification.is_some() || section.add_offset.is_some();
    let made = match (stac, esa) {
        (false, false) => return Ok(None),
        (true, true) => {
            let field = if section.quantification.is_some() {
                "quantification"
            } else {
                "add_offset"
            };
            return Err(places.field(field).error(
                "give `scale` and `offset`, or `quantification` and `add_offset`, not both",
            ));
        }
        (true, false) => {
            let Some(scale) = section.scale else {
                return Err(places.field("offset").error("`offset` goes with a `scale`"));
            };
            Scale::from_scale_offset(scale, section.offset.unwrap_or(0.0))
                .ok_or_else(|| places.field("scale"))
        }
        (false, true) => {
            let Some(quantification) = section.quantification else {
                return Err(places
                    .field("add_offset")
                    .error("`add_offset` goes with a `quantification`"));
            };
            let add_offset = section.add_offset.unwrap_or(0.0);
            let usable =
                quantification.is_finite() && quantification != 0.0 && add_offset.is_finite();
            let scale = Scale {
                quantification,
                add_offset,
            };
            usable
                .then_some(scale)
                .ok_or_else(|| places.field("quantification"))
        }
    };
    made.map(Some)
        .map_err(|place| place.error("these numbers make no reflectance"))
}

fn positive(
    value: Option<f64>,
    field: &str,
    places: &TaskPlaces,
) -> Result<Option<f64>, JobFileError> {
    match value {
        Some(value) if !(value.is_finite() && value > 0.0) => Err(places
            .field(field)
            .error(format!("`{field}` is a number of metres above 0"))),
        value => Ok(value),
    }
}

fn retries(section: &TaskSection, places: &TaskPlaces) -> Result<u32, JobFileError> {
    if section.retries > MOST_RETRIES {
        let place = places.field("retries");
        return Err(place.error(format!("a job is run again {MOST_RETRIES} times at most")));
    }
    Ok(section.retries)
}

fn timeout(section: &TaskSection, places: &TaskPlaces) -> Result<Option<Duration>, JobFileError> {
    let Some(seconds) = section.timeout else {
        return Ok(None);
    };
    let limit = Duration::try_from_secs_f64(seconds).ok();
    match limit.filter(|limit| !limit.is_zero() && *limit <= LONGEST_TIMEOUT) {
        Some(limit) => Ok(Some(limit)),
        None => {
            let place = places.field("timeout");
            Err(place.error("`timeout` is a number of seconds above 0, and 30 days at most"))
        }
    }
}

fn scratch(section: &TaskSection, places: &TaskPlaces) -> Result<Option<u64>, JobFileError> {
    let Some(text) = &section.scratch else {
        return Ok(None);
    };
    match bytes::parse(text) {
        Some(bytes) => Ok(Some(bytes)),
        None => {
            let place = places.field("scratch");
            Err(place.error("`scratch` is a number of bytes such as \"2GiB\" or \"500MB\""))
        }
    }
}

fn memory(
    section: &TaskSection,
    places: &TaskPlaces,
    processor: &Processor,
) -> Result<Option<u64>, JobFileError> {
    let Some(text) = &section.memory else {
        return Ok(None);
    };
    for_commands(processor, "memory", places)?;
    match bytes::parse(text).filter(|bytes| *bytes > 0) {
        Some(bytes) => Ok(Some(bytes)),
        None => {
            let place = places.field("memory");
            Err(place.error("`memory` is a number of bytes such as \"4GiB\" or \"500MB\""))
        }
    }
}

/// Limits are set where a program is started.
fn for_commands(
    processor: &Processor,
    field: &str,
    places: &TaskPlaces,
) -> Result<(), JobFileError> {
    match processor {
        Processor::Run(_) => Ok(()),
        _ => {
            let place = places.field(field);
            Err(place.error(format!(
                "`{field}` limits commands, and this task has no `run`"
            )))
        }
    }
}

fn environment(
    section: &TaskSection,
    places: &TaskPlaces,
    row: &Bound,
) -> Result<std::collections::BTreeMap<String, String>, JobFileError> {
    for (name, value) in &section.env {
        let reason = if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            "this is no environment variable"
        } else if name.starts_with("AWS_") {
            "a processor gets no AWS_ variable: credentials stay with the downloader"
        } else if name.starts_with("COTEC_") {
            "COTEC_ variables are set by the run"
        } else {
            continue;
        };
        return Err(places.field("env").word(name).error(reason));
    }
    let filled = |(name, value): (&String, &String)| (name.clone(), row.replaced(value));
    Ok(section.env.iter().map(filled).collect())
}
