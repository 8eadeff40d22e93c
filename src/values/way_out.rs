//! What to do about what the operating system says.

use std::io::{Error, ErrorKind};

use rustix::io::Errno;

/// What the person at the terminal can do about an error of the system.
pub fn of_io(error: &Error) -> &'static str {
    // Of these there is no kind.
    match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => return "raise the limit on open files (ulimit -n)",
        Some(Errno::FBIG) => return "raise the limit on the size of files (ulimit -f)",
        Some(Errno::NOMEM | Errno::AGAIN) => {
            return "free memory, or raise the limits on memory and processes";
        }
        _ => {}
    }
    match error.kind() {
        ErrorKind::NotFound => "check that it is there",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "check its permissions",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there",
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => "choose another address or port",
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
            "see what stands there"
        }
        _ => "run again, and if it stays, look at the path and the disk it is on",
    }
}
