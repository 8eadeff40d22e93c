//! Time stands still until a scenario moves it on.

use std::sync::OnceLock;
use std::time::Instant;

/// The model's time; real time on a thread that no model runs.
pub fn now_ns() -> u64 {
    crate::model::now().unwrap_or_else(|| {
        static START: OnceLock<Instant> = OnceLock::new();
        u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
    })
}
