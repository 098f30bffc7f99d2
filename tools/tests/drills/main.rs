//! Drills on a live cluster: nodes are added, replaced, drained and repaired while points come in, and afterwards every
//! point that was sent is in the files of exactly its owners. docs/operate/drills.md tells them for operators.
//!
//! The daemons run in this process on real sockets; the tool is a process of its own, as an operator starts it.
//! `PLUMBAGO_DRILL_SERIES` sets the size.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "with --nocapture a drill prints what its page shows")]

mod cluster;
mod pages;
