//! Storage node: takes points in, writes Whisper files, answers reads.
#![forbid(unsafe_code)]

pub mod engine;
pub mod index;
pub mod journal;
pub mod queue;
pub mod series;
mod tail;
