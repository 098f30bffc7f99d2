//! Protobuf decoding within limits that the caller names.

use prost::Message;
use prost::encoding::{self, DecodeContext, WireType};
use thiserror::Error;

/// What one message may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Encoded size.
    pub bytes_max: usize,
    /// Fields at the top level: an empty entry takes two bytes on the wire and a hundred in
    /// memory, so bytes alone do not bound memory.
    pub items_max: usize,
}

/// Why a message could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PbError {
    /// More bytes than allowed.
    #[error("protobuf message of {bytes} bytes, allowed are {bytes_max}")]
    TooLong {
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// More top-level fields than allowed.
    #[error("protobuf message of more than {items_max} items")]
    TooMany {
        /// The limit.
        items_max: usize,
    },
    /// Not a message of this type.
    #[error("protobuf message malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// Decodes one message.
///
/// # Errors
/// When a cap is passed, before anything is allocated; or when the bytes are malformed.
pub fn decode<M: Message + Default>(bytes: &[u8], caps: Caps) -> Result<M, PbError> {
    let Caps { bytes_max, items_max } = caps;
    if bytes.len() > bytes_max {
        return Err(PbError::TooLong { bytes: bytes.len(), bytes_max });
    }
    let mut rest = bytes;
    let mut items = 0_usize;
    while !rest.is_empty() {
        items += 1;
        if items > items_max {
            return Err(PbError::TooMany { items_max });
        }
        let (tag, wire_type): (u32, WireType) = encoding::decode_key(&mut rest)?;
        encoding::skip_field(wire_type, tag, &mut rest, DecodeContext::default())?;
    }
    Ok(M::decode(bytes)?)
}
