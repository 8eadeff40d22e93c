//! The one clock of a run: `CLOCK_MONOTONIC`, which all processes of a machine share.

/// Nanoseconds since an arbitrary point that is the same for every process of this boot.
pub fn now_ns() -> u64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(t.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(t.tv_nsec).unwrap_or(0)
}

/// A number from 0 to 1 that differs from call to call and process to process. It spreads pauses,
/// so that many do not come back together, and needs no better.
pub fn jitter() -> f64 {
    let seed = now_ns().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (seed >> 11) as f64 / (1u64 << 53) as f64
}
