//! The S3 client against the embedded server over a directory, through real HTTP; and the same
//! against another server, where COTEC_ENDPOINT names one (as `tools/seaweedfs` does).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use cotec::store::{
    Credentials, Environment, ErrorKind, S3Store, Secret, StoreConfig, StoreError, StoreOptions,
    embedded,
};
use tempfile::TempDir;

use crate::client::{block_on, store};
use crate::store_common::{ACCESS, Served};

/// Names that a careless client or server gets wrong.
const ODD: [&str; 26] = [
    "a b",
    "ü-ñ-日本",
    "a+b",
    "a+b c",
    "100%",
    "a%20b",
    "%2e%2e",
    "~t",
    "s*r",
    "x&y",
    "k=v",
    "q?",
    "h#h",
    "p'q",
    "d\"q",
    "(p)",
    "semi;c",
    "c,c",
    "@at",
    "!ex",
    "$d",
    "[b]{c}|^`",
    "<lt>&amp;",
    "tab\tx\ny",
    "...",
    " lead trail ",
];

fn bucket_in(root: &Path) -> std::path::PathBuf {
    let bucket = root.join("bucket");
    fs::create_dir(&bucket).unwrap();
    bucket
}

async fn listed(
    store: &S3Store,
    prefix: &str,
    delimiter: Option<&str>,
) -> Result<Vec<String>, StoreError> {
    let mut pages = store.list_all(prefix, delimiter);
    let mut names = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page?;
        assert!(page.objects.len() + page.prefixes.len() <= 1000);
        names.extend(page.prefixes);
        names.extend(page.objects.into_iter().map(|o| o.key));
    }
    Ok(names)
}

async fn kind_of<T>(result: impl Future<Output = Result<T, StoreError>>) -> ErrorKind {
    result.await.err().expect("an error").kind()
}

/// What any S3 server must do for us, in a bucket that may hold other things beside `prefix`.
async fn suite(store: &S3Store, prefix: &str) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    let bytes: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    fs::write(&file, &bytes).unwrap();
    let key = format!("{prefix}plain.bin");
    store.put(&key, &file).await.unwrap();

    let info = store.head(&key).await.unwrap();
    assert_eq!((info.key.as_str(), info.size), (key.as_str(), 400_000));
    let etag = info.etag.unwrap();
    assert_eq!(store.get(&key, 400_000).await.unwrap(), bytes);
    assert_eq!(kind_of(store.get(&key, 399_999)).await, ErrorKind::Protocol);
    for range in [0..1, 0..400_000, 399_999..400_000, 12_345..77_777] {
        let answer = store
            .get_range(&key, range.clone(), Some(&etag))
            .await
            .unwrap();
        let part = answer.bytes().await.unwrap();
        assert_eq!(part, bytes[range.start as usize..range.end as usize]);
    }
    assert_eq!(
        kind_of(store.get_range(&key, 0..10, Some("0123"))).await,
        ErrorKind::Changed
    );
    assert_eq!(
        kind_of(store.get_range(&key, 400_000..400_001, None)).await,
        ErrorKind::Changed
    );
    assert_eq!(
        kind_of(store.get_range(&key, 399_999..400_001, None)).await,
        ErrorKind::Changed
    );
    assert_eq!(
        kind_of(store.get(&format!("{prefix}absent"), 1)).await,
        ErrorKind::NotFound
    );
    assert_eq!(
        kind_of(store.head(&format!("{prefix}absent"))).await,
        ErrorKind::NotFound
    );

    fs::write(&file, b"").unwrap();
    let empty = format!("{prefix}empty");
    store.put(&empty, &file).await.unwrap();
    assert_eq!(store.head(&empty).await.unwrap().size, 0);
    assert_eq!(store.get(&empty, 10).await.unwrap(), b"");

    let mut expected = vec![key, empty];
    for name in ODD {
        let key = format!("{prefix}odd/{name}");
        fs::write(&file, name).unwrap();
        store
            .put(&key, &file)
            .await
            .unwrap_or_else(|e| panic!("{name:?}: {e}"));
        assert_eq!(
            store.get(&key, 100).await.unwrap(),
            name.as_bytes(),
            "{name:?}"
        );
        let answer = store.get_range(&key, 1..2, None).await.unwrap();
        assert_eq!(
            answer.bytes().await.unwrap(),
            name.as_bytes()[1..2],
            "{name:?}"
        );
        // A prefix with such characters finds it, and only it.
        let found = listed(store, &key, None).await.unwrap();
        assert!(found.contains(&key), "{name:?}: {found:?}");
        expected.push(key);
    }
    let mut found = listed(store, prefix, None).await.unwrap();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    let level = listed(store, prefix, Some("/")).await.unwrap();
    assert_eq!(
        level,
        [
            format!("{prefix}odd/"),
            format!("{prefix}empty"),
            format!("{prefix}plain.bin")
        ]
    );

    let mut wrong = store.config().clone();
    let Credentials::Keys { access, .. } = wrong.credentials.found().await.unwrap() else {
        panic!("no keys")
    };
    wrong.credentials = Credentials::Keys {
        access,
        secret: Secret::new("wrong"),
        token: None,
    };
    let wrong = S3Store::new(wrong).unwrap();
    let error = wrong.list(prefix, None, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("secret key"), "{error}");
    assert_eq!(
        kind_of(wrong.get_range(&expected[0], 0..1, None)).await,
        ErrorKind::Refused
    );
    let nowhere = S3Store::new(store.config().with_bucket("no-such-bucket")).unwrap();
    assert_eq!(
        kind_of(nowhere.list("", None, None)).await,
        ErrorKind::NotFound
    );
}

/// A file that goes up in parts.
async fn large(store: &S3Store, prefix: &str) {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("large");
    let bytes: Vec<u8> = (0..130_000_000u32 / 4)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs::write(&file, &bytes).unwrap();
    let key = format!("{prefix}large");
    store.put(&key, &file).await.unwrap();
    assert!(store.get(&key, 130_000_000).await.unwrap() == bytes);
}

#[test]
fn embedded_server() {
    let root = TempDir::new().unwrap();
    let bucket = bucket_in(root.path());
    let server = Served::directory(root.path());
    block_on(async {
        let store = store(&server.url, "bucket");
        suite(&store, "in/").await;
        large(&store, "in/").await;
        let file = bucket.join("in/empty");
        assert_eq!(
            kind_of(store.put("a/../b", &file)).await,
            ErrorKind::Protocol
        );
    });
    assert_eq!(fs::read(bucket.join("in/odd/a b")).unwrap(), b"a b");
    // Nothing unfinished is left.
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn another_server() {
    let (Ok(endpoint), Ok(bucket)) = (
        std::env::var("COTEC_ENDPOINT"),
        std::env::var("COTEC_BUCKET"),
    ) else {
        println!(
            "skipped: COTEC_ENDPOINT and COTEC_BUCKET name no server (run by tools/seaweedfs run -- cargo test)"
        );
        return;
    };
    let options = StoreOptions {
        endpoint: Some(endpoint),
        bucket: Some(bucket),
        ..StoreOptions::default()
    };
    let config = StoreConfig::resolve(&options, &Environment::from_process()).unwrap();
    block_on(async {
        let store = S3Store::new(config).unwrap();
        suite(&store, "suite/in/").await;
        large(&store, "suite/").await;
        // An URL that has expired is refused.
        let url = store.get_url_for("suite/in/empty", std::time::Duration::from_secs(1));
        tokio::time::sleep(std::time::Duration::from_millis(2_500)).await;
        assert_eq!(store.client().get(url).send().await.unwrap().status(), 403);
    });
}

#[test]
fn listings_of_many_keys() {
    let root = TempDir::new().unwrap();
    let bucket = bucket_in(root.path());
    let mut keys = Vec::new();
    // `a-`, `a.` and `a/` sort otherwise as keys than as names of files.
    for dir in ["a", "a-b", "a.b", "a/deep/er", "z+ %"] {
        fs::create_dir_all(bucket.join(dir)).unwrap();
        for n in 0..500 {
            let key = format!("{dir}/{n}");
            fs::write(bucket.join(&key), b"").unwrap();
            keys.push(key);
        }
    }
    fs::create_dir_all(bucket.join("empty/dir")).unwrap();
    std::os::unix::fs::symlink("..", bucket.join("a/loop")).unwrap();
    std::os::unix::fs::symlink("0", bucket.join("a/link")).unwrap();
    std::os::unix::fs::symlink("nowhere", bucket.join("a/dangling")).unwrap();
    keys.push("a/link".to_owned());
    keys.sort();
    let server = Served::directory(root.path());
    block_on(async {
        let store = store(&server.url, "bucket");
        assert_eq!(listed(&store, "", None).await.unwrap(), keys);
        for prefix in [
            "a", "a/", "a/1", "a/d", "a-", "z+ ", "a/499", "nothing", "/",
        ] {
            let expected: Vec<_> = keys
                .iter()
                .filter(|k| k.starts_with(prefix))
                .cloned()
                .collect();
            assert_eq!(
                listed(&store, prefix, None).await.unwrap(),
                expected,
                "{prefix}"
            );
        }
        let level = listed(&store, "", Some("/")).await.unwrap();
        assert_eq!(level, ["a-b/", "a.b/", "a/", "z+ %/"]);
        let level = listed(&store, "a/", Some("/")).await.unwrap();
        assert_eq!(
            (level.len(), level[0].as_str(), level[501].as_str()),
            (502, "a/deep/", "a/link")
        );
        let level = listed(&store, "a", Some("b/")).await.unwrap();
        assert_eq!(&level[..2], ["a-b/", "a.b/"]);
        assert_eq!(level.len(), 2 + 1001);
        // Pages that meet within common prefixes.
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = store.list("", Some("0"), after.as_deref()).await.unwrap();
            found.extend(
                page.prefixes
                    .into_iter()
                    .chain(page.objects.into_iter().map(|o| o.key)),
            );
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut expected: Vec<String> = keys
            .iter()
            .map(|k| k.find('0').map_or(k.clone(), |at| k[..=at].to_owned()))
            .collect();
        expected.dedup();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
    });
}

#[test]
fn reading_writes_nothing() {
    let root = TempDir::new().unwrap();
    let bucket = bucket_in(root.path());
    fs::write(bucket.join("object"), b"content").unwrap();
    // The name of a file that s3s-fs would remove.
    fs::write(root.path().join(".tmp.0.internal.part"), b"the user's").unwrap();
    fs::set_permissions(&bucket, fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let before = (
        fs::metadata(root.path()).unwrap().modified().unwrap(),
        fs::metadata(&bucket).unwrap().modified().unwrap(),
    );
    let server = Served::directory(root.path());
    block_on(async {
        let store = store(&server.url, "bucket");
        let page = store.list("", None, None).await.unwrap();
        let etag = page.objects[0].etag.clone();
        assert!(etag.is_some());
        let answer = store
            .get_range("object", 3..5, etag.as_deref())
            .await
            .unwrap();
        assert_eq!(answer.bytes().await.unwrap(), &b"te"[..]);
        assert_eq!(store.head("object").await.unwrap().etag, etag);
    });
    drop(server);
    let after = (
        fs::metadata(root.path()).unwrap().modified().unwrap(),
        fs::metadata(&bucket).unwrap().modified().unwrap(),
    );
    assert_eq!(before, after);
    assert!(root.path().join(".tmp.0.internal.part").exists());
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&bucket, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_changed_file_has_another_etag() {
    let root = TempDir::new().unwrap();
    let bucket = bucket_in(root.path());
    fs::write(bucket.join("object"), b"before").unwrap();
    let server = Served::directory(root.path());
    block_on(async {
        let store = store(&server.url, "bucket");
        let etag = store.head("object").await.unwrap().etag.unwrap();
        assert!(etag.contains('-'), "{etag} could be taken for an MD5");
        fs::write(root.path().join("new"), b"after!").unwrap();
        fs::rename(root.path().join("new"), bucket.join("object")).unwrap();
        assert_eq!(
            kind_of(store.get_range("object", 0..6, Some(&etag))).await,
            ErrorKind::Changed
        );
    });
}

/// The keys of Sentinel-2 products are long.
#[test]
fn long_keys_can_be_stored() {
    let root = TempDir::new().unwrap();
    bucket_in(root.path());
    let server = Served::directory(root.path());
    let file = root.path().join("file");
    fs::write(&file, b"x").unwrap();
    block_on(async {
        let store = store(&server.url, "bucket");
        let key = format!("{0}/{0}/{0}/{0}", "S".repeat(250));
        store.put(&key, &file).await.unwrap();
        assert_eq!(listed(&store, "", None).await.unwrap(), [key]);
        let key = "S".repeat(256);
        let error = store.put(&key, &file).await.unwrap_err();
        assert!(
            error.to_string().contains("no file can have this key"),
            "{error}"
        );
    });
}

#[test]
fn no_such_directory() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error =
        embedded::serve(Path::new("/nonexistent/dir"), listener, ACCESS, "x", None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Local);
    assert!(error.to_string().contains("/nonexistent/dir"), "{error}");
}
