//! Time stands still.

pub fn now_ns() -> u64 {
    1
}
