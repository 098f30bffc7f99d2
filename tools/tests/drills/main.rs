//! Drills on a live cluster: nodes are added, reordered, replaced, drained, repaired and killed while points come in, and
//! afterwards every point that was sent is in the files of exactly its owners. Meanwhile somebody asks for all series
//! again and again. docs/operate/drills.md tells them for operators.
//!
//! The storage nodes are processes of their own, and so is the tool, as an operator starts it; relay, zipper and api run
//! in this process, on real sockets. `PLUMBAGO_DRILL_SERIES` sets the size, `PLUMBAGO_DRILL_IDLE_SECONDS` for how long only
//! the load runs before the first command.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "with --nocapture a drill prints what its page shows")]

mod changes;
mod cluster;
mod files;
mod kills;
mod load;
mod node;
mod pages;
mod readers;
mod report;
