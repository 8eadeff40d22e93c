//! Stores that misbehave: each gives its own error, soon, and shows nothing of a signature.

use cotec::store::{ErrorKind, S3Store, StoreError};

use crate::client::{block_on, store};
use crate::scripted::{Scripted, answer};
use crate::store_common::{ACCESS, SECRET};

/// The error of a range request that is answered so, and how many requests it took.
fn range(response: Vec<u8>) -> (StoreError, usize) {
    let server = Scripted::start(move |_, _| response.clone());
    let store = store(&server.url, "bucket");
    let error = block_on(store.get_range("key", 10..20, Some("abc"))).unwrap_err();
    let seen = server.requests.lock().unwrap();
    assert!(seen[0].contains("range: bytes=10-19\r\n"), "{}", seen[0]);
    assert!(seen[0].contains("if-match: \"abc\"\r\n"), "{}", seen[0]);
    (checked(error), seen.len())
}

/// An error's text never holds a secret or a part of a signed URL.
fn checked(error: StoreError) -> StoreError {
    let text = format!("{error} {error:?}").to_lowercase();
    for secret in [
        "x-amz",
        "signature=",
        &ACCESS.to_lowercase(),
        &SECRET.to_lowercase(),
    ] {
        assert!(!text.contains(secret), "{text}");
    }
    error
}

#[test]
fn ranges() {
    let ten = "0123456789";
    let html = "<html><body>Please sign in at /b/key?X-Amz-Signature=abc</body></html>";
    let cases: [(Vec<u8>, ErrorKind, &str); 12] = [
        (
            answer("200 OK", &[], ten),
            ErrorKind::Protocol,
            "does not know ranges",
        ),
        (
            answer("200 OK", &["Content-Type: text/html"], html),
            ErrorKind::Protocol,
            "does not know ranges",
        ),
        (
            answer("206 Partial Content", &[], ten),
            ErrorKind::Protocol,
            "no Content-Range",
        ),
        (
            answer(
                "206 Partial Content",
                &["Content-Range: bytes 0-9/100"],
                ten,
            ),
            ErrorKind::Protocol,
            "bytes 0-9 came",
        ),
        (
            answer(
                "206 Partial Content",
                &["Content-Range: bytes 10-14/100"],
                "01234",
            ),
            ErrorKind::Protocol,
            "bytes 10-14",
        ),
        (
            answer(
                "206 Partial Content",
                &["Content-Range: bytes 10-14/15"],
                "01234",
            ),
            ErrorKind::Changed,
            "only 15",
        ),
        (
            answer(
                "206 Partial Content",
                &["Content-Range: bytes 10-19/100"],
                "0123",
            ),
            ErrorKind::Protocol,
            "4 bytes",
        ),
        (
            answer("206 Partial Content", &["Content-Range: lines 1-2/3"], ten),
            ErrorKind::Protocol,
            "lines 1-2/3",
        ),
        (
            answer("204 No Content", &[], ""),
            ErrorKind::Protocol,
            "HTTP 204",
        ),
        (
            answer("403 Forbidden", &[], html),
            ErrorKind::Refused,
            "403",
        ),
        (
            answer("412 Precondition Failed", &[], ""),
            ErrorKind::Changed,
            "changed",
        ),
        (
            answer("503 Slow Down", &["Retry-After: 9"], ""),
            ErrorKind::Throttled,
            "slow down",
        ),
    ];
    for (response, kind, says) in cases {
        let shown = String::from_utf8(response.clone()).unwrap();
        let (error, count) = range(response);
        assert_eq!(error.kind(), kind, "{shown}: {error}");
        assert!(error.to_string().contains(says), "{shown}: {error}");
        // Ranges are retried by the downloader, not here.
        assert_eq!(count, 1);
    }
}

#[test]
fn a_whole_object_may_come_for_its_whole_range() {
    let server = Scripted::start(|_, _| answer("200 OK", &[], "0123456789"));
    let store = store(&server.url, "bucket");
    let body = block_on(async {
        store
            .get_range("key", 0..10, None)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
    });
    assert_eq!(body, &b"0123456789"[..]);
}

#[test]
fn redirects_are_not_followed() {
    let target = Scripted::start(|_, _| answer("200 OK", &[], "stolen"));
    let location = format!("Location: {}/elsewhere?X-Amz-Signature=1", target.url);
    for (status, header, says) in [
        (
            "307 Temporary Redirect",
            location.as_str(),
            target.url.as_str(),
        ),
        (
            "301 Moved Permanently",
            "x-amz-bucket-region: eu-central-1",
            "--region eu-central-1",
        ),
    ] {
        let header = header.to_owned();
        let server = Scripted::start(move |_, _| answer(status, &[&header], ""));
        let error = checked(block_on(store(&server.url, "bucket").get("key", 10)).unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(target.count(), 0);
}

fn list(respond: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> (StoreError, usize) {
    let server = Scripted::start(respond);
    let store = store(&server.url, "bucket");
    let error = block_on(async {
        let mut pages = store.list_all("in/", None);
        loop {
            match pages.next().await.expect("an error before the end") {
                Ok(_) => {}
                Err(error) => {
                    assert!(pages.next().await.is_none());
                    break error;
                }
            }
        }
    });
    (checked(error), server.count())
}

fn page(key: &str, token: &str) -> String {
    format!(
        "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>{token}</NextContinuationToken>\
         <Contents><Key>in/{key}</Key><Size>1</Size></Contents></ListBucketResult>"
    )
}

#[test]
fn listings_that_are_none() {
    for (body, says) in [
        (
            "<html><head><title>Hotel</title></head><body>Wifi</body></html>",
            "<html><head><title>Hotel",
        ),
        ("<ListBucketResult><Contents><Key>a</Key>", "too early"),
        (
            "<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>",
            "`x` is no size",
        ),
        ("{\"error\": 1}", "{\\\"error\\\": 1}"),
        ("", "too early"),
        (
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "NextContinuationToken",
        ),
    ] {
        let (error, count) = list(move |_, _| answer("200 OK", &[], body));
        assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
        assert!(error.to_string().contains(says), "{body}: {error}");
        assert_eq!(count, 1);
    }
}

#[test]
fn listings_that_never_end() {
    let (error, count) = list(|n, _| answer("200 OK", &[], &page(&n.to_string(), "same")));
    assert!(
        error.to_string().contains("same continuation token"),
        "{error}"
    );
    assert_eq!(count, 2);
    let (error, count) = list(|n, _| answer("200 OK", &[], &page("same", &n.to_string())));
    assert!(
        error.to_string().contains("`in/same` came twice"),
        "{error}"
    );
    assert_eq!(count, 2);
    // A circle of five.
    let (error, count) =
        list(|n, _| answer("200 OK", &[], &page(&(n % 5).to_string(), &n.to_string())));
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    assert_eq!(count, 6);
}

#[test]
fn passing_failures_are_tried_again() {
    let server = Scripted::start(|n, _| match n {
        0 => answer("500 Internal Server Error", &[], ""),
        1 => answer("503 Slow Down", &["Retry-After: 0"], ""),
        2 => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut".to_vec(),
        _ => answer("200 OK", &[], "content"),
    });
    let store = store(&server.url, "bucket");
    assert_eq!(block_on(store.get("key", 100)).unwrap(), b"content");
    assert_eq!(server.count(), 4);
}

#[test]
fn failures_that_stay() {
    let server =
        Scripted::start(|_, _| b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut".to_vec());
    let error = checked(block_on(store(&server.url, "bucket").get("key", 100)).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert_eq!(server.count(), 4);
    let url = server.url.clone();
    drop(server);
    let error = checked(block_on(store(&url, "bucket").get("key", 100)).unwrap_err());
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.to_string().contains("onnection refused"), "{error}");
}

#[test]
fn a_failed_upload_leaves_no_parts() {
    let server = Scripted::start(|_, head| {
        if head.starts_with("POST") && head.contains("uploads=") {
            let id = "<InitiateMultipartUploadResult><UploadId>id-1</UploadId></InitiateMultipartUploadResult>";
            answer("200 OK", &[], id)
        } else if head.starts_with("DELETE") {
            answer("204 No Content", &[], "")
        } else {
            answer(
                "403 Forbidden",
                &[],
                "<Error><Code>AccessDenied</Code></Error>",
            )
        }
    });
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("sparse");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(200 << 20)
        .unwrap();
    let store: S3Store = store(&server.url, "bucket");
    let error = checked(block_on(store.put("key", &file)).unwrap_err());
    assert!(
        matches!(error.kind(), ErrorKind::Refused | ErrorKind::Unreachable),
        "{error}"
    );
    let seen = server.requests.lock().unwrap();
    // Requests for parts that were given up may be read later than they came.
    let last = seen.iter().rfind(|head| !head.starts_with("PUT ")).unwrap();
    assert!(
        last.starts_with("DELETE /bucket/key?") && last.contains("uploadId=id-1"),
        "{last}"
    );
}

#[test]
fn a_missing_file_is_a_local_error() {
    let server = Scripted::start(|_, _| answer("200 OK", &[], ""));
    let error = block_on(store(&server.url, "bucket").put("key", "/nonexistent/file".as_ref()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local);
    assert_eq!(server.count(), 0);
}
