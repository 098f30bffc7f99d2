//! Bytes on sockets: carbon lines, pickle, protobuf, JSON measurements, msgpack, carbonlink, the acknowledged link.
//!
//! Everything here is pure: slices in, values out. A decoder never panics, never recurses deeper
//! than a named limit and never allocates more than the bytes it was given justify.
#![forbid(unsafe_code)]
#![warn(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub mod birth;
pub mod carbonlink;
pub mod carbonpb;
pub mod framing;
pub mod grpc;
pub mod line;
pub mod link;
pub mod measurements;
pub mod moves;
pub mod msgpack;
pub mod named;
pub use metric::number;
pub mod packed;
pub mod pb;
pub mod pb_fields;
pub mod pb_v2;
pub mod pb_v3;
pub mod pickle;
pub mod proxy;
mod refusal;
pub mod remote_write;
pub mod reply;
pub mod summaries;
pub mod tree;

pub use refusal::RefusalReason;
