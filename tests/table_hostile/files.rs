//! Attaching to what is no table, and who may attach to one.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use cotec::table::{SlotId, Table};
use cotec::values::{Limits, Role};
use rustix::fs::{MemfdFlags, SealFlags};

/// The path of a table for the child that runs as somebody else.
const TABLE: &str = "COTEC_TEST_TABLE";

/// What attaching says, both ways. It must not wait for anybody, which a watchdog sees to.
fn refused(path: &Path) -> String {
    let (tell, told) = mpsc::channel();
    let of = path.to_owned();
    thread::spawn(move || {
        let both = [true, false].map(|writable| Table::attach(&of, writable).map(drop));
        let _ = tell.send(both);
    });
    let both = told
        .recv_timeout(Duration::from_secs(60))
        .unwrap_or_else(|_| panic!("attaching to {} hangs", path.display()));
    let texts = both.map(|answer| answer.unwrap_err().to_string());
    texts.join(" / ")
}

fn memfd(bytes: &[u8], len: u64, seal: bool) -> (OwnedFd, PathBuf) {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = rustix::fs::memfd_create("no-table", flags).unwrap();
    rustix::fs::ftruncate(&fd, len).unwrap();
    let mut done = 0;
    while done < bytes.len() {
        done += rustix::io::pwrite(&fd, &bytes[done..], done as u64).unwrap();
    }
    if seal {
        rustix::fs::fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW).unwrap();
    }
    let path = format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd());
    (fd, path.into())
}

fn table() -> Table {
    Table::create(Limits::for_objects(64)).unwrap()
}

/// All bytes of a good table.
fn bytes() -> Vec<u8> {
    fs::read(table().path()).unwrap()
}

#[test]
fn what_is_no_table_is_refused_by_name_and_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let good = bytes();
    fs::write(at("ordinary"), &good).unwrap();
    fs::write(at("nothing"), b"").unwrap();
    let fifo = CString::new(at("fifo").to_str().unwrap()).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    for (path, says) in [
        (at("ordinary"), "not sealed"),
        (at("nothing"), "not sealed"),
        (at("fifo"), "not sealed"),
        (at("missing"), "No such file"),
        (at("socket"), "open"),
        (dir.path().to_owned(), "not sealed"),
        ("/dev/zero".into(), ""),
        ("/dev/null".into(), ""),
        ("/proc/self/mem".into(), ""),
        ("".into(), "No such file"),
    ] {
        let text = refused(&path);
        assert!(text.contains(says), "{}: {text}", path.display());
    }
    drop(socket);
}

#[test]
fn a_memfd_that_is_not_quite_a_table_is_refused_by_name() {
    let good = bytes();
    let len = good.len() as u64;
    let with = |at: usize, value: u64| {
        let mut other = good.clone();
        other[at..at + 8].copy_from_slice(&value.to_le_bytes());
        other
    };
    for (bytes, len, seal, says) in [
        (good.clone(), len, false, "not sealed"),
        (good.clone(), len + 4096, true, "bytes long instead of"),
        (good[..8192].to_vec(), 8192, true, "bytes long instead of"),
        (good[..12].to_vec(), 12, true, "only 12 bytes long"),
        (Vec::new(), 0, true, "only 0 bytes long"),
        (Vec::new(), 4096, true, "mark"),
        (Vec::new(), 1 << 44, true, "mark"),
        (Vec::new(), (1 << 63) - 4096, true, "mmap"),
        (with(0, 7), len, true, "mark"),
        (with(8, 99), len, true, "version 99"),
        (with(16, 99), len, true, "layout"),
        (with(24, 99), len, true, "bytes long instead of"),
        (with(64, u64::MAX), len, true, "limits make no sense"),
        (with(64, 0), len, true, "limits out of bounds"),
        (with(64, 65), len, true, "layout"),
        (with(88, 1 << 50), len, true, "limits out of bounds"),
    ] {
        let (_fd, path) = memfd(&bytes, len, seal);
        let text = refused(&path);
        assert!(
            text.contains(says),
            "{len} bytes, expected {says:?}: {text}"
        );
    }
    let (_fd, path) = memfd(&good, len, true);
    assert!(
        Table::attach(&path, true).is_ok(),
        "and a whole copy is a table"
    );
}

#[test]
fn random_bytes_are_no_table() {
    let mut word = 0x9e37_79b9_7f4a_7c15u64;
    for i in 0..500u64 {
        let mut bytes: Vec<u8> = Vec::new();
        for _ in 0..1024 {
            word = word
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            bytes.extend((word >> (i % 32)).to_le_bytes());
        }
        if !i.is_multiple_of(2) {
            // The right mark and version, then noise.
            bytes[..8].copy_from_slice(b"COTECTBL");
            bytes[8..16].copy_from_slice(&1u64.to_le_bytes());
        }
        let (_fd, path) = memfd(&bytes, bytes.len() as u64, true);
        let text = refused(&path);
        assert!(text.contains("not a cotec table"), "{i}: {text}");
    }
}

#[test]
fn the_table_is_this_users_alone() {
    let table = table();
    let meta = fs::metadata(table.path()).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o600);
    assert_eq!(meta.uid(), rustix::process::geteuid().as_raw());
}

#[test]
fn a_read_only_attachment_is_mapped_read_only() {
    let table = table();
    let reader = Table::attach(Path::new(&table.path()), false).unwrap();
    let inode = fs::metadata(table.path()).unwrap().ino().to_string();
    let rights = || {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let mut rights: Vec<String> = maps
            .lines()
            .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
            .filter(|fields| fields.get(4) == Some(&inode.as_str()))
            .map(|fields| fields[1].to_owned())
            .collect();
        rights.sort();
        rights
    };
    assert_eq!(rights(), ["r--s", "rw-s"]);
    drop(table);
    assert_eq!(rights(), ["r--s"], "only the reader's is left");
    // Every operation that moves something is refused, and none of them crashes.
    assert!(reader.want(SlotId(0)).is_err());
    assert!(reader.next_wanted(&mut 9).is_err());
    assert!(reader.ring_all().is_err());
    assert!(reader.planned(1).is_err());
    assert!(reader.note("x").is_err());
    assert!(reader.sweep(3).is_err());
    assert!(reader.join(Role::Stranger).is_err());
}

#[test]
fn another_users_table_is_refused() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can make a file of another user");
        return;
    }
    let (fd, path) = memfd(&bytes(), bytes().len() as u64, true);
    let nobody = rustix::process::Uid::from_raw(65534);
    rustix::fs::fchown(&fd, Some(nobody), None).unwrap();
    let text = refused(&path);
    assert!(text.contains("belongs to user 65534"), "{text}");
}

#[test]
fn another_user_cannot_attach() {
    let table = table();
    let me = std::env::current_exe().unwrap();
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    // By the path, and by an open file that somebody handed over.
    let handed = File::open(table.path()).unwrap();
    for path in [table.path(), "/proc/self/fd/0".to_owned()] {
        let out = Command::new(&me)
            .args(["--exact", "files::as_another_user", "--nocapture"])
            .env(TABLE, &path)
            .uid(65534)
            .gid(65534)
            .current_dir("/")
            .stdin(Stdio::from(handed.try_clone().unwrap()))
            .output();
        match out {
            Ok(out) => {
                let text = String::from_utf8_lossy(&out.stdout).into_owned();
                assert!(
                    text.contains("refused: ") && text.contains("Permission denied"),
                    "{text}"
                );
            }
            Err(error) => println!("skipped: another user cannot run {}: {error}", me.display()),
        }
    }
}

/// The other half of the test above, in a process of its own.
#[test]
fn as_another_user() {
    if let Some(path) = std::env::var_os(TABLE) {
        for writable in [true, false] {
            match Table::attach(Path::new(&path), writable) {
                Ok(_) => println!("attached"),
                Err(error) => println!("refused: {error}"),
            }
        }
    }
}
