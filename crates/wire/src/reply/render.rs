//! Render replies: one series at a time out, whole replies in.

use super::content::RenderReply;
use super::error::{ReplyError, check_bytes, check_items};
use super::format::Format;
use super::{json, trees, v2, v3};
use crate::msgpack::{self, Packer};
use crate::pb::Caps;
use crate::pb_v3;
use crate::pickle::{Document, Pickler};
use crate::tree::Writer as _;
use metric::{SeriesData, Window};

/// Writes a reply series by series, so that it can be streamed.
#[derive(Debug)]
pub struct RenderEncoder {
    format: Format,
    request: Window,
    pushed: usize,
}

impl RenderEncoder {
    /// Begins a reply of exactly `series` series (only msgpack needs the number beforehand) to a
    /// request for this window.
    #[must_use]
    pub fn begin(format: Format, request: Window, series: usize, out: &mut Vec<u8>) -> Self {
        match format {
            Format::Json => out.extend_from_slice(b"{\"metrics\":["),
            Format::Pickle => Pickler::begin(out).begin_list(series),
            Format::Msgpack => Packer::new(out).begin_list(series),
            Format::V2 | Format::V3 => {}
        }
        Self { format, request, pushed: 0 }
    }

    /// Appends one series.
    pub fn push(&mut self, series: &SeriesData, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => {
                if self.pushed > 0 {
                    out.push(b',');
                }
                json::push_series(out, series);
            }
            Format::Pickle => trees::write_series(&mut Pickler::resume(out), series),
            Format::Msgpack => trees::write_series(&mut Packer::new(out), series),
            Format::V2 => v2::push_series(out, series),
            Format::V3 => v3::push_series(out, series, self.request),
        }
        self.pushed += 1;
    }

    /// Appends the end of the reply; only v3 can carry the meta.
    pub fn finish(self, meta: Option<pb_v3::Meta>, out: &mut Vec<u8>) {
        match self.format {
            Format::Json => out.extend_from_slice(b"]}"),
            Format::Pickle => {
                let mut pickler = Pickler::resume(out);
                pickler.end_list();
                pickler.finish();
            }
            Format::V3 => v3::push_meta(out, meta),
            Format::Msgpack | Format::V2 => {}
        }
    }
}

/// Writes a whole reply.
#[must_use]
pub fn encode_render(
    format: Format,
    request: Window,
    series: &[SeriesData],
    meta: Option<pb_v3::Meta>,
) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = RenderEncoder::begin(format, request, series.len(), &mut out);
    series.iter().for_each(|series| encoder.push(series, &mut out));
    encoder.finish(meta, &mut out);
    out
}

/// Reads a reply as its bytes come in. What is in v3 becomes series at once; of the other formats
/// the bytes are kept until the end.
#[derive(Debug)]
pub struct RenderDecoder {
    format: Format,
    caps: Caps,
    bytes: usize,
    v3: v3::RenderReader,
    body: Vec<u8>,
}

impl RenderDecoder {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(format: Format, caps: Caps) -> Self {
        let v3 = v3::RenderReader::new(caps.items_max);
        Self { format, caps, bytes: 0, v3, body: Vec::new() }
    }

    /// Takes the next bytes, cut anywhere.
    ///
    /// # Errors
    /// As [`decode_render`].
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), ReplyError> {
        self.bytes = self.bytes.saturating_add(bytes.len());
        check_bytes(self.bytes, self.caps)?;
        if self.format == Format::V3 {
            return self.v3.push(bytes);
        }
        self.body.extend_from_slice(bytes);
        Ok(())
    }

    /// Moves out the series that have come whole; in other formats than v3 none has before the end.
    pub fn take_series(&mut self) -> Vec<SeriesData> {
        self.v3.take_series()
    }

    /// The whole reply, but for the series that were taken.
    ///
    /// # Errors
    /// As [`decode_render`].
    pub fn finish(self) -> Result<RenderReply, ReplyError> {
        if self.format == Format::V3 {
            return self.v3.finish();
        }
        decode_render(self.format, &self.body, self.caps)
    }
}

/// Reads a whole reply. An empty body is an empty reply, as peers send it.
///
/// # Errors
/// When a cap is passed, the bytes are malformed, or a series has impossible times.
pub fn decode_render(format: Format, body: &[u8], caps: Caps) -> Result<RenderReply, ReplyError> {
    check_bytes(body.len(), caps)?;
    if body.is_empty() {
        return Ok(RenderReply::default());
    }
    let series: Vec<SeriesData> = match format {
        Format::Json => json::parse_render(body)?,
        Format::Pickle => trees::read_series(&Document::decode(body)?.to_value()?)?,
        Format::Msgpack => trees::read_series(&msgpack::decode(body)?)?,
        Format::V2 => v2::parse_render(body, caps)?,
        Format::V3 => {
            let mut reader = v3::RenderReader::new(caps.items_max);
            reader.push(body)?;
            return reader.finish();
        }
    };
    check_items(series.len(), caps)?;
    Ok(RenderReply { series, ..RenderReply::default() })
}
