//! The options that say which store is meant.

use cotec::store::StoreOptions;

/// Options that name a store. What is left out comes from the environment and the AWS profile.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// The address of the store, http:// or https:// and a host; Amazon S3 if none is given
    #[arg(long, value_name = "URL", global = true)]
    pub endpoint: Option<String>,
    /// The bucket
    #[arg(long, value_name = "NAME", global = true)]
    pub bucket: Option<String>,
    /// The region to sign for
    #[arg(long, value_name = "R", global = true)]
    pub region: Option<String>,
    /// The profile in ~/.aws/credentials and ~/.aws/config
    #[arg(long, value_name = "P", global = true)]
    pub profile: Option<String>,
    /// Do not sign requests: for public buckets
    #[arg(long, global = true)]
    pub anonymous: bool,
    /// Agree to be charged for requests and transfer
    #[arg(long, global = true)]
    pub requester_pays: bool,
}

impl StoreArgs {
    /// The same as options of the library.
    pub fn options(&self) -> StoreOptions {
        StoreOptions {
            endpoint: self.endpoint.clone(),
            bucket: self.bucket.clone(),
            region: self.region.clone(),
            profile: self.profile.clone(),
            addressing: None,
            anonymous: self.anonymous,
            requester_pays: self.requester_pays,
        }
    }
}
