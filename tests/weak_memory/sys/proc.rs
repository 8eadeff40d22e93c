//! One process, which lives.

pub fn id() -> u32 {
    std::process::id()
}

pub fn start_time(pid: u32) -> Option<u64> {
    (pid == id()).then_some(7)
}
