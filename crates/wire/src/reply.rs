//! The replies of a storage node to render, find and info, in every format of the field: written
//! by carbon and zipper, read by whoever asks them.
//!
//! | format | render | find | info |
//! |---|---|---|---|
//! | json | v2 shape, nulls as 0 with `isAbsent` | v3 shape | v3 shape, 64-bit integers as text |
//! | pickle, msgpack | graphite-web's list of dicts | graphite-web's list of dicts | no |
//! | v2, v3 | protobuf | protobuf | protobuf |

mod find;
mod info;
mod json;
mod render;
#[cfg(test)]
mod tests;
mod trees;
mod v3;

pub use find::{FindMatch, FindReply, decode_find, encode_find};
pub use info::{InfoReply, Retention, decode_info, encode_info};
pub use render::{RenderDecoder, RenderEncoder, RenderReply, decode_render, encode_render};

use crate::msgpack::MsgpackError;
use crate::pb::PbError;
use crate::pb_fields::Malformed;
use crate::pickle::PickleError;
use thiserror::Error;

pub use crate::pb::Caps;

/// An encoding of replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// JSON as go-carbon writes it.
    #[default]
    Json,
    /// Python pickle as graphite-web reads it.
    Pickle,
    /// MessagePack as graphite-web reads it.
    Msgpack,
    /// carbonapi_v2_pb.
    V2,
    /// carbonapi_v3_pb.
    V3,
}

/// One row per format: what it is called in `format=`, best name first, and its content type.
const FORMATS: [(Format, &[&str], &str); 5] = [
    (Format::Json, &["json", "carbonapi_v2_json"], "application/json"),
    (Format::Pickle, &["pickle"], "application/pickle"),
    (Format::Msgpack, &["msgpack"], "application/x-msgpack"),
    (Format::V2, &["carbonapi_v2_pb", "protobuf", "protobuf3"], "application/x-protobuf"),
    (Format::V3, &["carbonapi_v3_pb"], "application/x-carbonapi-v3-pb"),
];

impl Format {
    /// The format that a `format=` parameter names.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        FORMATS.iter().find(|(_, names, _)| names.contains(&name)).map(|row| row.0)
    }

    /// The format of a body with this content type; parameters such as a charset are ignored.
    #[must_use]
    pub fn from_content_type(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let row = FORMATS.iter().find(|(_, _, known)| known.eq_ignore_ascii_case(essence));
        row.map(|row| row.0)
    }

    /// What to put into `format=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1[0]
    }

    /// The content type of a body.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Self, &'static [&'static str], &'static str) {
        FORMATS.iter().find(|row| row.0 == self).expect("every format has its row")
    }
}

/// Why a reply could not be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// This kind of reply does not exist in this format.
    #[error("{what} reply does not exist as {}", format.name())]
    Unsupported {
        /// render, find or info.
        what: &'static str,
        /// The format asked for.
        format: Format,
    },
    /// More bytes than allowed.
    #[error("reply of {bytes} bytes, allowed are {bytes_max}")]
    TooLong {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// More series or matches than allowed.
    #[error("reply of more than {items_max} items")]
    TooMany {
        /// The limit.
        items_max: usize,
    },
    /// Not a protobuf message of the expected type.
    #[error("reply: {0}")]
    Protobuf(#[from] PbError),
    /// Not even the fields of a protobuf message.
    #[error("reply: {0}")]
    Fields(#[from] Malformed),
    /// Not a pickle of plain data.
    #[error("reply: {0}")]
    Pickle(#[from] PickleError),
    /// Not msgpack.
    #[error("reply: {0}")]
    Msgpack(#[from] MsgpackError),
    /// Not JSON of the expected shape.
    #[error("reply: {0}")]
    Json(#[from] serde_json::Error),
    /// An entry without a needed key, or with a value of another kind.
    #[error("reply entry {at} has no usable {key:?}")]
    BadEntry {
        /// Position of the entry.
        at: usize,
        /// The key.
        key: &'static str,
    },
    /// A series whose step is not positive, or whose times overflow.
    #[error("reply holds series {name:?} with impossible times")]
    BadTimes {
        /// Its name.
        name: String,
    },
}

/// 64-bit times for peers that hold 32 bits.
fn narrow(time: i64) -> i32 {
    i32::try_from(time).unwrap_or(if time < 0 { i32::MIN } else { i32::MAX })
}

fn check_bytes(bytes: usize, caps: Caps) -> Result<(), ReplyError> {
    let bytes_max = caps.bytes_max;
    if bytes > bytes_max { Err(ReplyError::TooLong { bytes, bytes_max }) } else { Ok(()) }
}

fn check_items(items: usize, caps: Caps) -> Result<(), ReplyError> {
    let items_max = caps.items_max;
    if items > items_max { Err(ReplyError::TooMany { items_max }) } else { Ok(()) }
}
