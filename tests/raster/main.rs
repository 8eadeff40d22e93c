//! Bands, band maths and the sample.
#![cfg(feature = "raster")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/data.rs"]
mod data;
mod landing;
mod maths;
mod reference;
mod sample;
