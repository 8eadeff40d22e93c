//! A store whose answers can be held back: a proxy before the embedded server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::common::processes::until;
use crate::common::run::Coord;
use crate::store_common::{ACCESS, SECRET, Served};

/// A served directory behind a gate.
pub struct Gate {
    pub url: String,
    state: Arc<(Mutex<State>, Condvar)>,
    _server: Served,
}

#[derive(Default)]
struct State {
    /// Requests whose line holds one of these wait.
    held: Vec<String>,
    /// How many wait.
    waiting: usize,
}

impl Gate {
    /// Serves a directory, each sub-directory a bucket; requests for what has `held` in its
    /// name wait until the gate is opened.
    pub fn new(root: &Path, held: &[&str]) -> Gate {
        let server = Served::directory(root);
        let to = server.url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = State {
            held: held.iter().map(|h| (*h).to_owned()).collect(),
            ..State::default()
        };
        let state = Arc::new((Mutex::new(state), Condvar::new()));
        let shared = Arc::clone(&state);
        // Ends with the test program; it holds nothing but sockets.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&to) else {
                    return;
                };
                connect(client, server, Arc::clone(&shared));
            }
        });
        Gate {
            url,
            state,
            _server: server,
        }
    }

    /// Options and environment by which a run uses this store.
    pub fn use_by(&self, coord: Coord) -> Coord {
        coord
            .args(["--endpoint", &self.url, "--region", "us-east-1"])
            .env("AWS_ACCESS_KEY_ID", ACCESS)
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.state.0.lock().unwrap().held.clear();
        self.state.1.notify_all();
    }

    /// Waits until a request is being held back.
    pub fn wait_until_held(&self) {
        until("a request at the gate", || {
            (self.state.0.lock().unwrap().waiting > 0).then_some(())
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.open();
    }
}

/// Passes requests on one by one, and answers as they come.
fn connect(client: TcpStream, server: TcpStream, state: Arc<(Mutex<State>, Condvar)>) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let (mut head, mut body) = (Vec::new(), 0);
        let mut chunk = [0; 65536];
        'reading: while let Ok(n @ 1..) = from.read(&mut chunk) {
            let mut rest = &chunk[..n];
            while let [first, others @ ..] = rest {
                if body > 0 {
                    let (now, later) = rest.split_at(body.min(rest.len()));
                    if to.write_all(now).is_err() {
                        break 'reading;
                    }
                    body -= now.len();
                    rest = later;
                    continue;
                }
                head.push(*first);
                rest = others;
                if head.ends_with(b"\r\n\r\n") {
                    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
                    let length = text.lines().find_map(|l| l.strip_prefix("content-length:"));
                    body = length.map_or(0, |length| length.trim().parse().unwrap());
                    pass(&String::from_utf8_lossy(&head), &state);
                    if to.write_all(&head).is_err() {
                        break 'reading;
                    }
                    head.clear();
                }
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut from, mut to) = (server, client);
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}

fn pass(head: &str, (state, opened): &(Mutex<State>, Condvar)) {
    let line = head.lines().next().unwrap_or_default().to_owned();
    let held = |state: &State| state.held.iter().any(|h| line.contains(h.as_str()));
    let mut state = state.lock().unwrap();
    if held(&state) {
        state.waiting += 1;
        while held(&state) {
            state = opened.wait(state).unwrap();
        }
        state.waiting -= 1;
    }
}
