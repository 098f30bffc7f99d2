//! The replies of a storage node to render, find and info, in every format of the field: written
//! by carbon and zipper, read by whoever asks them.
//!
//! | format | render | find | info |
//! |---|---|---|---|
//! | json | v2 shape, nulls as 0 with `isAbsent` | v3 shape | v3 shape, 64-bit integers as text |
//! | pickle, msgpack | graphite-web's list of dicts | graphite-web's list of dicts | no |
//! | v2, v3 | protobuf | protobuf | protobuf |
//!
//! `content` has what replies hold, one module a format writes and reads that, and `render`, `find` and `info` choose the
//! format.

mod content;
mod error;
mod find;
mod format;
mod info;
mod json;
mod render;
#[cfg(test)]
mod tests;
mod trees;
mod v2;
mod v3;

pub use content::{FindMatch, FindReply, InfoReply, RenderReply, Retention};
pub use error::ReplyError;
pub use find::{decode_find, encode_find};
pub use format::Format;
pub use info::{decode_info, encode_info};
pub use render::{RenderDecoder, RenderEncoder, decode_render, encode_render};

pub use crate::pb::Caps;
