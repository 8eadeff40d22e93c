//! What both commands share.

pub mod logging;
pub mod store_args;
