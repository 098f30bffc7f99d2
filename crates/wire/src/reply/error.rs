//! Why a reply could not be written or read.

use super::format::Format;
use crate::msgpack::MsgpackError;
use crate::pb::{Caps, PbError};
use crate::pb_fields::Malformed;
use crate::pickle::PickleError;
use thiserror::Error;

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

/// Refuses more bytes than allowed.
pub(super) fn check_bytes(bytes: usize, caps: Caps) -> Result<(), ReplyError> {
    let bytes_max = caps.bytes_max;
    if bytes > bytes_max { Err(ReplyError::TooLong { bytes, bytes_max }) } else { Ok(()) }
}

/// Refuses more series or matches than allowed.
pub(super) fn check_items(items: usize, caps: Caps) -> Result<(), ReplyError> {
    let items_max = caps.items_max;
    if items > items_max { Err(ReplyError::TooMany { items_max }) } else { Ok(()) }
}
