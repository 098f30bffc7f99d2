//! Fuzz targets: whatever bytes come in, each returns, and what it promises holds.
//!
//! One table of targets. `fuzz/run NAME SECONDS` mutates (libFuzzer, on the stable toolchain); `cargo
//! test` replays the committed corpora, so that what was found once is never lost again.
#![forbid(unsafe_code)]

mod evaluation;
mod grammar;
mod storage;
mod wires;

/// A fuzz target: its name, which is also that of its corpus, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("target", grammar::target),
    ("time", grammar::time),
    ("evaluation", evaluation::run),
    ("lines", wires::lines),
    ("pickle", wires::pickle),
    ("replies", wires::replies),
    ("whisper", storage::whisper),
];

/// The target of a name.
pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).copied()
}
