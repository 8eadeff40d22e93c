//! Are these the right bytes?
//!
//! [`Said`] collects what the answers say of an object, [`Manifest`] what its product says,
//! [`Expectation`] is what to compare the landed bytes with, and [`Verifier`] compares them on
//! threads of its own, beside the download.

mod expect;
mod manifest;
mod parts;
mod said;
mod verifier;

pub use expect::{Expectation, Verdict};
pub use manifest::Manifest;
pub use said::Said;
pub use verifier::{Checked, Verifier};
