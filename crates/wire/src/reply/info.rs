//! Info replies: the headers of files.

use super::content::InfoReply;
use super::error::{ReplyError, check_bytes};
use super::format::Format;
use super::{json, v2, v3};
use crate::pb::Caps;

/// Writes the reply about some files; v2 has room for the first only.
///
/// # Errors
/// [`ReplyError::Unsupported`] for pickle and msgpack.
pub fn encode_info(format: Format, infos: &[InfoReply]) -> Result<Vec<u8>, ReplyError> {
    Ok(match format {
        Format::Json => json::info(infos),
        Format::V2 => v2::info(infos),
        Format::V3 => v3::info(infos),
        Format::Pickle | Format::Msgpack => {
            return Err(ReplyError::Unsupported { what: "info", format });
        }
    })
}

/// Reads the reply about some files.
///
/// # Errors
/// When a cap is passed, the bytes are malformed, or the format has no such reply.
pub fn decode_info(format: Format, body: &[u8], caps: Caps) -> Result<Vec<InfoReply>, ReplyError> {
    check_bytes(body.len(), caps)?;
    match format {
        Format::Json => json::parse_info(body),
        Format::V2 => v2::parse_info(body, caps),
        Format::V3 => v3::parse_info(body, caps),
        Format::Pickle | Format::Msgpack => Err(ReplyError::Unsupported { what: "info", format }),
    }
}
