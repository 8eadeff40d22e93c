//! The store: S3 buckets, and directories served as such.
//!
//! A [`StoreConfig`] says where a bucket is and who asks; [`StoreConfig::resolve`] makes one from
//! flags, environment and AWS profiles. An [`S3Store`] lists, reads and writes that bucket through
//! presigned URLs. Errors are [`StoreError`]s, whose [`kind`](StoreError::kind) chooses an exit code.
//! No secret or signature is ever shown by `Debug`, `Display` or an error.

mod address;
mod answer;
#[cfg(feature = "aws")]
mod aws;
mod budget;
mod client;
mod config;
mod connections;
mod credentials;
mod dotkey;
mod elsewhere;
#[cfg(feature = "embedded")]
pub mod embedded;
mod endpoint;
mod environment;
mod error;
mod explain;
mod headers;
mod keys;
mod list;
mod listxml;
mod loopback;
mod pages;
mod profile;
mod put;
mod reader;
mod renew;
mod resolve;
mod retry;
mod s3;
mod search;
mod secret;
mod sign;
mod sign_v2;
mod sign_v4;
mod state;
mod sum;
mod tls;
mod xml;

pub use address::Address;
pub use budget::{Budget, BudgetError, Endpoint, EndpointUse, Lease};
pub use config::{Addressing, Credentials, SignatureVersion, StoreConfig, StoreOptions};
pub use endpoint::{EndpointProfile, EndpointSettings};
pub use environment::Environment;
pub use error::{ErrorKind, StoreError};
pub use list::{ObjectInfo, Page};
pub use loopback::Loopback;
pub use pages::{ListingGuard, Pages};
pub use put::{Uploaded, Uploads};
pub use s3::S3Store;
pub use search::Search;
pub use secret::Secret;
pub use sign::CHECKSUM_MODE;
pub use sum::{Algorithm, Sum, Summer};

/// The URL type of this module's API, the same as `url::Url`.
pub use reqwest::Url;
