//! TLS for every connection to a store: ring, the system's roots, and those of a CA bundle.
//!
//! The system's roots are read from disk when the first certificate is checked, so that stores
//! without TLS do not wait for them.

use std::error::Error;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore};
use rustls::{Error as TlsError, SignatureScheme};
use rustls_platform_verifier::Verifier;

use super::StoreError;

/// A CA bundle longer than this is none.
const MAX_BUNDLE: u64 = 16 << 20;

/// The settings of TLS connections that trust the system's roots and the certificates of `bundle`.
///
/// # Errors
/// As [`read_bundle`]; `Config` where the cryptography cannot be set up.
pub(super) fn client_config(bundle: Option<&Path>) -> Result<Arc<ClientConfig>, StoreError> {
    let bundle = bundle.map(read_bundle).transpose()?;
    let extra = bundle.map(|bundle| bundle.certificates).unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Roots {
        extra,
        provider: Arc::clone(&provider),
        loaded: OnceLock::new(),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| StoreError::config(format!("TLS cannot be set up: {e}; check --ca-bundle")))?;
    Ok(Arc::new(
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(roots))
            .with_no_client_auth(),
    ))
}

/// The certificates of a CA bundle: at least one, and each can be used as a root.
pub(super) struct Bundle {
    certificates: Vec<CertificateDer<'static>>,
    /// The file that they stand in.
    #[cfg(feature = "aws")]
    pub pem: Vec<u8>,
}

/// Reads a CA bundle, a file of PEM certificates.
///
/// # Errors
/// `Config` where it cannot be read, holds no certificate, or one that is none.
pub(super) fn read_bundle(path: &Path) -> Result<Bundle, StoreError> {
    let wrong = |what: &str| {
        StoreError::config(format!(
            "the CA bundle {}: {what}; --ca-bundle, AWS_CA_BUNDLE and the profile's ca_bundle \
             name a file of certificates in PEM form",
            path.display()
        ))
    };
    let length = std::fs::metadata(path).map_err(|e| wrong(&e.to_string()))?;
    if length.len() > MAX_BUNDLE {
        return Err(wrong("it is longer than 16 MiB"));
    }
    let pem = std::fs::read(path).map_err(|e| wrong(&e.to_string()))?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|e| wrong(&format!("it is no PEM file ({e})")))?;
    if certificates.is_empty() {
        return Err(wrong("it holds no certificate"));
    }
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots
            .add(certificate.clone())
            .map_err(|e| wrong(&format!("a certificate in it cannot be used ({e})")))?;
    }
    Ok(Bundle {
        certificates,
        #[cfg(feature = "aws")]
        pem,
    })
}

/// Checks certificates against the system's roots and some more.
#[derive(Debug)]
struct Roots {
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    loaded: OnceLock<Result<Verifier, TlsError>>,
}

impl Roots {
    fn verifier(&self) -> Result<&Verifier, TlsError> {
        self.loaded
            .get_or_init(|| {
                let (extra, provider) = (self.extra.clone(), Arc::clone(&self.provider));
                Verifier::new_with_extra_roots(extra, provider)
            })
            .as_ref()
            .map_err(Clone::clone)
    }
}

impl ServerCertVerifier for Roots {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        self.verifier()?.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier()?.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.verifier()?.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What is wrong with the other side's TLS and what to do, where that is why `error` came.
pub(super) fn explained(error: &(dyn Error + 'static)) -> Option<String> {
    let error = tls_error(error)?;
    let TlsError::InvalidCertificate(what) = error else {
        return match error {
            TlsError::InvalidMessage(_) => Some(format!(
                "what answers there speaks no TLS ({error}); should the endpoint begin with http://?"
            )),
            TlsError::General(what) if what.contains("No CA certificates") => Some(
                "this machine has no CA certificates; install the package ca-certificates, or name \
                 a file of them with --ca-bundle"
                    .to_owned(),
            ),
            _ => None,
        };
    };
    let advice = match what {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it belongs to another host; check the endpoint"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "it has expired; tell those who run the store, or set this machine's clock"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet; set this machine's clock"
        }
        CertificateError::Revoked => "it has been revoked; tell those who run the store",
        _ => {
            "nobody whom this machine trusts has signed it; if the store has a certificate \
             authority of its own, name its certificates with --ca-bundle FILE or AWS_CA_BUNDLE"
        }
    };
    Some(format!("its certificate is refused ({what}): {advice}"))
}

/// The TLS error among the causes of an error.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a TlsError> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref::<TlsError>() {
            return Some(found);
        }
        // The cause of an io::Error is that of what it wraps, which is passed over so.
        next = match cause.downcast_ref::<io::Error>().and_then(|e| e.get_ref()) {
            Some(inner) => Some(inner),
            None => cause.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_that_are_none_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        let refused = |says: &str| {
            let text = read_bundle(&file).err().unwrap().to_string();
            assert!(
                text.contains("ca.pem") && text.contains("--ca-bundle"),
                "{text}"
            );
            assert!(text.contains(says), "{text}");
        };
        refused("No such file");
        std::fs::write(&file, "nothing").unwrap();
        refused("no certificate");
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&file, garbage).unwrap();
        refused("cannot be used");
    }

    #[test]
    fn the_error_is_found_within_others() {
        let inner = TlsError::InvalidCertificate(CertificateError::UnknownIssuer);
        let outer = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, inner));
        let text = explained(&outer).unwrap();
        assert!(text.contains("--ca-bundle"), "{text}");
        assert!(explained(&io::Error::other("no")).is_none());
    }
}
