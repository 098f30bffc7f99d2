//! The commands that speak to running daemons, against a pipeline of their own.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod bad_input;
mod bad_moves;
mod hand;
mod page;
mod pages;
mod pipeline;
mod replicas;
mod series;
