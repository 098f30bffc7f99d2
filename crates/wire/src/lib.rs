//! Bytes on sockets: carbon lines, pickle, carbonapi protobuf, msgpack, carbonlink.
//!
//! Everything here is pure: slices in, values out. A decoder never panics, never recurses deeper
//! than a named limit and never allocates more than the bytes it was given justify.
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub mod carbonlink;
pub mod carbonpb;
pub mod framing;
pub mod line;
pub mod msgpack;
pub use metric::number;
pub mod pb;
pub mod pb_v2;
pub mod pb_v3;
pub mod pickle;
mod refusal;
pub mod reply;
pub mod tree;

pub use refusal::RefusalReason;
