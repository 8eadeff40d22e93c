//! What both commands share.

pub mod store_args;
