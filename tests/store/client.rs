//! Clients for the servers of these tests.

use cotec::store::{
    Addressing, Credentials, EndpointSettings, S3Store, Secret, SignatureVersion, StoreConfig,
};

use crate::store_common::{ACCESS, SECRET};

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// A store in `bucket` of the server at `url`, with the keys of these tests.
pub fn config(url: &str, bucket: &str) -> StoreConfig {
    StoreConfig {
        endpoint: Some(url.to_owned()),
        bucket: bucket.to_owned(),
        region: None,
        addressing: Addressing::Auto,
        signature: SignatureVersion::V4,
        ca_bundle: None,
        credentials: Credentials::Keys {
            access: ACCESS.to_owned(),
            secret: Secret::new(SECRET),
            token: None,
        },
        requester_pays: false,
        stall_timeout: std::time::Duration::from_secs(30),
        limits: EndpointSettings::default(),
    }
}

pub fn store(url: &str, bucket: &str) -> S3Store {
    S3Store::new(config(url, bucket)).unwrap()
}
