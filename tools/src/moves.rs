//! Series on their way between nodes, as the tools see it: who holds what, a plan of what should move, and a journal of
//! what has.
//!
//! The bytes go from node to node; the tools only tell which node is to take what from where. What a node answers is in
//! docs/formats/moves.md, what a plan and its journal hold in docs/formats/plan.md.

pub(crate) mod batches;
pub(crate) mod births;
pub(crate) mod fleet;
pub(crate) mod holdings;
pub(crate) mod job;
pub(crate) mod journal;
pub(crate) mod lease;
pub(crate) mod pace;
pub(crate) mod placing;
pub(crate) mod plan;
pub(crate) mod summaries;
pub(crate) mod sweep;
