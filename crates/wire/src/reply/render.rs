//! Render replies: one series at a time out, whole replies in.

use super::{Caps, Format, ReplyError, check_bytes, check_items, json, narrow, trees, v3};
use crate::msgpack::{self, Packer};
use crate::pb;
use crate::pickle::{Document, Pickler};
use crate::tree::Writer as _;
use crate::{pb_v2, pb_v3};
use metric::{Consolidation, SeriesData, Window};

/// Field number of the series in a v2 reply.
const SERIES_TAG: u32 = 1;

/// A decoded reply.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RenderReply {
    /// The series, in the order sent.
    pub series: Vec<SeriesData>,
    /// How complete the reply is, where the format and the peer say so.
    pub meta: Option<pb_v3::Meta>,
    /// What a fold came to, where one was asked for and the peer can fold.
    pub folded: Option<pb_v3::Folded>,
}

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
            Format::V2 => prost::encoding::message::encode(SERIES_TAG, &to_v2(series), out),
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
        Format::V2 => {
            let reply: pb_v2::MultiFetchResponse = pb::decode(body, caps)?;
            reply.metrics.into_iter().map(from_v2).collect::<Result<_, _>>()?
        }
        Format::V3 => {
            let mut reader = v3::RenderReader::new(caps.items_max);
            reader.push(body)?;
            return reader.finish();
        }
    };
    check_items(series.len(), caps)?;
    Ok(RenderReply { series, ..RenderReply::default() })
}

/// Puts the pieces of a series together, trusting the number of values over the stop time.
pub(super) fn series(
    name: String,
    path_expression: String,
    (start, step): (i64, i64),
    values: Vec<f64>,
) -> Result<SeriesData, ReplyError> {
    let seconds = i64::try_from(values.len()).ok().and_then(|slots| slots.checked_mul(step));
    let stop = seconds.and_then(|seconds| start.checked_add(seconds)).filter(|_| step > 0);
    let Some(stop) = stop else { return Err(ReplyError::BadTimes { name }) };
    let path_expression = if path_expression.is_empty() { name.clone() } else { path_expression };
    let (consolidation, x_files_factor) = (Consolidation::default(), 0.0);
    Ok(SeriesData {
        name,
        path_expression,
        start,
        stop,
        step,
        values,
        consolidation,
        x_files_factor,
    })
}

/// Peers capitalise the name, or leave it out.
pub(super) fn consolidation(name: &str) -> Consolidation {
    let as_named = Consolidation::parse(name);
    as_named.or_else(|| Consolidation::parse(&name.to_ascii_lowercase())).unwrap_or_default()
}

pub(super) fn to_v2(series: &SeriesData) -> pb_v2::FetchResponse {
    let absent = |value: &f64| value.is_nan();
    pb_v2::FetchResponse {
        name: series.name.clone(),
        start_time: narrow(series.start),
        stop_time: narrow(series.stop),
        step_time: narrow(series.step),
        values: series.values.iter().map(|v| if absent(v) { 0.0 } else { *v }).collect(),
        is_absent: series.values.iter().map(absent).collect(),
    }
}

fn from_v2(reply: pb_v2::FetchResponse) -> Result<SeriesData, ReplyError> {
    let pb_v2::FetchResponse { name, start_time, step_time, mut values, is_absent, .. } = reply;
    blank(&mut values, &is_absent);
    series(name, String::new(), (start_time.into(), step_time.into()), values)
}

/// Makes absent values NaN.
pub(super) fn blank(values: &mut [f64], is_absent: &[bool]) {
    for (value, _) in values.iter_mut().zip(is_absent).filter(|(_, absent)| **absent) {
        *value = f64::NAN;
    }
}
