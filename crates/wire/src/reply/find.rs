//! Find replies.

use super::content::{FindMatch, FindReply};
use super::error::{ReplyError, check_bytes, check_items};
use super::format::Format;
use super::{json, trees, v2, v3};
use crate::msgpack::{self, Packer};
use crate::pb::Caps;
use crate::pb_v3;
use crate::pickle::{Document, Pickler};
use crate::tree::Writer;

/// Writes the replies to a find. Formats without a place for several patterns (pickle, msgpack,
/// v2) hold the matches of all of them, v2 under the first pattern.
#[must_use]
pub fn encode_find(format: Format, replies: &[FindReply], meta: Option<pb_v3::Meta>) -> Vec<u8> {
    let mut out = Vec::new();
    let matches = replies.iter().flat_map(|reply| &reply.matches);
    match format {
        Format::Json => json::push_find(&mut out, replies),
        Format::Pickle => {
            let mut pickler = Pickler::begin(&mut out);
            write_list(&mut pickler, matches);
            pickler.finish();
        }
        Format::Msgpack => write_list(&mut Packer::new(&mut out), matches),
        Format::V2 => out = v2::find(replies),
        Format::V3 => {
            replies.iter().for_each(|reply| v3::push_found(&mut out, reply));
            v3::push_meta(&mut out, meta);
        }
    }
    out
}

fn write_list<'m>(writer: &mut impl Writer, matches: impl Iterator<Item = &'m FindMatch> + Clone) {
    writer.begin_list(matches.clone().count());
    matches.for_each(|found| trees::write_match(writer, found));
    writer.end_list();
}

/// Reads the replies to a find, and the meta if it came along. An empty body is an empty reply.
///
/// # Errors
/// When a cap is passed or the bytes are malformed.
pub fn decode_find(
    format: Format,
    body: &[u8],
    caps: Caps,
) -> Result<(Vec<FindReply>, Option<pb_v3::Meta>), ReplyError> {
    check_bytes(body.len(), caps)?;
    if body.is_empty() {
        return Ok((Vec::new(), None));
    }
    let unnamed = |matches| vec![FindReply { query: String::new(), matches }];
    let replies = match format {
        Format::Json => json::parse_find(body)?,
        Format::Pickle => unnamed(trees::read_matches(&Document::decode(body)?.to_value()?)?),
        Format::Msgpack => unnamed(trees::read_matches(&msgpack::decode(body)?)?),
        Format::V2 => vec![v2::parse_find(body, caps)?],
        Format::V3 => return v3::read_find(body, caps),
    };
    check_items(replies.iter().map(|reply| reply.matches.len()).sum(), caps)?;
    Ok((replies, None))
}
