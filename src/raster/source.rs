//! Where the bytes of a band come from: a file, or one that is still landing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The bytes of a file, perhaps before all of them are there.
pub trait Source: Send + Sync {
    /// Fills `bytes` from `offset` on, as soon as they are there.
    ///
    /// # Errors
    /// The system's, or why they will not come.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// The size of the whole file in bytes.
    ///
    /// # Errors
    /// The system's.
    fn size(&self) -> io::Result<u64>;

    /// Waits until the file is whole, and gives its path.
    ///
    /// # Errors
    /// The system's, or why it will not be.
    fn whole(&self) -> io::Result<PathBuf>;
}

/// A file that is there.
#[derive(Debug)]
pub(crate) struct Whole {
    file: File,
    path: PathBuf,
}

impl Whole {
    pub fn open(path: &Path) -> io::Result<Whole> {
        Ok(Whole {
            file: File::open(path)?,
            path: path.to_owned(),
        })
    }
}

impl Source for Whole {
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn whole(&self) -> io::Result<PathBuf> {
        Ok(self.path.clone())
    }
}

/// A source read from one place to the next.
pub(crate) struct Reader<'a> {
    source: &'a dyn Source,
    size: u64,
    at: u64,
}

impl<'a> Reader<'a> {
    pub fn new(source: &'a dyn Source) -> io::Result<Reader<'a>> {
        let size = source.size()?;
        Ok(Reader {
            source,
            size,
            at: 0,
        })
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let len = left.min(bytes.len());
        let Some(bytes) = bytes.get_mut(..len).filter(|bytes| !bytes.is_empty()) else {
            return Ok(0);
        };
        self.source.read_exact_at(bytes, self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Seek for Reader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
