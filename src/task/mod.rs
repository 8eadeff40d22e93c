//! What a job file says and what a job carries.
//!
//! [`JobFile::read`] turns TOML or JSON into a checked [`JobFile`]; whatever is wrong with it is
//! one [`JobFileError`] that shows the place and the nearest valid name. [`JobPayload`] is what
//! the planner writes into the table for each job, and what a worker reads. Nothing here talks to
//! a store; the formulas of indices come in through [`Formulas`].

mod address;
mod bands;
mod check;
mod decode;
mod destination;
mod document;
mod flags;
mod keys;
mod model;
mod names;
mod nearest;
mod parameters;
mod payload;
mod products;
mod read;
mod recipe;
mod rows;
mod schema;
mod source;
mod template;
mod tree;

pub use bands::{SENTINEL2_BANDS, Sentinel2Band, sentinel2_band, sentinel2_band_names};
pub use destination::Destination;
pub use document::{
    Document, EndpointSection, GroupBy, LayoutName, OrderName, ProductsSection, Radiometry,
    Resample, SampleSection, Start, StoreSection, TaskSection, WindowSection,
};
pub use flags::Flags;
pub use model::{
    FormulaError, Formulas, JobFile, Layout, ListedProducts, NamedProduct, Processor, ProductSpec,
    Scale, StoreSettings, Task, TaskPlaces, Window,
};
pub use names::is_result_name;
pub use nearest::nearest;
pub use parameters::{Parameter, ParametersSection, Row, Values};
pub use payload::{BandRef, JobPayload, Member, PayloadInput, Role, Upload, Uploaded};
pub use read::DEFAULT_JOB_FILE;
pub use schema::json_schema;
pub use source::{JobFileError, Place, Source};
pub use template::{PLACEHOLDERS, Template, TemplateError, Value, expand_argv};
