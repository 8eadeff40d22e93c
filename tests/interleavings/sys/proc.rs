//! Processes of the model: they live until the scenario lets them die.

use crate::model;

/// The simulated process of this task.
pub fn id() -> u32 {
    model::pid().unwrap_or_else(std::process::id)
}

/// When a simulated process started; `None` once it is dead.
pub fn start_time(pid: u32) -> Option<u64> {
    match model::lives(pid) {
        Some(lives) => lives.then_some(u64::from(pid) * 7),
        None => (pid == std::process::id()).then_some(7),
    }
}
