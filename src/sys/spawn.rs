//! Starting a program without copying this process.
//!
//! `posix_spawn` cannot ask for a signal at its parent's death, nor for a limit of memory, and
//! `fork` copies the page tables of a worker first. So the child is made as `posix_spawn` makes
//! it: it shares this process's memory, and this thread sleeps until it executes the program.

use std::ffi::{CStr, CString, OsStr, OsString, c_char, c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::ptr;

use nix::libc;
use nix::sys::signal::{SigSet, SigmaskHow};

use super::pidfd::Child;

/// Bytes of the child's stack: it calls a few functions of the C library, one after the other.
const STACK: usize = 64 << 10;
/// Where programs are looked for when the environment does not say.
const PATH: &str = "/bin:/usr/bin";
/// What runs a file that can be executed and is in no format that the kernel knows.
const SHELL: &CStr = c"/bin/sh";

/// A program to start.
#[derive(Debug)]
pub struct Launch<'a> {
    /// The program, looked for in the `PATH` of `environment` if it has no slash, and its
    /// arguments.
    pub argv: &'a [OsString],
    /// All of its environment.
    pub environment: &'a [(OsString, OsString)],
    /// Its standard input; above 2.
    pub input: BorrowedFd<'a>,
    /// Its standard output and error; above 2.
    pub output: BorrowedFd<'a>,
    /// How many bytes it may map (RLIMIT_AS).
    pub memory: Option<u64>,
}

/// What the child reads, and where it says why it could not execute the program. All pointers
/// are into memory that the parent holds until the child has executed it or ended.
struct Order {
    parent: libc::pid_t,
    programs: Vec<CString>,
    /// Ends with a null pointer. The first is the name of the program as given.
    argv: Vec<*const c_char>,
    /// The same for [`SHELL`]: its second is for the path of the program.
    shell_argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    input: RawFd,
    output: RawFd,
    memory: Option<libc::rlim_t>,
    errno: c_int,
}

/// Starts a program in a process group of its own, with no signal blocked and the usual answer to
/// those that this process handles or ignores. The kernel kills it when this thread ends.
///
/// # Errors
/// What the kernel said to the clone or to the execution.
pub fn spawn(launch: &Launch<'_>) -> io::Result<Child> {
    let argv = c_strings(launch.argv.iter().map(|word| word.as_bytes().to_vec()))?;
    let pairs = launch.environment.iter().map(|(name, value)| {
        let mut pair = name.as_bytes().to_vec();
        pair.push(b'=');
        pair.extend_from_slice(value.as_bytes());
        pair
    });
    let environment = c_strings(pairs)?;
    let mut shell_argv = vec![SHELL.as_ptr(), ptr::null()];
    shell_argv.extend(pointers(&argv).into_iter().skip(1));
    let mut order = Order {
        parent: nix::unistd::getpid().as_raw(),
        programs: programs(launch)?,
        argv: pointers(&argv),
        shell_argv,
        environment: pointers(&environment),
        input: launch.input.as_raw_fd(),
        output: launch.output.as_raw_fd(),
        memory: launch.memory,
        errno: 0,
    };
    let mut stack: Vec<u8> = Vec::with_capacity(STACK);
    let all = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let mut handle: c_int = -1;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    // SAFETY: the stack is this function's, as large as said, and its top is aligned to 16 bytes;
    // the child runs only `execute` on it. CLONE_VFORK keeps this thread asleep until the child
    // has executed a program or ended, so `order`, `stack` and what they point to outlive its use
    // of them, and nobody touches them at the same time. No signal handler runs in the child
    // while it shares this memory: all signals are blocked until it has put them back to their
    // usual answers.
    let (pid, refused) = unsafe {
        let top = stack.as_mut_ptr().add(STACK);
        let top = top.sub(top as usize % 16);
        let order: *mut Order = &raw mut order;
        let pid = libc::clone(execute, top.cast(), flags, order.cast(), &raw mut handle);
        (pid, io::Error::last_os_error())
    };
    all.thread_set_mask()?;
    let Some(id) = u32::try_from(pid).ok().filter(|pid| *pid > 0) else {
        return Err(refused);
    };
    // SAFETY: the kernel has just opened it for this process, and nobody else knows of it.
    let child = Child::of(id, unsafe { OwnedFd::from_raw_fd(handle) });
    if order.errno != 0 {
        let _ = child.wait();
        return Err(io::Error::from_raw_os_error(order.errno));
    }
    Ok(child)
}

fn c_strings(words: impl Iterator<Item = Vec<u8>>) -> io::Result<Vec<CString>> {
    words
        .map(|word| CString::new(word).map_err(io::Error::from))
        .collect()
}

fn pointers(words: &[CString]) -> Vec<*const c_char> {
    let all = words.iter().map(|word| word.as_ptr());
    all.chain([ptr::null()]).collect()
}

/// The paths to try for a program, in order.
fn programs(launch: &Launch<'_>) -> io::Result<Vec<CString>> {
    let Some(name) = launch.argv.first().filter(|name| !name.is_empty()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    if name.as_bytes().contains(&b'/') {
        return c_strings([name.as_bytes().to_vec()].into_iter());
    }
    let path = launch.environment.iter().find(|(name, _)| name == "PATH");
    let path = path.map_or(OsStr::new(PATH), |(_, value)| value.as_os_str());
    let places = std::env::split_paths(path);
    c_strings(places.map(|place| place.join(name).into_os_string().into_vec()))
}

/// The child, from the clone to the execution. It shares all memory with its parent, so it makes
/// system calls and nothing else: no allocation, no lock, no drop.
extern "C" fn execute(order: *mut c_void) -> c_int {
    // SAFETY: the parent gave this pointer to its own `Order`, and sleeps.
    let order = unsafe { &mut *order.cast::<Order>() };
    order.errno = prepare(order).unwrap_or_else(|| try_all(order));
    127
}

/// Makes the child what a command expects to be; what failed, if anything did.
fn prepare(order: &Order) -> Option<c_int> {
    // SAFETY: system calls with numbers, and with pointers to values of this frame.
    let done = unsafe {
        let answer = |signal, how| {
            let action = libc::sigaction {
                sa_sigaction: how,
                ..std::mem::zeroed()
            };
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        };
        // What this process handles or ignores; the handlers must not run in its memory.
        for signal in [libc::SIGPIPE, libc::SIGXFSZ] {
            answer(signal, libc::SIG_DFL);
        }
        let own_group = libc::setpgid(0, 0) == 0;
        // What the group got until then was not meant for this command, and still waits here:
        // ignoring drops it.
        for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM] {
            answer(signal, libc::SIG_IGN);
            answer(signal, libc::SIG_DFL);
        }
        let none: libc::sigset_t = std::mem::zeroed();
        own_group
            && libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0
            && (libc::getppid() == order.parent || libc::raise(libc::SIGKILL) == 0)
            && libc::dup2(order.input, 0) == 0
            && libc::dup2(order.output, 1) == 1
            && libc::dup2(order.output, 2) == 2
            && order.memory.is_none_or(|bytes| {
                let limit = libc::rlimit {
                    rlim_cur: bytes,
                    rlim_max: bytes,
                };
                libc::setrlimit(libc::RLIMIT_AS, &raw const limit) == 0
            })
            && libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) == 0
    };
    (!done).then(errno)
}

/// Executes the first of the programs that can be; why none could.
fn try_all(order: &mut Order) -> c_int {
    let mut refused = libc::ENOENT;
    for program in &order.programs {
        // SAFETY: lists of strings that end with a null pointer, all held by the parent.
        unsafe {
            libc::execve(
                program.as_ptr(),
                order.argv.as_ptr(),
                order.environment.as_ptr(),
            );
        }
        match errno() {
            libc::ENOENT | libc::ENOTDIR => {}
            libc::EACCES => refused = libc::EACCES,
            libc::ENOEXEC => {
                if let Some(script) = order.shell_argv.get_mut(1) {
                    *script = program.as_ptr();
                }
                // SAFETY: as above.
                unsafe {
                    libc::execve(
                        SHELL.as_ptr(),
                        order.shell_argv.as_ptr(),
                        order.environment.as_ptr(),
                    );
                }
                return errno();
            }
            other => return other,
        }
    }
    refused
}

fn errno() -> c_int {
    nix::errno::Errno::last_raw()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::command::kill_group;
    use crate::sys::pidfd::Ended;
    use std::fs::{self, File};
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn start(argv: &[&str], path: &Path, output: &File) -> io::Result<Child> {
        let argv: Vec<OsString> = argv.iter().map(Into::into).collect();
        let null = File::open("/dev/null").unwrap();
        spawn(&Launch {
            argv: &argv,
            environment: &[("PATH".into(), path.into())],
            input: null.as_fd(),
            output: output.as_fd(),
            memory: None,
        })
    }

    #[test]
    fn programs_are_found_and_refusals_are_told_as_a_shell_does() {
        let dir = tempfile::tempdir().unwrap();
        let output = File::create(dir.path().join("output")).unwrap();
        let plain = dir.path().join("plain");
        fs::write(&plain, "echo \"$0 $1 $PATH\"").unwrap();
        let error = start(&["plain"], dir.path(), &output).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        fs::set_permissions(&plain, fs::Permissions::from_mode(0o755)).unwrap();
        let child = start(&["plain", "one"], dir.path(), &output).unwrap();
        assert_eq!(child.wait().unwrap(), Ended::Exited(0));
        let said = fs::read_to_string(dir.path().join("output")).unwrap();
        let dir = dir.path().display();
        assert_eq!(said, format!("{dir}/plain one {dir}\n"));
        for name in ["", "no-such", "/no-such", "/dev/null/x"] {
            let error = start(&[name], Path::new("/bin:/usr/bin"), &output).unwrap_err();
            let not = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
            assert!(not.contains(&error.kind()), "{name}: {error}");
        }
    }

    #[test]
    fn a_group_is_killed_with_its_children() {
        let output = File::options().write(true).open("/dev/null").unwrap();
        let argv = ["/bin/sh", "-c", "sleep 1000 & sleep 1000"];
        let child = start(&argv, Path::new("/bin:/usr/bin"), &output).unwrap();
        kill_group(child.pid());
        assert_eq!(child.wait().unwrap(), Ended::Killed(libc::SIGKILL));
        kill_group(child.pid());
    }
}
