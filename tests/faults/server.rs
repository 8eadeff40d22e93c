//! The server of a row: the bucket as it is, and the row's fault upon it.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::answer::{Answer, reset_at_close};
use crate::bucket::{Ask, right};
use crate::listener::{Listener, head};

/// What a row makes of a right answer.
pub type Change = Arc<dyn Fn(&Ask, Answer) -> Answer + Send + Sync>;

/// What becomes of a connection, given its number.
pub type Greet = Arc<dyn Fn(usize) -> Greeting + Send + Sync>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Greeting {
    Serve,
    Close,
    Reset,
}

/// Where a row's fault is.
#[derive(Clone)]
pub enum On {
    /// In the answers for this object.
    Object(&'static str, Change),
    /// In the answers to listings.
    Listing(Change),
    /// In all answers.
    All(Change),
    /// In connections.
    Connections(Greet),
    /// Nobody listens.
    Nobody,
    /// The queue of those who want to connect is full.
    FullQueue,
}

/// A server with a fault; it ends with this value.
pub struct Server {
    pub url: String,
    requests: Arc<AtomicUsize>,
    _listener: Option<Listener>,
    _queue: Option<Queue>,
}

impl Server {
    pub fn start(on: &On) -> Server {
        let requests = Arc::new(AtomicUsize::new(0));
        let (url, listener, queue) = match on {
            On::Nobody => (closed(), None, None),
            On::FullQueue => {
                let queue = Queue::full();
                (format!("http://{}", queue.address), None, Some(queue))
            }
            _ => {
                let (on, requests) = (on.clone(), Arc::clone(&requests));
                let counts = Mutex::default();
                let listener = Listener::start(move |number, socket| {
                    serve(number, &socket, &on, &counts, &requests);
                });
                (listener.url.clone(), Some(listener), None)
            }
        };
        Server {
            url,
            requests,
            _listener: listener,
            _queue: queue,
        }
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(
    number: usize,
    socket: &TcpStream,
    on: &On,
    counts: &Mutex<HashMap<String, usize>>,
    requests: &AtomicUsize,
) {
    if let On::Connections(greet) = on {
        match greet(number) {
            Greeting::Serve => {}
            Greeting::Close => return,
            Greeting::Reset => return reset_at_close(socket).unwrap(),
        }
    }
    while let Some(head) = head(socket) {
        requests.fetch_add(1, Ordering::SeqCst);
        let mut ask = Ask { number: 0, head };
        ask.number = {
            let mut counts = counts.lock().unwrap();
            let count = counts.entry(ask.key().to_owned()).or_default();
            *count += 1;
            *count - 1
        };
        let listing = ask.query("list-type").is_some();
        let answer = match on {
            On::Object(key, change) if ask.key() == *key => change(&ask, right(&ask)),
            On::Listing(change) if listing => change(&ask, right(&ask)),
            On::All(change) => change(&ask, right(&ask)),
            _ => right(&ask),
        };
        // The client may have gone, having seen enough.
        if !answer.send(socket).unwrap_or(false) {
            return;
        }
    }
}

/// An address at which nobody listens.
fn closed() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// A listening socket that accepts nobody, with so many before it that further ones get no answer.
struct Queue {
    address: SocketAddr,
    _listener: std::net::TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Queue {
    fn full() -> Queue {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .unwrap();
        let listener = runtime.block_on(async {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket.listen(1).unwrap().into_std().unwrap()
        });
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        while let Ok(socket) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            waiting.push(socket);
            assert!(waiting.len() < 100, "the queue does not fill");
        }
        Queue {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }
}
