//! The wire against real sockets: a server that says what a test tells it to.

#[cfg(test)] // All of it, and nothing before.
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use reqwest::Url;
use rustls::pki_types::PrivateKeyDer;

use super::connection::Ask;
use super::*;

/// Serves connections one after the other: `serve` gets each with its number.
fn server(
    connections: usize,
    serve: impl Fn(usize, TcpStream) + Send + 'static,
) -> (Url, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/b/k?x=y", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        for number in 0..connections {
            serve(number, listener.accept().unwrap().0);
        }
    });
    (Url::parse(&url).unwrap(), thread)
}

/// Reads one request.
fn request(socket: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap_or(0) == 1 {
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap()
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

fn plain(url: &Url) -> Wire {
    Wire::new(url, || Err("no TLS here".to_owned())).unwrap()
}

fn ask<'a>(url: &'a Url, range: std::ops::Range<u64>) -> Ask<'a> {
    Ask {
        url,
        range,
        etag: Some("\"e\""),
        whole: false,
        checksums: false,
    }
}

/// Lands a whole body at the beginning of a file.
async fn land(line: &mut Connection, file: &File, most: u64) -> Result<u64, WireError> {
    let mut at = 0;
    loop {
        match line.land(file, at, most - at).await? {
            0 => return Ok(at),
            n => at += n,
        }
    }
}

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|at| (at % 251) as u8).collect()
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 206 x\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn one_connection_brings_one_range_after_the_other() {
    let big = bytes(3_000_001);
    let body = big.clone();
    let (url, server) = server(1, move |_, mut socket| {
        for round in 0..3 {
            let head = request(&mut socket);
            assert!(
                head.starts_with("GET /b/k?x=y HTTP/1.1\r\nHost: 127.0.0.1:"),
                "{head}"
            );
            assert!(head.contains("\r\nRange: bytes=5-3000005\r\n"), "{head}");
            assert!(head.contains("\r\nIf-Match: \"e\"\r\n"), "{head}");
            let answer = answer(&body);
            // The first answer comes in odd pieces, also of its head.
            let step = if round == 0 { 997 } else { answer.len() };
            for piece in answer.chunks(step) {
                socket.write_all(piece).unwrap();
            }
        }
    });
    block_on(async {
        let wire = plain(&url);
        let mut line = wire.connect().await.unwrap();
        for _ in 0..3 {
            let file = tempfile::tempfile().unwrap();
            let head = line.ask(&ask(&url, 5..3_000_006)).await.unwrap();
            assert_eq!(head.status, 206);
            assert!(!line.reusable(), "its body is still to come");
            assert_eq!(land(&mut line, &file, 3_000_001).await.unwrap(), 3_000_001);
            assert!(line.reusable());
            let mut landed = Vec::new();
            std::os::unix::fs::FileExt::read_exact_at(&file, &mut [0], 0).unwrap();
            (&file).read_to_end(&mut landed).unwrap();
            assert!(landed == big);
        }
    });
    server.join().unwrap();
}

#[test]
fn bodies_in_chunks_or_to_the_end_of_the_connection() {
    let chunked =
        b"HTTP/1.1 206 x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
    let to_close = b"HTTP/1.0 206 x\r\n\r\nhello";
    for (text, keeps) in [(&chunked[..], true), (to_close, false)] {
        let (url, server) = server(1, move |_, mut socket| {
            request(&mut socket);
            socket.write_all(text).unwrap();
        });
        block_on(async {
            let wire = plain(&url);
            let mut line = wire.connect().await.unwrap();
            let head = line.ask(&ask(&url, 0..5)).await.unwrap();
            assert_eq!(head.content_length(), None);
            let file = tempfile::tempfile().unwrap();
            assert_eq!(land(&mut line, &file, 5).await.unwrap(), 5);
            assert_eq!(line.reusable(), keeps);
            let mut landed = String::new();
            (&file).read_to_string(&mut landed).unwrap();
            assert_eq!(landed, "hello");
        });
        server.join().unwrap();
    }
}

#[test]
fn what_breaks_off_or_goes_on_is_an_error() {
    let continued = b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000);
    let cases: [(&[u8], &str); 7] = [
        (b"", "closed before an answer"),
        (b"HTTP/1.1 206", "ended early"),
        (
            b"HTTP/1.1 206 x\r\nContent-Length: 5\r\n\r\nhell",
            "ended early",
        ),
        (
            b"HTTP/1.1 206 x\r\nContent-Length: 6\r\n\r\nhello!",
            "longer",
        ),
        (b"HTTP/1.1 206 x\r\n\r\nhello!", "longer"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (&continued, "too long"),
    ];
    for (text, says) in cases {
        let text = text.to_owned();
        let (url, server) = server(1, move |_, mut socket| {
            request(&mut socket);
            // The client may have gone, having seen enough.
            let _ = socket.write_all(&text);
        });
        let error = block_on(async {
            let wire = plain(&url);
            let mut line = wire.connect().await?;
            line.ask(&ask(&url, 0..5)).await?;
            land(&mut line, &tempfile::tempfile().unwrap(), 5).await
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        server.join().unwrap();
    }
}

#[test]
fn a_1xx_answer_comes_before_the_answer_and_an_error_has_its_text() {
    let (url, server) = server(1, |_, mut socket| {
        request(&mut socket);
        let text = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n\
            HTTP/1.1 503 x\r\nContent-Length: 4\r\nRetry-After: 3\r\n\r\nbusy";
        socket.write_all(text).unwrap();
    });
    block_on(async {
        let mut line = plain(&url).connect().await.unwrap();
        let head = line.ask(&ask(&url, 0..5)).await.unwrap();
        assert_eq!(
            (head.status, &head.headers["retry-after"] == "3"),
            (503, true)
        );
        assert_eq!(line.text(1000).await, b"busy");
        assert!(line.reusable());
    });
    server.join().unwrap();
}

#[test]
fn a_file_that_cannot_be_written_is_told_apart_and_the_next_one_can() {
    let (url, server) = server(2, |_, mut socket| {
        request(&mut socket);
        let _ = socket.write_all(&answer(&bytes(100_000)));
    });
    block_on(async {
        let wire = plain(&url);
        let full = File::options().write(true).open("/dev/full").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for round in 0..2 {
            let mut line = wire.connect().await.unwrap();
            line.ask(&ask(&url, 0..100_000)).await.unwrap();
            if round == 0 {
                let error = land(&mut line, &full, 100_000).await.unwrap_err();
                assert!(matches!(error, WireError::File(_)), "{error}");
            } else {
                let file = File::create(&path).unwrap();
                land(&mut line, &file, 100_000).await.unwrap();
                assert!(fs::read(&path).unwrap() == bytes(100_000));
            }
        }
    });
    server.join().unwrap();
}

#[test]
fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = block_on(async { plain(&url).connect().await.err().unwrap() });
    assert!(matches!(error, WireError::Connect { .. }), "{error}");
}

/// What a server with a certificate for a name needs, and a client that trusts it.
fn certified(name: &str) -> (Arc<rustls::ServerConfig>, Arc<rustls::ClientConfig>) {
    let provider = || Arc::new(rustls::crypto::ring::default_provider());
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let serving = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let trusting = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(serving), Arc::new(trusting))
}

/// Answers requests over TLS.
fn serve_tls(config: &Arc<rustls::ServerConfig>, socket: TcpStream, requests: usize) {
    let session = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
    let mut stream = rustls::StreamOwned::new(session, socket);
    for _ in 0..requests {
        request(&mut stream);
        stream.write_all(&answer(&bytes(700_000))).unwrap();
    }
    // A client that does not trust us goes away in the middle of the handshake.
    let _ = stream.flush();
}

/// Asks for that twice.
async fn ask_twice(wire: &Wire, url: &Url) {
    let mut line = wire.connect().await.unwrap();
    for _ in 0..2 {
        let file = tempfile::tempfile().unwrap();
        line.ask(&ask(url, 0..700_000)).await.unwrap();
        assert_eq!(land(&mut line, &file, 700_000).await.unwrap(), 700_000);
        assert!(line.reusable());
        let mut landed = Vec::new();
        (&file).read_to_end(&mut landed).unwrap();
        assert!(landed == bytes(700_000));
    }
}

#[test]
fn over_tls_and_only_from_whom_the_certificate_names() {
    let (serving, trusting) = certified("localhost");
    let (url, server) = server(2, move |number, socket| {
        serve_tls(&serving, socket, if number == 0 { 2 } else { 0 });
    });
    let port = url.port().unwrap();
    let named = |host: &str| Url::parse(&format!("https://{host}:{port}/b/k")).unwrap();
    block_on(async {
        let url = named("localhost");
        let wire = Wire::new(&url, || Ok(Arc::clone(&trusting))).unwrap();
        ask_twice(&wire, &url).await;
        let wire = Wire::new(&named("127.0.0.1"), || Ok(Arc::clone(&trusting))).unwrap();
        let error = wire.connect().await.err().unwrap().to_string();
        assert!(error.contains("certificate"), "{error}");
    });
    server.join().unwrap();
}

#[test]
fn through_a_proxy() {
    let (serving, trusting) = certified("store.example");
    let (proxy, server) = server(3, move |number, mut socket| {
        let head = request(&mut socket);
        match number {
            0 => {
                let start = "GET http://store.example/b/k?x=y HTTP/1.1\r\nHost: store.example\r\n";
                assert!(head.starts_with(start), "{head}");
                assert!(
                    head.contains("\r\nProxy-Authorization: Basic dTpw\r\n"),
                    "{head}"
                );
                socket.write_all(&answer(b"hello")).unwrap();
            }
            1 => {
                assert!(
                    head.starts_with("CONNECT store.example:443 HTTP/1.1\r\n"),
                    "{head}"
                );
                let made = b"HTTP/1.1 200 Connection established\r\n\r\n";
                socket.write_all(made).unwrap();
                serve_tls(&serving, socket, 2);
            }
            _ => socket.write_all(b"HTTP/1.1 407 x\r\n\r\n").unwrap(),
        }
    });
    let address = format!("http://u:p@127.0.0.1:{}", proxy.port().unwrap());
    let within = |url: &Url| {
        let tls = || Ok(Arc::clone(&trusting));
        let named = |name: &str| (name == "all_proxy").then(|| address.clone());
        Wire::within(url, tls, named).unwrap()
    };
    block_on(async {
        let url = Url::parse("http://store.example/b/k?x=y").unwrap();
        let mut line = within(&url).connect().await.unwrap();
        line.ask(&ask(&url, 0..5)).await.unwrap();
        let file = tempfile::tempfile().unwrap();
        assert_eq!(land(&mut line, &file, 5).await.unwrap(), 5);
        let url = Url::parse("https://store.example/b/k").unwrap();
        ask_twice(&within(&url), &url).await;
        let error = within(&url).connect().await.err().unwrap().to_string();
        assert!(error.contains("proxy") && error.contains("407"), "{error}");
    });
    server.join().unwrap();
}
