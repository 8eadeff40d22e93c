//! A server with a bucket of equal objects that keeps an account of its sockets and requests.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Bytes of an object; below this size it is one request.
pub const SIZE: usize = 40_000;
/// How long an answer takes, so that many requests are under way at once.
const THINKING: Duration = Duration::from_millis(15);

/// A request for an object.
#[derive(Clone, Debug)]
pub struct Request {
    /// The first part of its key: who asks.
    pub who: String,
    pub at: Instant,
}

#[derive(Default)]
struct Account {
    open: Vec<(TcpStream, String)>,
    most: usize,
    objects: Vec<Request>,
    listings: usize,
    listing_connections: usize,
    /// Of requests that send something, and of their connections.
    uploads: usize,
    upload_connections: usize,
    all: usize,
}

/// The server; it ends with this value.
pub struct Server {
    pub url: String,
    account: Arc<Mutex<Account>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves `objects` objects below any prefix.
    pub fn start(objects: usize) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let account = Arc::<Mutex<Account>>::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (accounts, stopped) = (Arc::clone(&account), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for socket in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let socket = socket.unwrap();
                let mut account = accounts.lock().unwrap();
                account.prune();
                account
                    .open
                    .push((socket.try_clone().unwrap(), String::new()));
                account.most = account.most.max(account.open.len());
                drop(account);
                let accounts = Arc::clone(&accounts);
                std::thread::spawn(move || serve(&socket, &accounts, objects));
            }
        });
        Server {
            url,
            account,
            stop,
            thread: Some(thread),
        }
    }

    /// The most connections that were open at a time.
    pub fn most(&self) -> usize {
        self.account.lock().unwrap().most
    }

    /// Connections that are open now on which `who` has asked for an object.
    pub fn open_of(&self, who: &str) -> usize {
        let mut account = self.account.lock().unwrap();
        account.prune();
        account.open.iter().filter(|open| open.1 == who).count()
    }

    /// The requests for objects so far.
    pub fn objects(&self) -> Vec<Request> {
        self.account.lock().unwrap().objects.clone()
    }

    /// How many listings were asked for, and on how many connections.
    pub fn listings(&self) -> (usize, usize) {
        let account = self.account.lock().unwrap();
        (account.listings, account.listing_connections)
    }

    /// How many requests sent something, and on how many connections.
    pub fn uploads(&self) -> (usize, usize) {
        let account = self.account.lock().unwrap();
        (account.uploads, account.upload_connections)
    }

    /// How many requests of any kind came.
    pub fn requests(&self) -> usize {
        self.account.lock().unwrap().all
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

impl Account {
    /// Takes out what the other side has closed. On loopback that is seen as soon as it is done.
    fn prune(&mut self) {
        self.open.retain(|(socket, _)| {
            let mut fds = [PollFd::new(socket, PollFlags::RDHUP)];
            let now = Timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            poll(&mut fds, Some(&now)).unwrap();
            fds[0].revents().is_empty()
        });
    }
}

fn serve(mut socket: &TcpStream, accounts: &Mutex<Account>, objects: usize) {
    let me = socket.peer_addr().unwrap();
    let (mut listed, mut uploaded) = (false, false);
    while let Some(head) = head(socket) {
        if let "PUT" | "POST" = head.split(' ').next().unwrap_or_default() {
            let mut account = accounts.lock().unwrap();
            account.all += 1;
            account.uploads += 1;
            account.upload_connections += usize::from(!uploaded);
            uploaded = true;
            drop(account);
            if taken(socket, &head).is_none() {
                return;
            }
            continue;
        }
        let target = head.split(' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let listing = query.contains("list-type=2");
        let key = path.trim_start_matches("/bucket/");
        {
            let mut account = accounts.lock().unwrap();
            account.all += 1;
            if listing {
                account.listings += 1;
                account.listing_connections += usize::from(!listed);
                listed = true;
            } else {
                let who = key.split('/').next().unwrap_or_default().to_owned();
                for open in &mut account.open {
                    if open.0.peer_addr().is_ok_and(|peer| peer == me) {
                        open.1.clone_from(&who);
                    }
                }
                account.objects.push(Request {
                    who,
                    at: Instant::now(),
                });
            }
        }
        let answer = if listing {
            let prefix = query
                .split('&')
                .find_map(|p| p.strip_prefix("prefix="))
                .unwrap_or("");
            page(prefix, objects)
        } else {
            std::thread::sleep(THINKING);
            object(&head)
        };
        if let Err(error) = socket.write_all(&answer) {
            assert!(
                matches!(
                    error.kind(),
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
                ),
                "{error}"
            );
            return;
        }
    }
}

/// Reads what is sent, and says that it was stored; `None` if the other side has gone.
fn taken(mut socket: &TcpStream, head: &str) -> Option<()> {
    let mut length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse::<usize>().unwrap())
    })?;
    let mut buffer = vec![0; 64 << 10];
    while length > 0 {
        let most = length.min(buffer.len());
        let read = socket.read(&mut buffer[..most]).ok().filter(|n| *n > 0)?;
        length -= read;
    }
    std::thread::sleep(THINKING);
    let body = match head.split(' ').nth(1) {
        Some(target) if target.contains("uploads=") => {
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>"
        }
        _ if head.starts_with("POST") => "<CompleteMultipartUploadResult/>",
        _ => "",
    };
    let length = body.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\nETag: \"e-1\"\r\nContent-Length: {length}\r\n\r\n{body}");
    socket.write_all(answer.as_bytes()).ok()
}

fn page(prefix: &str, objects: usize) -> Vec<u8> {
    let prefix = prefix.replace("%2F", "/");
    let prefix = prefix.trim_end_matches('/');
    let mut body = String::from("<ListBucketResult><IsTruncated>false</IsTruncated>");
    for n in 0..objects {
        body += &format!(
            "<Contents><Key>{prefix}/{n:05}</Key><Size>{SIZE}</Size><ETag>\"e-1\"</ETag></Contents>"
        );
    }
    body += "</ListBucketResult>";
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

fn object(head: &str) -> Vec<u8> {
    let range = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
        name.eq_ignore_ascii_case("range")
            .then_some((first.parse::<usize>().ok()?, last.parse::<usize>().ok()?))
    });
    let (status, from, to) = match range {
        Some((first, last)) => ("206 Partial Content", first, last.min(SIZE - 1)),
        None => ("200 OK", 0, SIZE - 1),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: \"e-1\"\r\nContent-Range: bytes {from}-{to}/{SIZE}\r\nContent-Length: {}\r\n\r\n",
        to + 1 - from
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + to + 1 - from, b'x');
    answer
}

fn head(mut socket: &TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if socket.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).ok()
}
