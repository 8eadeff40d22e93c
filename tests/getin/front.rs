//! A server in front of another one: it may speak TLS, looks at each request, and answers itself
//! or hands the request on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::listener::Listener;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Request line and headers, with the empty line.
    pub head: String,
    pub body: Vec<u8>,
}

impl Request {
    /// `GET`, ...
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap()
    }

    /// Path and query, escaped.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// A parameter of the query, unescaped.
    pub fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target().split_once('?')?;
        parameter(query, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// A parameter of a query or a form, unescaped.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then(|| unescaped(value))
    })
}

/// Undoes `%41`.
pub fn unescaped(text: &str) -> String {
    let bytes = percent_encoding::percent_decode_str(text);
    bytes.decode_utf8().unwrap().into_owned()
}

/// The server. Each request gets a connection of its own.
pub struct Front {
    /// With the scheme that it speaks.
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    _listener: Listener,
}

type Judge = dyn Fn(&Request) -> Option<Vec<u8>> + Send + Sync;

impl Front {
    /// Answers as `judge` says; what that leaves goes to the server at the URL `behind`.
    pub fn start(
        tls: Option<Arc<ServerConfig>>,
        behind: &str,
        judge: impl Fn(&Request) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Front {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let behind = behind.trim_start_matches("http://").to_owned();
        let requests = Arc::clone(&seen);
        let listener = Listener::start(move |_, socket| {
            let Ok(socket) = socket.try_clone() else {
                return;
            };
            // Whatever goes wrong with a client is the client's affair.
            let _ = match &tls {
                None => serve(socket, &behind, &judge, &requests),
                Some(config) => {
                    let connection = ServerConnection::new(Arc::clone(config)).unwrap();
                    let mut stream = StreamOwned::new(connection, socket);
                    serve(&mut stream, &behind, &judge, &requests).and_then(|()| {
                        stream.conn.send_close_notify();
                        stream.flush()
                    })
                }
            };
        });
        Front {
            url: listener.url.replacen("http", scheme, 1),
            seen,
            _listener: listener,
        }
    }

    /// One with nothing behind it.
    pub fn alone(judge: impl Fn(&Request) -> Vec<u8> + Send + Sync + 'static) -> Front {
        Front::start(None, "", move |request| Some(judge(request)))
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(
    mut client: impl Read + Write,
    behind: &str,
    judge: &Judge,
    seen: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let mut request = Request {
        head: String::from_utf8(head).unwrap(),
        body: Vec::new(),
    };
    let length = request.header("content-length").unwrap_or("0");
    request.body = vec![0; length.parse().unwrap()];
    client.read_exact(&mut request.body)?;
    seen.lock().unwrap().push(request.clone());
    let answer = judge(&request).map_or_else(|| passed_on(behind, &request), Ok)?;
    client.write_all(&answer)?;
    client.flush()
}

/// What the server behind says.
fn passed_on(behind: &str, request: &Request) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect(behind)?;
    let (line, headers) = request.head.split_once("\r\n").unwrap();
    let head = format!("{line}\r\nconnection: close\r\n{headers}");
    server.write_all(head.as_bytes())?;
    server.write_all(&request.body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}

/// An answer that ends its connection.
pub fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into_bytes()
}
