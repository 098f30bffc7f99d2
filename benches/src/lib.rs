//! Criterion benches of the hot paths.
#![forbid(unsafe_code)]
