//! The options that say which store is meant.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Resettable;

use crate::store::{Addressing, EndpointSettings, SignatureVersion, StoreOptions};

/// Options that name a store. What is left out comes from the environment and the AWS profile.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// The store's address [default: Amazon S3]
    ///
    /// http:// or https://, and a host.
    #[arg(help_heading = Resettable::Reset, long, value_name = "URL", global = true)]
    pub endpoint: Option<String>,
    /// The bucket
    #[arg(help_heading = Resettable::Reset, long, value_name = "NAME", global = true)]
    pub bucket: Option<String>,
    /// The region to sign for
    #[arg(long, value_name = "R", global = true, hide_short_help = true)]
    pub region: Option<String>,
    /// The profile in ~/.aws/credentials and ~/.aws/config
    #[arg(long, value_name = "P", global = true, hide_short_help = true)]
    pub profile: Option<String>,
    /// Where the bucket stands in URLs: virtual (in the host name), path, or auto
    #[arg(long, value_name = "S", global = true, hide_short_help = true)]
    pub addressing_style: Option<Addressing>,
    /// A file of PEM certificates to trust besides the system's
    #[arg(long, value_name = "FILE", global = true, hide_short_help = true)]
    pub ca_bundle: Option<PathBuf>,
    /// How requests are signed: s3v4, or s3 for stores that know nothing newer
    #[arg(long, value_name = "V", global = true, hide_short_help = true)]
    pub signature_version: Option<SignatureVersion>,
    /// Do not sign requests: for public buckets
    #[arg(long, global = true, hide_short_help = true)]
    pub anonymous: bool,
    /// Agree to be charged for requests and transfer
    #[arg(long, global = true, hide_short_help = true)]
    pub requester_pays: bool,
    /// Give a connection up when nothing, or next to nothing, came on it for so long
    #[arg(long, value_name = "SECONDS", global = true, hide_short_help = true, default_value = "30",
          value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub stall_timeout: u64,
    /// What may be asked of the endpoint by all runs together, instead of what is built in for
    /// it: connections, bytes_per_connection, bytes_per_second, requests_per_minute or
    /// bytes_per_month, with 0 for no limit
    #[arg(long, value_name = "NAME=N", global = true, hide_short_help = true)]
    pub limit: Vec<EndpointSettings>,
}

impl StoreArgs {
    /// The same as options of the library.
    pub fn options(&self) -> StoreOptions {
        StoreOptions {
            endpoint: self.endpoint.clone(),
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            addressing: self.addressing_style,
            signature: self.signature_version,
            ca_bundle: self.ca_bundle.clone(),
            anonymous: self.anonymous,
            requester_pays: self.requester_pays,
            stall_timeout: Some(Duration::from_secs(self.stall_timeout)),
            limits: self
                .limit
                .iter()
                .fold(EndpointSettings::default(), |all, one| one.or(all)),
        }
    }
}
