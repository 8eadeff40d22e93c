//! HTTPS with an authority of our own: works with its certificate, and nothing else does.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::front::Front;
use super::world::{Told, World};
use crate::store_common::{ACCESS, SECRET};

const KEYS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", ACCESS),
    ("AWS_SECRET_ACCESS_KEY", SECRET),
];

/// An authority, and the file of its certificate.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Authority { issuer }
    }

    /// A server in front of `behind`, with a certificate for `host` that ends in the year `until`.
    fn front(&self, behind: &str, host: &str, until: i32) -> Front {
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Front::start(Some(Arc::new(config)), behind, |_| None)
    }
}

/// A world, an authority, and the path of its certificate.
fn trusted() -> (World, Authority, String) {
    let (world, authority) = (World::new(3), Authority::new());
    let bundle = world.write("ca.pem", &authority.issuer.pem());
    (world, authority, bundle)
}

fn ls(world: &World, url: &str, env: &[(&str, &str)], args: &[&str]) -> Told {
    let args = [&["ls", "--recursive", "s3://b"], args].concat();
    world.cotec(url, &[&KEYS, env].concat(), &args)
}

#[test]
fn each_way_to_name_the_bundle_and_each_command() {
    let (world, authority, bundle) = trusted();
    let front = authority.front(&world.server.url, "127.0.0.1", 2100);
    let with = ["--ca-bundle", bundle.as_str()];
    ls(&world, &front.url, &[], &with).listed(3);
    ls(&world, &front.url, &[("AWS_CA_BUNDLE", &bundle)], &[]).listed(3);
    world.write(".aws/config", "[default]\nca_bundle = ~/ca.pem\n");
    ls(&world, &front.url, &[], &[]).listed(3);
    world.write(".aws/config", "");

    let outcome = world.run(&front.url, &KEYS).args(with).expect(0);
    assert!(outcome.stdout.contains("3 of 3 jobs done"), "{outcome}");

    let keys = KEYS.to_vec();
    let put = ["put", "ca.pem", "s3://b/up/", "--ca-bundle", &bundle];
    let told = world.cotec(&front.url, &keys, &put);
    assert_eq!(told.code, 0, "{told:?}");
    let get = ["get", "s3://b/up/ca.pem", "down", "--ca-bundle", &bundle];
    let told = world.cotec(&front.url, &keys, &get);
    assert_eq!(told.code, 0, "{told:?}");
    let read = |path| std::fs::read(world.sandbox.path(path)).unwrap();
    assert_eq!(read("down/ca.pem"), read("ca.pem"));
}

#[test]
fn a_stranger_is_refused_and_the_way_out_is_named() {
    let (world, authority, _) = trusted();
    let front = authority.front(&world.server.url, "127.0.0.1", 2100);
    let told = ls(&world, &front.url, &[], &[]);
    told.refused(3, &["UnknownIssuer", "--ca-bundle", "AWS_CA_BUNDLE"]);
    // An authority of the same name is not the same.
    let other = world.write("other.pem", &Authority::new().issuer.pem());
    let told = ls(&world, &front.url, &[], &["--ca-bundle", &other]);
    told.refused(3, &["--ca-bundle"]);
    let outcome = world.run(&front.url, &KEYS).expect(3);
    assert!(outcome.stderr.contains("--ca-bundle"), "{outcome}");
    assert_eq!(front.seen().len(), 0);
}

#[test]
fn another_host_and_another_year_are_refused() {
    let (world, authority, bundle) = trusted();
    let with = ["--ca-bundle", bundle.as_str()];
    let other = authority.front(&world.server.url, "elsewhere.example", 2100);
    let told = ls(&world, &other.url, &[], &with);
    told.refused(3, &["another host", "check the endpoint"]);
    let old = authority.front(&world.server.url, "127.0.0.1", 2020);
    ls(&world, &old.url, &[], &with).refused(3, &["has expired", "clock"]);
    let plain = world.server.url.replacen("http", "https", 1);
    ls(&world, &plain, &[], &with).refused(3, &["http://"]);
    assert_eq!(other.seen().len() + old.seen().len(), 0);
}

#[test]
fn a_bundle_that_is_none_is_told_before_anything_else() {
    let (world, _, _) = trusted();
    let none = world.write("none.pem", "nothing");
    let args = ["--ca-bundle", none.as_str()];
    let told = ls(&world, "https://127.0.0.1:1", &[], &args);
    told.refused(2, &["none.pem", "no certificate"]);
    let outcome = world.run("https://127.0.0.1:1", &KEYS).args(args).expect(2);
    assert!(outcome.stderr.contains("no certificate"), "{outcome}");
}
