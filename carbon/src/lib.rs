//! Storage node: takes points in, writes Whisper files, answers reads.
#![forbid(unsafe_code)]

pub mod index;
pub mod series;
