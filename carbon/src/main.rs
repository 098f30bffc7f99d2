//! The carbon daemon.
fn main() {}
