//! A named segment of words that all processes of one user on this machine share.
//!
//! `/dev/shm/<name>`, readable and writable by this user alone. It is made whole, under another
//! name first, so that nobody ever sees half of one, and it stays when its users end. What stands
//! under the name and is no such segment (another size, a link, a pipe, readable by others) is
//! replaced, by one process at a time; what belongs to another user is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;
use shared_memory::{Shmem, ShmemConf};

use super::sync::{AtomicU64, Ordering};

/// Where the system keeps named shared memory.
const DIR: &str = "/dev/shm";
/// How often a lock on replacing a segment is asked for; each time after a pause.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);
/// How often opening is tried anew when others make and replace the segment meanwhile.
const TRIES: u32 = 5;

/// A mapped segment. Every access is through [`Words::word`].
pub struct Words {
    shm: Shmem,
    count: usize,
}

// SAFETY: the mapping stays where it is for as long as the value lives, whichever thread has it,
// and is only ever accessed as atomics.
unsafe impl Send for Words {}
// SAFETY: as for Send: shared references give nothing but shared references to atomics.
unsafe impl Sync for Words {}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Words").field("count", &self.count).finish()
    }
}

/// Why a segment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// The operating system said no.
    #[error("{}: {source}", path.display())]
    Os {
        /// The segment.
        path: PathBuf,
        /// What was said.
        source: io::Error,
    },
    /// Another user has taken the name.
    #[error("{} belongs to user {owner}: ask them or the administrator to remove it", path.display())]
    Foreign {
        /// The segment.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others kept replacing it, or somebody stopped in the middle of it.
    #[error("{} is being replaced by another process that does not come to an end; end that one", path.display())]
    Busy {
        /// The segment.
        path: PathBuf,
    },
}

/// What stands under a name.
enum Found {
    /// A segment as it should be; its inode.
    Good(u64),
    Nothing,
    /// Something of this user that is no segment.
    Other,
}

impl Words {
    /// Opens the segment `name` of `count` words, or makes it, all zero.
    pub fn open(name: &str, count: usize) -> Result<Words, WordsError> {
        let path = Path::new(DIR).join(name);
        let os = |source| WordsError::Os {
            path: path.clone(),
            source,
        };
        for _ in 0..TRIES {
            match look(&path, count)? {
                Found::Good(inode) => {
                    let Ok(shm) = ShmemConf::new().os_id(name).open() else {
                        continue;
                    };
                    // The name still means what was looked at, so that is what was mapped: only
                    // this user can take its file away from a directory such as this.
                    let same = matches!(look(&path, count)?, Found::Good(now) if now == inode);
                    if same && shm.len() == count * 8 {
                        return Ok(Words { shm, count });
                    }
                }
                Found::Nothing => make(&path, count).map_err(os)?,
                Found::Other => {
                    let _lock = lock(&path)?;
                    // Somebody else may have replaced it while the lock was waited for.
                    if matches!(look(&path, count)?, Found::Other) {
                        remove(&path).map_err(os)?;
                        make(&path, count).map_err(os)?;
                    }
                }
            }
        }
        Err(WordsError::Busy { path })
    }

    /// The word with number `index`; `None` beyond the end.
    pub fn word(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.count {
            return None;
        }
        // SAFETY: the segment has `count` words, checked when it was mapped, starts on a page and
        // is mapped for as long as `self` lives. Nobody makes a segment shorter: what is wrong is
        // replaced under its name. All access is through atomics, and any bits are a valid u64.
        Some(unsafe { &*self.shm.as_ptr().cast::<AtomicU64>().add(index) })
    }
}

/// A copy of the words of a segment, as they are at about this moment; `None` where there is no
/// segment of this user with `count` words. Nothing is made or changed.
pub fn copy(name: &str, count: usize) -> Option<Vec<u64>> {
    let path = Path::new(DIR).join(name);
    if !matches!(look(&path, count), Ok(Found::Good(_))) {
        return None;
    }
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(nofollow).open(&path).ok()?;
    let mut bytes = Vec::new();
    file.take((count * 8) as u64).read_to_end(&mut bytes).ok()?;
    let (words, _) = bytes.as_chunks::<8>();
    (words.len() == count).then(|| words.iter().map(|word| u64::from_ne_bytes(*word)).collect())
}

/// Says what stands under the name, without following links.
fn look(path: &Path, count: usize) -> Result<Found, WordsError> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(source) => {
            let path = path.to_owned();
            return Err(WordsError::Os { path, source });
        }
    };
    let me = rustix::process::geteuid().as_raw();
    if meta.uid() != me {
        let (path, owner) = (path.to_owned(), meta.uid());
        return Err(WordsError::Foreign { path, owner });
    }
    let good = meta.is_file()
        && meta.mode() & 0o7777 == 0o600
        && meta.len() == (count * 8) as u64
        && meta.blocks() * 512 >= meta.len();
    Ok(match good {
        true => Found::Good(meta.ino()),
        false => Found::Other,
    })
}

/// Makes a segment of zeros. That another process was faster is as good.
fn make(path: &Path, count: usize) -> io::Result<()> {
    // Threads of one process have names of their own too.
    static MADE: AtomicU64 = AtomicU64::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let made = path.with_extension(format!("{}-{number}", std::process::id()));
    let _ = fs::remove_file(&made);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&made)
        // Written, not only made so long: a shortage of memory is an error here, not a signal at
        // the first access.
        .and_then(|mut file| {
            file.write_all(&vec![0; count * 8])?;
            // Whatever the mask took away.
            file.set_permissions(fs::Permissions::from_mode(0o600))
        })
        .and_then(|()| match fs::hard_link(&made, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        });
    let _ = fs::remove_file(&made);
    written
}

/// The lock under which a segment is replaced; it goes with the process that holds it.
fn lock(path: &Path) -> Result<File, WordsError> {
    let lock = path.with_extension("lock");
    let os = |source| WordsError::Os {
        path: lock.clone(),
        source,
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(
            (rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK)
                .bits()
                .cast_signed(),
        )
        .open(&lock)
        .map_err(os)?;
    for _ in 0..LOCK_TRIES {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(LOCK_PAUSE),
            Err(error) => return Err(os(error.into())),
        }
    }
    Err(WordsError::Busy {
        path: path.to_owned(),
    })
}

/// Takes away what is no segment: anything but a directory with something in it.
fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        fs::remove_dir(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A name of this test alone, taken away at its end.
    struct Name(String);

    impl Name {
        fn new(what: &str) -> Name {
            Name(format!("cotec-test-{}-{what}", std::process::id()))
        }
        fn path(&self) -> PathBuf {
            Path::new(DIR).join(&self.0)
        }
    }

    impl Drop for Name {
        fn drop(&mut self) {
            let _ = remove(&self.path());
            let _ = fs::remove_file(self.path().with_extension("lock"));
        }
    }

    #[test]
    fn words_are_shared_by_name_and_stay() {
        let name = Name::new("shared");
        let one = Words::open(&name.0, 512).unwrap();
        one.word(511).unwrap().store(7, Ordering::SeqCst);
        let two = Words::open(&name.0, 512).unwrap();
        assert_eq!(two.word(511).unwrap().load(Ordering::SeqCst), 7);
        assert!(two.word(512).is_none() && two.word(usize::MAX).is_none());
        drop((one, two));
        let three = Words::open(&name.0, 512).unwrap();
        assert_eq!(three.word(511).unwrap().load(Ordering::SeqCst), 7);
        assert_eq!(fs::metadata(name.path()).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_segment_is_replaced() {
        let name = Name::new("replaced");
        let path = name.path();
        let stands: [&dyn Fn(); 7] = [
            &|| fs::write(&path, b"").unwrap(),
            &|| fs::write(&path, b"short").unwrap(),
            &|| fs::write(&path, vec![1; 8192]).unwrap(),
            &|| symlink("/etc/passwd", &path).unwrap(),
            &|| fs::create_dir(&path).unwrap(),
            // Readable by others.
            &|| fs::write(&path, vec![1; 4096]).unwrap(),
            // As long as it should be, and not there: touching it could end this process.
            &|| File::create(&path).unwrap().set_len(4096).unwrap(),
        ];
        for (number, stand) in stands.iter().enumerate() {
            stand();
            let words = Words::open(&name.0, 512).unwrap();
            let word = words.word(0).unwrap();
            assert_eq!(word.load(Ordering::SeqCst), 0, "{number}");
            assert!(words.word(511).is_some());
            remove(&path).unwrap();
        }
    }

    #[test]
    fn a_lock_that_is_never_opened_is_not_waited_for_for_ever() {
        let name = Name::new("locked");
        fs::write(name.path(), b"short").unwrap();
        let held = lock(&name.path()).unwrap();
        let error = Words::open(&name.0, 512).unwrap_err();
        assert!(matches!(error, WordsError::Busy { .. }), "{error}");
        drop(held);
        Words::open(&name.0, 512).unwrap();
    }

    #[test]
    fn another_users_segment_is_refused() {
        // Only root can give a file away; for others the rule is in `look`.
        let name = Name::new("foreign");
        fs::write(name.path(), b"x").unwrap();
        if std::os::unix::fs::chown(name.path(), Some(12345), None).is_ok() {
            let error = Words::open(&name.0, 512).unwrap_err();
            assert!(
                matches!(error, WordsError::Foreign { owner: 12345, .. }),
                "{error}"
            );
        }
    }
}
