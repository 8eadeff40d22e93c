//! The least that a download can cost: connections that read a socket and write a file.
//!
//! ```text
//! bare-client HOST:PORT PLAN DIR [--connections N] [--part BYTES] [--buffer BYTES]
//! ```
//!
//! PLAN is a file with a line `SIZE PATH` for each object; PATH is that of the URL, and the file in
//! DIR has its last component's name. Each connection is a thread with a blocking socket that takes
//! the next part, asks for it, reads, and writes with pwrite. There is no listing, no signature,
//! no check of ETags, no record of what has landed and no second try: what a downloader needs
//! beyond this is its own cost. `tools/bench-download` measures others as ratios to it.
//!
//! Parts of 8 MiB are what S3 clients commonly ask for. With parts of 1 MiB it costs less still: on
//! loopback each answer then fits into the sockets, and sending all of it is the server's cost.

use std::fs::File;
use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Object {
    path: String,
    size: u64,
    target: PathBuf,
}

struct Part {
    object: usize,
    start: u64,
    end: u64,
}

struct Options {
    address: String,
    plan: PathBuf,
    dir: PathBuf,
    connections: u64,
    part: u64,
    buffer: u64,
}

fn main() -> Result<()> {
    let options = options()?;
    let objects = objects(&options.plan, &options.dir)?;
    let mut parts = Vec::new();
    for (object, o) in objects.iter().enumerate() {
        let mut start = 0;
        while start < o.size {
            let end = o.size.min(start + options.part);
            parts.push(Part { object, start, end });
            start = end;
        }
    }
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.connections)
            .map(|_| scope.spawn(|| connection(&options, &objects, &parts, &next)))
            .collect();
        threads.into_iter().try_for_each(|t| {
            t.join()
                .unwrap_or_else(|_| Err(Error::other("a thread died")))
        })
    })
}

fn options() -> Result<Options> {
    let usage = || {
        Error::other(
            "bare-client HOST:PORT PLAN DIR [--connections N] [--part BYTES] [--buffer BYTES]",
        )
    };
    let (mut places, mut numbers) = (Vec::new(), [16, 8 << 20, 1 << 20]);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let names = ["--connections", "--part", "--buffer"];
        match names.iter().position(|name| *name == argument) {
            Some(at) => {
                let value = arguments.next().and_then(|v| v.parse().ok());
                numbers[at] = value.filter(|n| *n > 0).ok_or_else(usage)?;
            }
            None => places.push(argument),
        }
    }
    let [address, plan, dir] = <[String; 3]>::try_from(places).map_err(|_| usage())?;
    let [connections, part, buffer] = numbers;
    Ok(Options {
        address,
        plan: plan.into(),
        dir: dir.into(),
        connections,
        part,
        buffer,
    })
}

fn objects(plan: &Path, dir: &Path) -> Result<Vec<Object>> {
    let bad = |line: &str| Error::other(format!("{}: {line:?} is no object", plan.display()));
    let mut objects = Vec::new();
    for line in std::fs::read_to_string(plan)?.lines() {
        let (size, path) = line.split_once(' ').ok_or_else(|| bad(line))?;
        let name = path.rsplit('/').next().unwrap_or_default();
        objects.push(Object {
            path: path.to_owned(),
            size: size.parse().map_err(|_| bad(line))?,
            target: dir.join(name),
        });
    }
    Ok(objects)
}

fn connection(
    options: &Options,
    objects: &[Object],
    parts: &[Part],
    next: &AtomicUsize,
) -> Result<()> {
    let mut socket = TcpStream::connect(&options.address)?;
    socket.set_nodelay(true)?;
    let mut buffer = vec![0; options.buffer as usize];
    while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
        let object = &objects[part.object];
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&object.target)?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nRange: bytes={}-{}\r\n\r\n",
            object.path,
            options.address,
            part.start,
            part.end - 1
        );
        socket.write_all(request.as_bytes())?;
        fetch(&mut socket, &file, part, &mut buffer)
            .map_err(|e| Error::new(e.kind(), format!("{}: {e}", object.path)))?;
    }
    Ok(())
}

/// Reads one answer and writes its body.
fn fetch(socket: &mut TcpStream, file: &File, part: &Part, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    let body = loop {
        let count = socket.read(&mut buffer[filled..])?;
        if count == 0 {
            return Err(Error::other("no answer"));
        }
        filled += count;
        if let Some(at) = buffer[..filled].windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
    };
    if !buffer.starts_with(b"HTTP/1.1 206 ") {
        let line = buffer.split(|b| *b == b'\r').next().unwrap_or_default();
        return Err(Error::other(String::from_utf8_lossy(line).into_owned()));
    }
    file.write_all_at(&buffer[body..filled], part.start)?;
    let mut at = part.start + (filled - body) as u64;
    while at < part.end {
        let count = socket.read(buffer)?;
        if count == 0 {
            return Err(Error::other("the answer ended early"));
        }
        file.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
    Ok(())
}
