//! The planner: job file, products, objects, jobs.
//!
//! [`plan`] lists the products of a job file, finds which objects each task needs of each, and
//! registers objects and jobs with a [`PlanSink`] as it goes, so that the first job can start
//! while later products are still being listed. What it needs of a store is a [`ProductSource`].

mod dry;
mod error;
mod formulas;
mod group;
mod job;
mod listing;
mod per_band;
mod planner;
mod prepare;
mod products;
mod recipe;
mod resolve;
mod safe;
mod sink;
mod source;
mod space;
mod stac;
mod unique;

pub use dry::{DryJob, DryRun, Totals};
pub use error::{PlanError, PlanErrorKind};
pub use formulas::RasterFormulas;
pub use planner::{PlanOptions, PlanSummary, plan};
pub use safe::{Level, SafeMetadata};
pub use sink::{BrokenJob, PlanSink, PlannedJob};
pub use source::{Pending, ProductSource};
pub use stac::StacScales;
