//! What children and commands are when they begin.

use std::fs::File;
use std::os::fd::AsFd;

use cotec::sys::fork::fork;
use cotec::sys::pidfd::Ended;
use cotec::sys::signals::Signals;
use cotec::sys::spawn::{Launch, spawn};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::helpers::{child, end, until, well};

pub fn a_panic_is_an_exit_status() {
    let child = fork(|| panic!("as it should")).unwrap();
    assert_eq!(end(&child), Ended::Exited(cotec::sys::fork::PANICKED));
}

pub fn no_fork_with_threads() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || receiver.recv().is_err());
    let error = fork(|| 0).unwrap_err();
    assert!(error.to_string().contains("2 threads"), "{error}");
    drop(sender);
    assert!(thread.join().unwrap());
    // The kernel may take a moment to forget the thread.
    until(|| cotec::sys::proc::threads().unwrap() == 1);
    well(child(|| true));
}

/// A closed terminal signals the whole group. A command has a group of its own, but only from a
/// moment after it was made.
pub fn a_signal_for_the_group_ends_no_command_that_begins() {
    nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0)).unwrap();
    let _signals = Signals::open().unwrap();
    let closer = fork(|| {
        loop {
            let _ = signal::kill(Pid::from_raw(0), Signal::SIGHUP);
        }
    })
    .unwrap();
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap();
    for _ in 0..500 {
        let child = spawn(&Launch {
            argv: &["/bin/true".into()],
            environment: &[],
            input: null.as_fd(),
            output: null.as_fd(),
            memory: None,
        });
        assert_eq!(child.unwrap().wait().unwrap(), Ended::Exited(0));
    }
    closer.signal(rustix::process::Signal::KILL);
    closer.wait().unwrap();
}
