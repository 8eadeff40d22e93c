//! The job file as it is written. The comments here are also the texts of the JSON Schema.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Unexpected, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize};

use crate::values::connections::Connections;
use crate::values::order::Order;

use super::parameters::ParametersSection;

/// A cotec job file: a store, where to put things, and the tasks to do on each product.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Document {
    /// The JSON Schema that an editor checks this file with; not used by a run.
    #[serde(rename = "$schema")]
    pub schema: Option<String>,
    /// The directory of the results, `OUT/<product>/<task>.tif`. Default `./out`.
    pub out: Option<String>,
    /// The directory that objects are downloaded to. Default `./.cotec/staging`.
    pub staging: Option<String>,
    /// How much of the disk the staging directory may take at any time, such as `20GiB`: jobs get
    /// their inputs as there is room, and objects are removed when their last job is done. Default
    /// `0`: no limit.
    pub staging_limit: Option<String>,
    /// How many jobs run at the same time. Default: the number of cores.
    #[schemars(range(min = 1, max = 4096))]
    pub workers: Option<u32>,
    /// How many connections to the store at the same time: `"auto"`, the default, finds out while
    /// downloading; a number from 1 to 1024 pins it.
    #[serde(deserialize_with = "connections")]
    #[schemars(schema_with = "connections_schema")]
    pub connections: Option<Connections>,
    /// In which order jobs begin. Their inputs are fetched job by job. Default: `johnson`.
    pub order: Option<OrderName>,
    /// The S3-compatible store; flags and the environment win over it.
    pub store: Option<StoreSection>,
    /// What may be asked of the store's endpoint, instead of what is built in for it.
    pub endpoint: Option<EndpointSection>,
    /// The products of every task that names none of its own.
    pub products: Option<ProductsSection>,
    /// What to do with each product.
    pub task: Vec<TaskSection>,
}

/// Where the objects are. Credentials come from the environment or `~/.aws`, never from here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StoreSection {
    /// The address of the service, such as `https://eodata.dataspace.copernicus.eu`.
    pub endpoint: Option<String>,
    /// The bucket.
    pub bucket: Option<String>,
    /// The region that requests are signed for.
    pub region: Option<String>,
    /// The profile in `~/.aws/credentials` and `~/.aws/config`.
    pub profile: Option<String>,
    /// Where the bucket stands in URLs: `virtual` (in the host name), `path`, or `auto`.
    pub addressing_style: Option<String>,
    /// How requests are signed: `s3v4`, or `s3` for stores that know nothing newer.
    pub signature_version: Option<String>,
    /// A file of PEM certificates to trust besides the system's.
    pub ca_bundle: Option<String>,
    /// Send no credentials.
    pub anonymous: bool,
    /// Agree to pay for requests and traffic in a requester-pays bucket.
    pub requester_pays: bool,
    /// Generate a synthetic sample and serve it from here instead: `true`, or a table.
    #[serde(deserialize_with = "sample")]
    #[schemars(schema_with = "sample_schema")]
    pub sample: Option<SampleSection>,
}

/// What may be asked of the store's endpoint by all runs of this user on the machine together.
/// What is left out stays as it is built in for the endpoint; 0 lifts a limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EndpointSection {
    /// Connections at a time: 1 to 1024.
    #[schemars(range(min = 0, max = 1024))]
    pub connections: Option<u64>,
    /// Bytes a second on each connection: at least 65536.
    pub bytes_per_connection: Option<u64>,
    /// Bytes a second on all connections together: at least 65536.
    pub bytes_per_second: Option<u64>,
    /// Requests in any minute: 1 to 60000000.
    #[schemars(range(min = 0, max = 60_000_000))]
    pub requests_per_minute: Option<u64>,
    /// Bytes downloaded in a month of the calendar, in UTC.
    pub bytes_per_month: Option<u64>,
}

/// The synthetic sample, made at first use and served by an S3 server on loopback.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SampleSection {
    /// Whether to use the sample at all.
    #[serde(skip)]
    pub enabled: bool,
    /// How many products to generate.
    #[schemars(range(min = 1, max = 1000))]
    pub products: u32,
}

impl Default for SampleSection {
    fn default() -> Self {
        SampleSection {
            enabled: true,
            products: 4,
        }
    }
}

/// `sample` may be written as a switch or as a table.
fn sample_schema(generator: &mut SchemaGenerator) -> Schema {
    let table = generator.subschema_for::<SampleSection>();
    json_schema!({ "anyOf": [{ "type": "boolean" }, table] })
}

/// Which products: by name, or all those below a prefix whose name matches, or both.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProductsSection {
    /// Products by name. A name is the key prefix that the product's objects have in common, with
    /// or without its last slash.
    pub names: Vec<String>,
    /// Products are the directories directly below this key prefix; `""` is the whole bucket.
    pub prefix: Option<String>,
    /// Of those below `prefix`, the products whose name matches this glob, such as
    /// `S2?_MSIL2A_*_T31TCJ_*.SAFE`.
    #[serde(rename = "match")]
    pub pattern: Option<String>,
}

/// One recipe: inputs, processor, output. Exactly one of `index`, `expr` and `run` is given.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TaskSection {
    /// The task's name, and the name of its results. Default: the name of the index.
    pub name: Option<String>,
    /// The products of this task, instead of those of the whole file.
    pub products: Option<ProductsSection>,
    /// How a product's objects are found. Default `auto`.
    pub layout: LayoutName,
    /// A known index, such as `ndvi`.
    pub index: Option<String>,
    /// A formula over band names, C-like: `(B08 - B04) / (B08 + B04)`.
    pub expr: Option<String>,
    /// A command and its arguments, never through a shell. Placeholders: a band's name for its
    /// file, and `{out}`, `{product}`, `{product_dir}`, `{prefix}`, `{job}`, `{task}`, `{inputs}`,
    /// `{staging}`, `{scratch}`, `{products}`, and the task's parameters; `{{` is a brace.
    pub run: Option<Vec<String>>,
    /// Bands that a command needs beyond those in its placeholders.
    pub bands: Vec<String>,
    /// Globs of further objects that the task needs, relative to the product: `**/*.xml`.
    pub objects: Vec<String>,
    /// Metres per pixel of the result. Default: the finest among the task's bands.
    pub resolution: Option<f64>,
    /// The part of the grid to compute, in pixels.
    pub window: Option<WindowSection>,
    /// The part of the grid to compute, in the product's coordinates: minimum x, minimum y,
    /// maximum x, maximum y.
    pub bbox: Option<[f64; 4]>,
    /// What band values mean in a formula. Default `reflectance`.
    pub radiometry: Option<Radiometry>,
    /// How a band of another resolution is brought to the grid. Default `nearest`.
    pub resample: Option<Resample>,
    /// For products without metadata: reflectance = digital number * `scale` + `offset`.
    pub scale: Option<f64>,
    /// See `scale`. Default 0.
    pub offset: Option<f64>,
    /// For products without metadata, as Sentinel-2 has it: reflectance =
    /// (digital number + `add_offset`) / `quantification`.
    pub quantification: Option<f64>,
    /// See `quantification`. Default 0.
    pub add_offset: Option<f64>,
    /// The result's file name; placeholders: `{task}` and the task's parameters; `{{` is a brace.
    /// Default `<task>.tif`. A command or a function of the caller may have none, which is
    /// written `""`: then the job is done when it has ended well. Or where the result is uploaded
    /// to: `s3://bucket/prefix/{product}/` for the files' own names below a prefix, or a whole
    /// key, with `{product}`, `{tile}` and `{date}` besides.
    pub output: Option<String>,
    /// One job for all products of the same `tile` or the same sensing `date`, for commands and
    /// processors of your own. Default: one job for each product.
    pub group_by: Option<GroupBy>,
    /// Values that stand for `{name}` in `name`, `run`, `env` and `output`, and numbers also in
    /// `expr`: a table, in which a list of values makes a job of each product for each of them; or
    /// a list of tables, which makes one for each table.
    pub parameters: Option<ParametersSection>,
    /// When a job is run. Default `ready`.
    pub start: Option<Start>,
    /// Environment variables that a command gets.
    pub env: BTreeMap<String, String>,
    /// How often a job is run again when its processor failed, each time after a longer pause.
    /// Default 0.
    #[schemars(range(max = 100))]
    pub retries: u32,
    /// How many seconds a job may run; then it is ended, with all that it started, and has failed.
    /// Default: no limit.
    pub timeout: Option<f64>,
    /// How much a processor writes to its scratch directory, such as `2GiB`: kept free for it where
    /// there is a `staging_limit`. Default: what earlier jobs of the task were seen to use.
    pub scratch: Option<String>,
    /// How much memory a command may map (RLIMIT_AS), such as `4GiB`. Default: no limit.
    pub memory: Option<String>,
}

/// A window in pixels of the task's grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WindowSection {
    /// The first column, from 0 at the left.
    pub col: u32,
    /// The first row, from 0 at the top.
    pub row: u32,
    /// Columns.
    #[schemars(range(min = 1))]
    pub width: u32,
    /// Rows.
    #[schemars(range(min = 1))]
    pub height: u32,
}

/// How a product's objects are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LayoutName {
    /// `sentinel2-safe` where the product has a `MTD_MSI*.xml`, else `per-band`.
    #[default]
    Auto,
    /// A Sentinel-2 SAFE product, Level-1C or Level-2A: bands through its `MTD_MSI*.xml`.
    #[serde(rename = "sentinel2-safe")]
    Sentinel2Safe,
    /// One file per band, found by the band's name in the file's: `B04.tif`, `*_B04_10m.jp2`.
    PerBand,
    /// No bands: only what `objects` matches.
    Objects,
}

/// In which order jobs begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderName {
    /// As the tasks and products are given.
    Given,
    /// First the job that is short of the fewest bytes.
    Smallest,
    /// By Johnson's rule for two stages, with what each task takes learnt during the run.
    Johnson,
}

impl From<OrderName> for Order {
    fn from(name: OrderName) -> Order {
        match name {
            OrderName::Given => Order::AsGiven,
            OrderName::Smallest => Order::SmallestFirst,
            OrderName::Johnson => Order::Johnson,
        }
    }
}

/// When a job is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// When all its inputs are in staging.
    #[default]
    Ready,
    /// When their download begins. A formula works on what has landed; a command, or a function of
    /// the caller, waits itself for what it needs. The job is done when its inputs are complete
    /// and verified, too.
    AtOnce,
}

/// What band values mean in a formula.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Radiometry {
    /// Quantification and offset applied.
    #[default]
    Reflectance,
    /// Digital numbers as stored.
    Dn,
}

/// Which products a job has in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupBy {
    /// Those of one tile of Sentinel-2's grid, such as `T31TCJ`, in the product's name.
    Tile,
    /// Those of one sensing date, the first date in the product's name.
    Date,
}

impl GroupBy {
    /// The name in a job file.
    pub fn as_str(self) -> &'static str {
        match self {
            GroupBy::Tile => "tile",
            GroupBy::Date => "date",
        }
    }
}

/// How a band of another resolution is brought to the task's grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Resample {
    /// The nearest pixel.
    #[default]
    Nearest,
    /// Linear between the four nearest pixels.
    Bilinear,
    /// The mean of the pixels covered.
    Average,
}

impl Radiometry {
    /// The name in a job file.
    pub fn as_str(self) -> &'static str {
        match self {
            Radiometry::Reflectance => "reflectance",
            Radiometry::Dn => "dn",
        }
    }
}

/// A [`SampleSection`] is written as `true`, `false` or a table.
struct SampleForm;

impl<'de> Visitor<'de> for SampleForm {
    type Value = SampleSection;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true, false or a table such as { products = 4 }")
    }

    fn visit_bool<E>(self, enabled: bool) -> Result<SampleSection, E> {
        Ok(SampleSection {
            enabled,
            ..SampleSection::default()
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SampleSection, A::Error> {
        SampleSection::deserialize(MapAccessDeserializer::new(map))
    }
}

/// [`Document::connections`] is written as a word or a number.
struct ConnectionsForm;

impl Visitor<'_> for ConnectionsForm {
    type Value = Connections;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"auto\" or a number from 1 to 1024")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Connections, E> {
        match text {
            "auto" => Ok(Connections::Auto),
            _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Connections, E> {
        let unexpected = Unexpected::Unsigned(number);
        Connections::of(number).ok_or_else(|| E::invalid_value(unexpected, &self))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Connections, E> {
        match u64::try_from(number) {
            Ok(number) => self.visit_u64(number),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
        }
    }
}

/// Reads [`Document::connections`].
fn connections<'de, D>(deserializer: D) -> Result<Option<Connections>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(ConnectionsForm).map(Some)
}

fn connections_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "anyOf": [
        { "const": "auto" },
        { "type": "integer", "minimum": 1, "maximum": 1024 },
    ] })
}

/// Reads [`StoreSection::sample`].
fn sample<'de, D>(deserializer: D) -> Result<Option<SampleSection>, D::Error>
where
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(SampleForm).map(Some)
}
