//! A place on loopback for a server of our own, with keys that live as long as it does.

use std::fs::File;
use std::io::{self, Read};
use std::net::TcpListener;
use std::path::Path;

use super::EndpointSettings;
use super::config::{Addressing, Credentials, SignatureVersion, StoreConfig, StoreOptions};
use super::error::{StoreError, local};
use super::secret::Secret;

/// A bound port of 127.0.0.1 and one pair of keys.
#[derive(Debug)]
pub struct Loopback {
    /// Connections wait here from the start, also before anybody serves them.
    pub listener: TcpListener,
    /// The access key.
    pub access: String,
    /// The secret key.
    pub secret: Secret,
    port: u16,
}

impl Loopback {
    /// Binds a free port and makes keys.
    ///
    /// # Errors
    /// `Local` where there is no port or no random number to be had.
    pub fn bind() -> Result<Loopback, StoreError> {
        let bound = || -> io::Result<Loopback> {
            let listener = TcpListener::bind(("127.0.0.1", 0))?;
            let port = listener.local_addr()?.port();
            let (access, secret) = (random_word()?, Secret::new(random_word()?));
            Ok(Loopback {
                listener,
                access,
                secret,
                port,
            })
        };
        bound().map_err(local(Path::new("127.0.0.1"), "bind a port of"))
    }

    /// How a client reaches a bucket of the server.
    pub fn config(&self, bucket: &str) -> StoreConfig {
        StoreConfig {
            endpoint: Some(format!("http://127.0.0.1:{}", self.port)),
            bucket: bucket.to_owned(),
            region: Some("us-east-1".to_owned()),
            addressing: Addressing::Path,
            signature: SignatureVersion::V4,
            ca_bundle: None,
            credentials: Credentials::Keys {
                access: self.access.clone(),
                secret: self.secret.clone(),
                token: None,
            },
            requester_pays: false,
            stall_timeout: StoreOptions::default().stall_timeout(),
            limits: EndpointSettings::default(),
        }
    }
}

fn random_word() -> io::Result<String> {
    let mut bytes = [0u8; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_differ_and_are_not_shown() {
        let (one, two) = (Loopback::bind().unwrap(), Loopback::bind().unwrap());
        assert_ne!(one.access, two.access);
        assert_ne!(one.secret.expose(), two.secret.expose());
        assert!(!format!("{one:?}").contains(one.secret.expose()));
        assert!(one.config("b").endpoint_url().is_ok());
    }
}
