//! The api daemon.
fn main() {}
