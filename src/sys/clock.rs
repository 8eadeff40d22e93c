//! The one clock of a run: `CLOCK_MONOTONIC`, which all processes of a machine share.

/// Nanoseconds since an arbitrary point that is the same for every process of this boot.
pub fn now_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}
