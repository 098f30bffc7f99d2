//! The zipper daemon.
fn main() {}
