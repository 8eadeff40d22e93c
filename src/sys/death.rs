//! Named points at which a test has a process killed, before and after each move.
//!
//! Only builds with debug assertions have them; in a release build nothing of them is left. A
//! process kills itself when it comes to the point that `COTEC_DIE_AT` names (`role:point`),
//! unless the file `COTEC_DIE_ONCE` exists, which it makes first.

/// Each point with the roles that come by in a run that nothing disturbs.
pub const POINTS: [(&str, &str); 34] = [
    ("record-taken", "planner downloader worker uploader"),
    ("object-written", "planner"),
    ("object-named", "planner"),
    ("object-wanted", "planner"),
    ("object-told", "planner"),
    ("object-claiming", "downloader"),
    ("object-claimed", "downloader"),
    ("part-landed", "downloader"),
    ("range-published", "downloader"),
    ("object-placed", "downloader"),
    ("object-publishing", "downloader"),
    ("object-moved", "downloader"),
    ("object-published", "downloader"),
    ("job-written", "planner"),
    ("job-linked", "planner"),
    ("job-named", "planner"),
    ("job-opened", "planner"),
    ("job-made-ready", "downloader"),
    ("job-marked", "downloader"),
    ("job-claiming", "worker"),
    ("job-claimed", "worker"),
    ("job-unmarked", "worker"),
    ("result-written", "worker"),
    ("result-placed", "worker"),
    ("job-handing-over", "worker"),
    ("job-handed-over", "worker"),
    ("upload-claimed", "uploader"),
    ("upload-sent", "uploader"),
    ("upload-confirmed", "uploader"),
    ("job-finishing", "worker uploader"),
    ("job-finished", "worker uploader"),
    ("all-registered", "planner"),
    ("planned", "planner"),
    ("end-told", "worker"),
];

/// The same for a run whose staging has a limit that makes it remove objects.
pub const LIMITED_POINTS: [(&str, &str); 3] = [
    ("job-admitted", "downloader"),
    ("object-evicted", "downloader"),
    ("object-removed", "downloader"),
];

#[cfg(debug_assertions)]
mod armed {
    use std::fs::File;
    use std::sync::OnceLock;

    /// What the environment asks for: role, point, and the file that says it was done.
    static PLAN: OnceLock<Option<(String, String, String)>> = OnceLock::new();
    /// The role of this process.
    static ROLE: OnceLock<&'static str> = OnceLock::new();

    /// Says which role this process has, once it is forked.
    pub fn role(name: &'static str) {
        let _ = ROLE.set(name);
    }

    /// Dies here if this is the point.
    pub fn point(name: &str) {
        let plan = PLAN.get_or_init(|| {
            let at = std::env::var("COTEC_DIE_AT").ok()?;
            let (role, point) = at.split_once(':')?;
            let once = std::env::var("COTEC_DIE_ONCE").ok()?;
            Some((role.to_owned(), point.to_owned(), once))
        });
        let Some((role, point, once)) = plan else {
            return;
        };
        if point == name && ROLE.get() == Some(&role.as_str()) && File::create_new(once).is_ok() {
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{point, role};

/// Nothing, in builds without debug assertions.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn point(_: &str) {}

/// Nothing, in builds without debug assertions.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn role(_: &'static str) {}
