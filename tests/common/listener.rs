//! A listening socket with a thread for each connection: what every misbehaving server is made of.

use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::JoinHandle;

/// No head of a request is longer.
const MAX_HEAD: usize = 64 << 10;

/// Listens on a free port of loopback until it is dropped.
pub struct Listener {
    pub url: String,
    stop: Arc<AtomicBool>,
    sockets: Arc<Mutex<Vec<Weak<TcpStream>>>>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Gives each connection, with its number from 0, to `serve` in a thread of its own. The
    /// connection is closed when `serve` returns and lets go of it.
    pub fn start(serve: impl Fn(usize, Arc<TcpStream>) + Send + Sync + 'static) -> Listener {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let sockets = Arc::new(Mutex::new(Vec::new()));
        let (stopped, known) = (Arc::clone(&stop), Arc::clone(&sockets));
        let thread = std::thread::spawn(move || accept(&listener, &stopped, &known, serve));
        Listener {
            url,
            stop,
            sockets,
            thread: Some(thread),
        }
    }
}

fn accept(
    listener: &TcpListener,
    stopped: &AtomicBool,
    known: &Mutex<Vec<Weak<TcpStream>>>,
    serve: impl Fn(usize, Arc<TcpStream>) + Send + Sync + 'static,
) {
    let serve = Arc::new(serve);
    let mut threads = Vec::new();
    for (number, socket) in listener.incoming().enumerate() {
        if stopped.load(Ordering::SeqCst) {
            break;
        }
        let socket = Arc::new(socket.unwrap());
        known.lock().unwrap().push(Arc::downgrade(&socket));
        let serve = Arc::clone(&serve);
        threads.push(std::thread::spawn(move || serve(number, socket)));
    }
    // Whoever waits for the other side is woken by this.
    for socket in known.lock().unwrap().iter().filter_map(Weak::upgrade) {
        let _ = socket.shutdown(Shutdown::Both);
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        let ended = self.thread.take().map(JoinHandle::join);
        self.sockets.lock().unwrap().clear();
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// The next request's head, with the empty line at its end; `None` when there is no more.
pub fn head(mut socket: &TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        if bytes.len() > MAX_HEAD || socket.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).ok()
}
