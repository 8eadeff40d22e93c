//! The uploader: brings the results of jobs to a store while the next jobs run.
//!
//! A worker writes its result as always, and hands the job over instead of moving the files to
//! their place. The uploader claims it, uploads the files, asks the store for each of them, and
//! only then says that the job is done. Companions go first and the file that `{out}` names goes
//! last: who sees it may rely on the others. It is the only process besides planner and downloader
//! that holds credentials.

mod config;
mod job;
mod process;

pub use config::{UploadConfig, UploadError};
pub use process::run;
