//! Bytes on sockets: carbon lines, pickle, carbonapi protobuf, msgpack, carbonlink.
//!
//! Everything here is pure: slices in, values out. A decoder never panics, never recurses deeper
//! than a named limit and never allocates more than the bytes it was given justify.
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub mod framing;
pub mod line;
mod refusal;

pub use refusal::RefusalReason;
