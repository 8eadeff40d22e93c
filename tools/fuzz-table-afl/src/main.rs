//! Altered tables under AFL++, which keeps the alterations that reach new code. Once:
//!
//! ```text
//! cargo install cargo-afl && cargo afl config --build
//! ```
//!
//! then, here:
//!
//! ```text
//! cargo afl build --release && mkdir -p in && cp ../../tests/corpus/table/*.afl in/
//! cargo afl fuzz -i in -o out target/release/fuzz-table-afl
//! ```
//!
//! What it finds in `out/default/crashes` is shown by `fuzz-table --replay FILE`; a copy with the
//! ending `.afl` in `tests/corpus/table` makes it part of `cargo test`. AFL++ compiles with stable
//! Rust; cargo-fuzz does not (its sanitizer flags need nightly).

#![allow(clippy::unwrap_used)]

#[path = "../../../tests/table_hostile/harness/mod.rs"]
#[expect(unused_imports, reason = "only what takes bytes is used here")]
mod harness;

fn main() {
    afl::fuzz!(|data: &[u8]| {
        let report = harness::bytes(data);
        assert!(report.findings.is_empty(), "{report}");
    });
}
