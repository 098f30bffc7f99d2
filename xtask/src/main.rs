//! Chores: tidy checks and generated docs.
#![forbid(unsafe_code)]
fn main() {}
