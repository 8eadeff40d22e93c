//! The exporter: a process that answers `GET /metrics` with how the run stands.
//!
//! It only reads the table, mapped read-only. Clients get little time and little memory: each
//! connection is one request, and whatever is wrong with one harms no other.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::Semaphore;

use super::metrics::Metrics;

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long a connection may take with all.
const CONNECTION: Duration = Duration::from_secs(15);
/// The longest head that is read, in bytes.
const HEAD_BYTES: usize = 16 << 10;
/// Connections at a time; others wait in the kernel.
const CONNECTIONS: usize = 128;
/// The pause after a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(50);

const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

const INDEX: &str = "<!doctype html><html lang=\"en\"><title>cotec</title>\
    <p><a href=\"/metrics\">Metrics</a> of a run of cotec.</p></html>\n";

type Answer = Response<Full<Bytes>>;

/// Answers on `listener` for ever.
///
/// # Errors
/// The runtime cannot be made, or the listener not be used.
pub fn export(listener: TcpListener, metrics: Metrics) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(listener, metrics))
}

async fn serve(listener: TcpListener, metrics: Metrics) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let metrics = Arc::new(Mutex::new(metrics));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut server = http1::Builder::new();
    server
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false);
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return Ok(());
        };
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file descriptors, most likely: wait for one to be given back.
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let metrics = Arc::clone(&metrics);
        let answering = service_fn(move |request: Request<Incoming>| {
            let answer = answer(request.method(), request.uri().path(), &metrics);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = server.serve_connection(TokioIo::new(socket), answering);
        tokio::spawn(async move {
            // What is wrong with it is the client's to know.
            let _ = tokio::time::timeout(CONNECTION, connection).await;
            drop(place);
        });
    }
}

fn answer(method: &Method, path: &str, metrics: &Mutex<Metrics>) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        let allowed = HeaderValue::from_static("GET, HEAD");
        answer.headers_mut().insert(ALLOW, allowed);
        return answer;
    }
    match path {
        "/metrics" => {
            let mut metrics = metrics.lock().unwrap_or_else(PoisonError::into_inner);
            match metrics.text() {
                Ok(page) => text(StatusCode::OK, METRICS, page),
                Err(error) => {
                    let line = format!("{error}\n");
                    text(StatusCode::INTERNAL_SERVER_ERROR, TEXT, &line)
                }
            }
        }
        "/" => text(StatusCode::OK, HTML, INDEX),
        _ => text(StatusCode::NOT_FOUND, TEXT, "see /metrics\n"),
    }
}

fn text(status: StatusCode, kind: &'static str, body: &str) -> Answer {
    // To HEAD the body is not sent, but its length is.
    let mut answer = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
