//! The embedded server in a thread, for the tests of whatever talks to a store.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::JoinHandle;

use cotec::store::embedded;

/// The keys that the server knows.
pub const ACCESS: &str = "AKIDTESTACCESS";
pub const SECRET: &str = "s3cr3t/of+the=test";

/// A server in a thread, ended with this value.
pub struct Served {
    pub url: String,
    stop: Option<std::io::PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Served {
    /// A server on a free port; `serve` ends when its second argument is hung up.
    pub fn start(serve: impl FnOnce(TcpListener, OwnedFd) + Send + 'static) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (reader, stop) = std::io::pipe().unwrap();
        let thread = std::thread::spawn(move || serve(listener, reader.into()));
        Served {
            url,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// The embedded server over `root`.
    pub fn directory(root: &Path) -> Served {
        let root = root.to_owned();
        Served::start(move |listener, stop| {
            embedded::serve(&root, listener, ACCESS, SECRET, Some(stop)).unwrap()
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}
