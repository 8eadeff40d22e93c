//! A server that says what it is told to.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::listener::{Listener, head};

/// A server that answers each request as the function says, given its number and its head, and
/// then closes the connection.
pub struct Scripted {
    pub url: String,
    /// The heads of the requests so far.
    pub requests: Arc<Mutex<Vec<String>>>,
    _listener: Listener,
}

impl Scripted {
    pub fn start(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let count = AtomicUsize::new(0);
        let listener = Listener::start(move |_, socket| {
            let Some(head) = head(&socket) else {
                return;
            };
            let number = count.fetch_add(1, Ordering::SeqCst);
            seen.lock().unwrap().push(head.clone());
            // The client may have gone, having seen enough.
            let _ = (&*socket).write_all(&answer(number, &head));
        });
        Scripted {
            url: listener.url.clone(),
            requests,
            _listener: listener,
        }
    }

    pub fn count(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

/// An HTTP answer with a Content-Length, closing the connection.
pub fn answer(status: &str, headers: &[&str], body: &str) -> Vec<u8> {
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n",
        body.len()
    );
    for header in headers {
        text += header;
        text += "\r\n";
    }
    format!("{text}\r\n{body}").into_bytes()
}
