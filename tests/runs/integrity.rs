//! Bytes are compared with every checksum that is known of them.

use std::fs;

use cotec::store::{Algorithm, Sum, Summer};
use serde_json::Value;

use crate::common::run::{Outcome, Sandbox};
use crate::keeper::{Item, Keeper};

/// Copies the directory of each product.
const COPY: &str = r#"
    [store]
    bucket = "bucket"
    [products]
    prefix = ""
    [[task]]
    name = "copy"
    output = "copy"
    objects = ["*.bin"]
    run = ["cp", "-r", "{product_dir}", "{out}"]
"#;

fn hex(sum: Sum) -> String {
    sum.bytes().iter().map(|b| format!("{b:02x}")).collect()
}

fn md5(bytes: &[u8]) -> String {
    hex(Summer::of(Algorithm::Md5, bytes))
}

fn item(bytes: &[u8], etag: &str) -> Item {
    Item {
        bytes: bytes.to_vec(),
        etag: etag.to_owned(),
        ..Item::default()
    }
}

fn run(sandbox: &Sandbox, keeper: &Keeper, code: i32) -> Outcome {
    sandbox.job_file(COPY);
    keeper.use_by(sandbox.coord()).args(["--json"]).expect(code)
}

fn verified(outcome: &Outcome) -> &Value {
    &outcome.summary()["objects"]["verified"]
}

#[test]
fn a_wrong_byte_is_fetched_again() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    let bytes = vec![7; 3_000_000];
    let mut wrong = item(&bytes, &md5(&bytes));
    wrong.wrong = 1;
    keeper.put("p/a.bin", wrong);
    let outcome = run(&sandbox, &keeper, 0);
    assert!(
        outcome.stdout.contains("\"fault\":\"corrupt\""),
        "{outcome}"
    );
    assert_eq!(*verified(&outcome), serde_json::json!({ "md5": 1 }));
    assert!(fs::read(sandbox.path("out/p/copy/a.bin")).unwrap() == bytes);
    let ready = outcome
        .events()
        .into_iter()
        .find(|e| e["event"] == "object-ready");
    assert_eq!(ready.unwrap()["verified"], "md5");
}

#[test]
fn bytes_that_stay_wrong_are_a_clear_failure_and_reach_no_place() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    let mut wrong = item(&[7; 3000], &md5(&[7; 3000]));
    wrong.wrong = usize::MAX;
    keeper.put("p/a.bin", wrong);
    keeper.put("q/a.bin", item(&[8; 3000], &md5(&[8; 3000])));
    let outcome = run(&sandbox, &keeper, 1);
    assert_eq!(outcome.count("/objects/failed"), 1, "{outcome}");
    assert_eq!(outcome.count("/jobs/done"), 1);
    let failed = &outcome.summary()["failed_objects"][0];
    assert_eq!(
        (&failed["key"], &failed["fault"]),
        (&"p/a.bin".into(), &"corrupt".into())
    );
    assert!(outcome.stdout.contains("its ETag says MD5"), "{outcome}");
    assert!(!sandbox.staged("bucket", "p/a.bin").exists());
    assert_eq!(keeper.sent("p/a.bin").len(), 2, "downloads");
    let landing = sandbox.path(".cotec/staging/%~landing");
    assert_eq!(fs::read_dir(landing).unwrap().count(), 0);
}

/// Nothing tells whether the one object or its ETag is wrong: it is not taken for right.
#[test]
fn a_single_object_with_wrong_bytes_is_a_failure() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    keeper.put("p/a.bin", item(&[7; 3000], &md5(b"other")));
    let outcome = run(&sandbox, &keeper, 1);
    assert_eq!(outcome.summary()["failed_objects"][0]["fault"], "corrupt");
}

#[test]
fn etags_that_only_look_like_md5s_are_found_out() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    for name in ["a", "b", "c", "d"] {
        keeper.put(
            &format!("p/{name}.bin"),
            item(name.as_bytes(), &md5(b"other")),
        );
    }
    let outcome = run(&sandbox, &keeper, 0);
    let found = serde_json::json!({ "length-and-etag": 4 });
    assert_eq!(*verified(&outcome), found, "{outcome}");
    assert!(
        outcome.stdout.contains("look like MD5s and are none"),
        "{outcome}"
    );
}

#[test]
fn every_checksum_that_a_store_sends_is_compared() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    let bytes = b"some bytes of an object".to_vec();
    let put = |key: String, header: String| {
        let headers = vec![header, "x-amz-checksum-type: FULL_OBJECT".to_owned()];
        let item = Item {
            headers,
            ..item(&bytes, "opaque")
        };
        keeper.put(&key, item);
    };
    for algorithm in Algorithm::IN_HEADERS {
        let (name, header) = (algorithm.name(), algorithm.header().unwrap());
        let right = Summer::of(algorithm, &bytes).to_base64();
        let wrong = Summer::of(algorithm, b"other bytes").to_base64();
        put(format!("right/{name}.bin"), format!("{header}: {right}"));
        put(format!("wrong-{name}/x.bin"), format!("{header}: {wrong}"));
    }
    let outcome = run(&sandbox, &keeper, 1);
    let all =
        serde_json::json!({ "crc32": 1, "crc32c": 1, "crc64nvme": 1, "sha1": 1, "sha256": 1 });
    assert_eq!(*verified(&outcome), all, "{outcome}");
    assert_eq!(outcome.count("/objects/failed"), 5);
    assert_eq!(outcome.count("/jobs/done"), 1);
    for failed in outcome.summary()["failed_objects"].as_array().unwrap() {
        assert_eq!(failed["fault"], "corrupt");
    }
}

#[test]
fn an_etag_that_is_no_md5_is_not_taken_for_one() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    let other = md5(b"other bytes");
    let mut encrypted = item(b"bytes", &other);
    encrypted
        .headers
        .push("x-amz-server-side-encryption: aws:kms".to_owned());
    keeper.put("p/kms.bin", encrypted);
    keeper.put("p/parts.bin", item(b"bytes", &format!("{other}-2")));
    keeper.put("p/other.bin", item(b"bytes", "1f-2e-3d"));
    let one = Summer::of(Algorithm::Md5, Summer::of(Algorithm::Md5, b"bytes").bytes());
    keeper.put("p/one.bin", item(b"bytes", &format!("{}-1", hex(one))));
    keeper.put("p/empty.bin", item(b"", &md5(b"")));
    let outcome = run(&sandbox, &keeper, 0);
    let found = serde_json::json!({ "length-and-etag": 4, "parts": 1 });
    assert_eq!(*verified(&outcome), found, "{outcome}");
}

/// A SAFE product with a manifest that speaks of all its files but one.
fn product(keeper: &Keeper, name: &str, files: &[(&str, &[u8])]) {
    let mut streams = String::new();
    for (number, (path, bytes)) in files.iter().enumerate() {
        let algorithm = [Algorithm::Md5, Algorithm::Sha3][number % 2];
        let sum = hex(Summer::of(algorithm, bytes));
        streams += &format!(
            r#"<dataObject><byteStream size="{}"><fileLocation href="./{path}"/><checksum checksumName="{}">{sum}</checksum></byteStream></dataObject>"#,
            bytes.len(),
            algorithm.name(),
        );
    }
    let manifest = format!(r#"<xfdu:XFDU xmlns:xfdu="urn:x">{streams}</xfdu:XFDU>"#);
    keeper.put(
        &format!("{name}/manifest.safe"),
        item(manifest.as_bytes(), "m"),
    );
    for (path, bytes) in files {
        keeper.put(&format!("{name}/{path}"), item(bytes, "opaque"));
    }
    keeper.put(
        &format!("{name}/z.bin"),
        item(b"not in the manifest", "opaque"),
    );
}

#[test]
fn a_products_manifest_is_what_its_objects_are_held_to() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    let files: [(&str, &[u8]); 3] = [("a.bin", b"one"), ("b.bin", b"two"), ("c.bin", b"three")];
    product(&keeper, "good.SAFE", &files);
    product(&keeper, "bad.SAFE", &files);
    keeper.put("bad.SAFE/b.bin", item(b"TWO", "opaque"));
    let outcome = run(&sandbox, &keeper, 1);
    // Five files that the manifests speak of, those that they do not, and the manifests.
    let found = serde_json::json!({ "manifest": 5, "length-and-etag": 4 });
    assert_eq!(*verified(&outcome), found, "{outcome}");
    assert_eq!(outcome.count("/jobs/done"), 1);
    let failed = &outcome.summary()["failed_objects"][0];
    assert_eq!(failed["key"], "bad.SAFE/b.bin");
    assert!(
        outcome.stdout.contains("manifest.safe says SHA3-256"),
        "{outcome}"
    );
}

/// The manifest of a product comes late in a listing, and is slow besides.
#[test]
fn nothing_of_a_product_is_ready_before_its_manifest() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    product(&keeper, "x.SAFE", &[("A.bin", b"one"), ("B.bin", b"two")]);
    let manifest = keeper.take("x.SAFE/manifest.safe");
    let held = Item {
        held_from: Some(0),
        ..manifest
    };
    keeper.put("x.SAFE/manifest.safe", held);
    sandbox.job_file(COPY);
    let mut running = keeper.use_by(sandbox.coord()).args(["--json"]).spawn();
    keeper.wait_until_held();
    // All others were sent.
    crate::common::processes::until("the objects to be sent", || {
        let sent = |key: &str| keeper.was_sent(key);
        (sent("x.SAFE/A.bin") && sent("x.SAFE/B.bin") && sent("x.SAFE/z.bin")).then_some(())
    });
    assert!(!running.stdout().contains("object-ready"));
    keeper.open();
    assert!(running.printed("\"event\":\"object-ready\""));
    let outcome = running.wait();
    assert_eq!(outcome.code, Some(0), "{outcome}");
    let found = serde_json::json!({ "manifest": 2, "length-and-etag": 2 });
    assert_eq!(*verified(&outcome), found, "{outcome}");
}

#[test]
fn a_manifest_that_is_none_is_said_and_costs_nothing_else() {
    let (sandbox, keeper) = (Sandbox::new(), Keeper::new());
    keeper.put("x.SAFE/manifest.safe", item(b"<html>", "m"));
    keeper.put("x.SAFE/a.bin", item(b"one", &md5(b"one")));
    let outcome = run(&sandbox, &keeper, 0);
    let found = serde_json::json!({ "md5": 1, "length-and-etag": 1 });
    assert_eq!(*verified(&outcome), found, "{outcome}");
    assert!(outcome.stdout.contains("cannot be used"), "{outcome}");
}
