//! What the commands have in common: the command line of `cotec-coord`, which its completions and
//! its man page are made from, too, the options that name a store, and the log.

mod coord_args;
mod loudness;
mod store_args;

pub use coord_args::{CoordArgs, OrderArg, RadiometryArg};
pub use loudness::Loudness;
pub use store_args::StoreArgs;
