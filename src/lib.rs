//! cotec processes Earth-observation products while they are still being downloaded from S3.
//!
//! The crate is built in floors; each module imports only from floors below it:
//! `values` < `sys` < `table`, `store` < `raster`, `task`, `schedule` < `plan`, `fetch`, `work`,
//! `upload`, `report` < `watch` < `coord` < `cli`.

#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "run")]
pub mod coord;
#[cfg(feature = "run")]
pub mod fetch;
#[cfg(feature = "run")]
pub mod plan;
#[cfg(feature = "raster")]
pub mod raster;
#[cfg(feature = "run")]
pub mod report;
pub mod schedule;
#[cfg(feature = "s3")]
pub mod store;
pub mod sys;
pub mod table;
#[cfg(feature = "run")]
pub mod task;
#[cfg(feature = "run")]
pub mod upload;
pub mod values;
#[cfg(feature = "run")]
pub mod watch;
#[cfg(feature = "run")]
pub mod work;

#[cfg(feature = "run")]
pub use coord::{NativeConfig as Config, run_native as run};
