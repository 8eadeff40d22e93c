//! A store of objects in memory that counts what it sends, and errs or waits as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::common::processes::until;
use crate::common::run::Coord;

/// What the store has under a key.
#[derive(Clone, Default)]
pub struct Item {
    pub bytes: Vec<u8>,
    pub etag: String,
    /// Further headers of its answers.
    pub headers: Vec<String>,
    /// So many answers, from the first on, have a wrong byte.
    pub wrong: usize,
    /// Ranges from here on are not answered until the store is opened.
    pub held_from: Option<u64>,
}

#[derive(Default)]
struct State {
    items: BTreeMap<String, Item>,
    /// Key, first byte and length of each range that was sent.
    sent: Vec<(String, u64, u64)>,
    waiting: usize,
    open: bool,
}

/// A bucket behind a socket; its threads end with the test program.
pub struct Keeper {
    pub url: String,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Keeper {
    pub fn new() -> Keeper {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<(Mutex<State>, Condvar)>::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(&socket, &shared));
            }
        });
        Keeper { url, state }
    }

    pub fn put(&self, key: &str, item: Item) {
        let mut state = self.state.0.lock().unwrap();
        state.items.insert(key.to_owned(), item);
    }

    /// Takes what stands under a key.
    pub fn take(&self, key: &str) -> Item {
        self.state.0.lock().unwrap().items.remove(key).unwrap()
    }

    /// Whether a range of a key was sent since its ranges were last asked for.
    pub fn was_sent(&self, key: &str) -> bool {
        let state = self.state.0.lock().unwrap();
        state.sent.iter().any(|(sent, _, _)| sent == key)
    }

    /// Answers everything from now on.
    pub fn open(&self) {
        self.state.0.lock().unwrap().open = true;
        self.state.1.notify_all();
    }

    /// Waits until somebody asks for what is held back.
    pub fn wait_until_held(&self) {
        until("a request for what is held back", || {
            (self.state.0.lock().unwrap().waiting > 0).then_some(())
        });
    }

    /// The ranges of a key that were sent since the last call: first byte and length.
    pub fn sent(&self, key: &str) -> Vec<(u64, u64)> {
        let mut state = self.state.0.lock().unwrap();
        let (mine, others) = std::mem::take(&mut state.sent)
            .into_iter()
            .partition(|(sent, _, _)| sent == key);
        state.sent = others;
        mine.into_iter().map(|(_, from, len)| (from, len)).collect()
    }

    /// Options and environment by which a run uses this store.
    pub fn use_by(&self, coord: Coord) -> Coord {
        coord
            .args(["--endpoint", &self.url, "--region", "us-east-1"])
            .env("AWS_ACCESS_KEY_ID", "access")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
    }
}

fn serve(mut socket: &TcpStream, shared: &(Mutex<State>, Condvar)) {
    let mut head = Vec::new();
    let mut byte = [0];
    while let Ok(1) = socket.read(&mut byte) {
        head.push(byte[0]);
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).into_owned();
        head.clear();
        if socket.write_all(&answer(&text, shared)).is_err() {
            break;
        }
    }
    let _ = socket.shutdown(Shutdown::Both);
}

fn answer(head: &str, (state, opened): &(Mutex<State>, Condvar)) -> Vec<u8> {
    let target = head.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let key = path
        .trim_start_matches('/')
        .split_once('/')
        .map_or("", |(_, key)| key);
    let mut guard = state.lock().unwrap();
    if query.contains("list-type=2") {
        let body = listing(&guard.items, query);
        return whole("200 OK", &[], body.as_bytes());
    }
    let Some(item) = guard.items.get(key).cloned() else {
        return whole(
            "404 Not Found",
            &[],
            b"<Error><Code>NoSuchKey</Code></Error>",
        );
    };
    let range = field(head, "range").and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some((first.parse().ok()?, last.parse::<u64>().ok()? + 1))
    });
    let size = item.bytes.len() as u64;
    let (from, to) = range.unwrap_or((0, size));
    if item.held_from.is_some_and(|held| from >= held) {
        guard.waiting += 1;
        while !guard.open {
            guard = opened.wait(guard).unwrap();
        }
        guard.waiting -= 1;
    }
    let mut bytes = item.bytes[from as usize..to as usize].to_vec();
    guard.sent.push((key.to_owned(), from, to - from));
    let entry = guard.items.get_mut(key).unwrap();
    if entry.wrong > 0 {
        entry.wrong -= 1;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    }
    let mut headers = item.headers.clone();
    // As Amazon's S3: only if it is asked for, and with no header that is not signed.
    let asked = field(head, "x-amz-checksum-mode") == Some("ENABLED");
    let signed = query.contains("host%3Bx-amz-checksum-mode");
    assert_eq!(asked, signed, "{head}");
    headers.retain(|header| asked || !header.starts_with("x-amz-checksum-"));
    headers.push(format!("ETag: \"{}\"", item.etag));
    match range {
        Some(_) => {
            headers.push(format!("Content-Range: bytes {from}-{}/{size}", to - 1));
            whole("206 Partial Content", &headers, &bytes)
        }
        None => whole("200 OK", &headers, &bytes),
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn whole(status: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for header in headers {
        head += header;
        head += "\r\n";
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// One page, of plain keys.
fn listing(items: &BTreeMap<String, Item>, query: &str) -> String {
    let of = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let value = pairs.into_iter().find(|(n, _)| *n == name).map(|(_, v)| v);
        value.unwrap_or_default().replace("%2F", "/")
    };
    let (prefix, delimiter) = (of("prefix"), of("delimiter"));
    let (mut contents, mut prefixes) = (String::new(), BTreeSet::new());
    for (key, item) in items.range(prefix.clone()..) {
        let Some(rest) = key.strip_prefix(&prefix) else {
            break;
        };
        match rest.split_once('/') {
            Some((first, _)) if !delimiter.is_empty() => {
                prefixes.insert(format!("{prefix}{first}/"));
            }
            _ => {
                contents += &format!(
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>&quot;{}&quot;</ETag><Size>{}</Size></Contents>",
                    item.etag,
                    item.bytes.len()
                );
            }
        }
    }
    let prefixes: String = prefixes
        .iter()
        .map(|p| format!("<CommonPrefixes><Prefix>{p}</Prefix></CommonPrefixes>"))
        .collect();
    format!(
        "<?xml version=\"1.0\"?><ListBucketResult><IsTruncated>false</IsTruncated>{contents}{prefixes}</ListBucketResult>"
    )
}
