//! A sealed memfd, mapped: the ground the table stands on.
//!
//! The file has its full size from the start and is sealed against shrinking and growing, so no
//! mapped address is ever outside the file. Memory is taken with `fallocate` before it is
//! touched, so a shortage is an error at that call and never a SIGBUS.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::process::Resource;

use crate::sys::sync::AtomicU64;
use crate::values::way_out;

/// The seals a table must carry.
const SEALS: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// A mapped, sealed memfd. All access goes through [`Mapping::word`].
pub struct Mapping {
    map: MmapRaw,
    file: File,
    writable: bool,
}

/// Why a file cannot be mapped as a table.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The operating system said no.
    #[error("{call}: {source}; {}", way_out::of_io(source))]
    Os {
        /// The call that failed.
        call: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// The file belongs to somebody else.
    #[error(
        "the table belongs to user {owner}, and this process runs as user {me}; run it as that one"
    )]
    Foreign {
        /// Owner of the file.
        owner: u32,
        /// Effective user of this process.
        me: u32,
    },
    /// The user's limit on the size of files is in the way.
    #[error(
        "the table's file has {len} bytes, and this process may make files of {limit} bytes; \
         raise the limit (ulimit -f)"
    )]
    FileLimit {
        /// Size of the table's file in bytes.
        len: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file could still be cut under our feet.
    #[error(
        "the file is not sealed against shrinking and growing, so it is not a table; name the one that COTEC_TABLE has"
    )]
    NotSealed,
}

fn os(call: &'static str) -> impl FnOnce(rustix::io::Errno) -> MapError {
    move |e| MapError::Os {
        call,
        source: e.into(),
    }
}

impl Mapping {
    /// Makes a sealed memfd of `len` bytes, all zero, readable by this user alone.
    pub fn create(name: &str, len: u64) -> Result<Mapping, MapError> {
        // The kernel would end this process with a signal.
        let limit = rustix::process::getrlimit(Resource::Fsize).current;
        if let Some(limit) = limit.filter(|limit| *limit < len) {
            return Err(MapError::FileLimit { len, limit });
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let fd = rustix::fs::memfd_create(name, flags).map_err(os("memfd_create"))?;
        rustix::fs::fchmod(&fd, Mode::RUSR | Mode::WUSR).map_err(os("fchmod"))?;
        rustix::fs::ftruncate(&fd, len).map_err(os("ftruncate"))?;
        rustix::fs::fcntl_add_seals(&fd, SEALS).map_err(os("F_ADD_SEALS"))?;
        Mapping::map(File::from(fd), true)
    }

    /// Maps the table at `path`, for example `/proc/<pid>/fd/<n>`.
    pub fn attach(path: &Path, writable: bool) -> Result<Mapping, MapError> {
        let file = File::options()
            .read(true)
            .write(writable)
            // A pipe or a device must not keep us waiting, nor become our terminal.
            .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
            .open(path)
            .map_err(|source| MapError::Os {
                call: "open",
                source,
            })?;
        let stat = rustix::fs::fstat(&file).map_err(os("fstat"))?;
        let me = rustix::process::geteuid().as_raw();
        if stat.st_uid != me {
            return Err(MapError::Foreign {
                owner: stat.st_uid,
                me,
            });
        }
        let seals = rustix::fs::fcntl_get_seals(&file).map_err(|_| MapError::NotSealed)?;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW) {
            return Err(MapError::NotSealed);
        }
        Mapping::map(file, writable)
    }

    fn map(file: File, writable: bool) -> Result<Mapping, MapError> {
        let options = MmapOptions::new();
        let map = if writable {
            options.map_raw(&file)
        } else {
            options.map_raw_read_only(&file)
        };
        let map = map.map_err(|source| MapError::Os {
            call: "mmap",
            source,
        })?;
        Ok(Mapping {
            map,
            file,
            writable,
        })
    }

    /// Bytes mapped.
    pub fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.map.len() == 0
    }

    /// Whether this attachment may write.
    pub fn writable(&self) -> bool {
        self.writable
    }

    /// The memfd, to be named in `/proc/<pid>/fd/`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The path by which another process of this user can attach while this one lives.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// The word at byte `offset`; `None` if it is unaligned or outside.
    #[inline]
    pub fn word(&self, offset: u64) -> Option<&AtomicU64> {
        let end = offset.checked_add(8)?;
        if end > self.len() || !offset.is_multiple_of(8) {
            return None;
        }
        // SAFETY: the eight bytes lie inside the mapping, which lives as long as `self` and
        // starts on a page, so the word is aligned. Sealing keeps the file as long as the
        // mapping. Every access anywhere is through such an atomic, so there are no data races;
        // any bit pattern is a valid u64.
        Some(unsafe { &*self.map.as_ptr().add(offset as usize).cast::<AtomicU64>() })
    }

    /// Takes memory for `offset..offset + len`, keeping what is there.
    pub fn back(&self, offset: u64, len: u64) -> io::Result<()> {
        loop {
            match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, len) {
                Err(rustix::io::Errno::INTR) => {}
                other => return other.map_err(io::Error::from),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::sync::Ordering;

    #[test]
    fn words_are_shared_and_bounded() {
        let a = Mapping::create("cotec-test", 8192).unwrap();
        let b = Mapping::attach(Path::new(&a.path()), false).unwrap();
        a.back(0, 8192).unwrap();
        a.word(4096).unwrap().store(42, Ordering::SeqCst);
        assert_eq!(b.word(4096).unwrap().load(Ordering::SeqCst), 42);
        assert!(a.word(8192).is_none() && a.word(8185).is_none() && a.word(3).is_none());
        assert!(a.word(u64::MAX - 3).is_none());
        assert!(!b.writable());
    }

    #[test]
    fn an_ordinary_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, vec![0; 8192]).unwrap();
        assert!(matches!(
            Mapping::attach(&path, true),
            Err(MapError::NotSealed)
        ));
    }

    #[test]
    fn the_seals_hold() {
        let a = Mapping::create("cotec-test", 8192).unwrap();
        assert!(rustix::fs::ftruncate(a.fd(), 4096).is_err());
        assert!(rustix::fs::ftruncate(a.fd(), 16384).is_err());
    }
}
