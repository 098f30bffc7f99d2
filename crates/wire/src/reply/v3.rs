//! Replies as carbonapi_v3_pb has them. Series and matches are written from and read to where they lie: they
//! are most of what travels between node, zipper and api.
//!
//! Byte for byte what [`pb_v3::MultiFetchResponse`] and [`pb_v3::MultiGlobResponse`] make of the
//! same content; the tests compare them.

use super::content::{
    FindMatch, FindReply, InfoReply, RenderReply, Retention, consolidation, found, series,
};
use super::error::{ReplyError, check_items};
use crate::packed;
use crate::pb::{self, Caps, PbError};
use crate::pb_fields::{FieldValue, Fields, Malformed};
use crate::pb_v3;
use metric::{SeriesData, Window};
use prost::Message as _;
use prost::encoding::{self, WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// Field number of the series and of the replies in the two messages.
const ITEM_TAG: u32 = 1;

/// Field number of the meta in both.
const META_TAG: u32 = 1000;

/// Field number of what a fold came to.
const FOLDED_TAG: u32 = 1001;

/// Field number of a series' values.
const VALUES_TAG: u32 = 9;

/// A varint is no longer than this.
const VARINT_BYTES_MAX: usize = 10;

/// Appends one series of a reply to a request for `request`.
pub(super) fn push_series(out: &mut Vec<u8>, series: &SeriesData, request: Window) {
    // Field numbers are those of pb_v3::FetchResponse.
    let mut head = Vec::with_capacity(series.name.len() + series.path_expression.len() + 64);
    push_text(&mut head, 1, &series.name);
    push_text(&mut head, 2, &series.path_expression);
    push_text(&mut head, 3, series.consolidation.as_str());
    push_int(&mut head, 4, series.start);
    push_int(&mut head, 5, series.stop);
    push_int(&mut head, 6, series.step);
    if series.x_files_factor != 0.0 {
        encoding::float::encode(7, &series.x_files_factor, &mut head);
    }
    let before_values = head.len();
    push_int(&mut head, 11, request.from);
    push_int(&mut head, 12, request.until);
    let values_bytes = series.values.len() * size_of::<f64>();
    let values_field = match values_bytes {
        0 => 0,
        bytes => key_len(VALUES_TAG) + encoded_len_varint(bytes as u64) + bytes,
    };
    push_length(out, ITEM_TAG, head.len() + values_field);
    out.extend_from_slice(&head[..before_values]);
    if values_bytes > 0 {
        push_length(out, VALUES_TAG, values_bytes);
        packed::push(out, &series.values);
    }
    out.extend_from_slice(&head[before_values..]);
}

/// Appends what one pattern matched.
pub(super) fn push_found(out: &mut Vec<u8>, reply: &FindReply) {
    let text_bytes = |text: &str| match text.len() {
        0 => 0,
        length => key_len(1) + encoded_len_varint(length as u64) + length,
    };
    // A flag is two bytes.
    let match_bytes = |one: &FindMatch| text_bytes(&one.path) + 2 * usize::from(one.is_leaf);
    let field_bytes = |bytes: usize| key_len(2) + encoded_len_varint(bytes as u64) + bytes;
    let matches_bytes: usize = reply.matches.iter().map(|one| field_bytes(match_bytes(one))).sum();
    let bytes = text_bytes(&reply.query) + matches_bytes;
    out.reserve(field_bytes(bytes));
    push_length(out, ITEM_TAG, bytes);
    push_text(out, 1, &reply.query);
    for one in &reply.matches {
        push_length(out, 2, match_bytes(one));
        push_text(out, 1, &one.path);
        if one.is_leaf {
            encoding::bool::encode(2, &true, out);
        }
    }
}

fn push_text(out: &mut Vec<u8>, tag: u32, text: &str) {
    if !text.is_empty() {
        push_length(out, tag, text.len());
        out.extend_from_slice(text.as_bytes());
    }
}

fn push_int(out: &mut Vec<u8>, tag: u32, number: i64) {
    if number != 0 {
        encoding::int64::encode(tag, &number, out);
    }
}

fn push_length(out: &mut Vec<u8>, tag: u32, bytes: usize) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes as u64, out);
}

/// Appends the meta that ends a reply; fields of a message may come in pieces.
pub(super) fn push_meta(out: &mut Vec<u8>, meta: Option<pb_v3::Meta>) {
    let tail = pb_v3::MultiFetchResponse { meta, ..Default::default() };
    out.extend_from_slice(&tail.encode_to_vec());
}

/// Reads a reply to a render while it arrives: of its bytes only those of one unfinished series
/// are kept.
#[derive(Debug)]
pub(super) struct RenderReader {
    items_max: usize,
    items: usize,
    /// The beginning of a field whose end has not come yet.
    cut: Vec<u8>,
    reply: RenderReply,
}

impl RenderReader {
    pub(super) fn new(items_max: usize) -> Self {
        Self { items_max, items: 0, cut: Vec::new(), reply: RenderReply::default() }
    }

    /// Takes the next bytes, cut anywhere.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), ReplyError> {
        while !self.cut.is_empty() && !bytes.is_empty() {
            let missing = field_bytes(&self.cut)?.map_or(1, |whole| whole - self.cut.len());
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            self.cut.extend_from_slice(now);
            bytes = later;
            if field_bytes(&self.cut)? == Some(self.cut.len()) {
                let mut whole = std::mem::take(&mut self.cut);
                self.field(&whole)?;
                whole.clear();
                self.cut = whole;
            }
        }
        while let Some(length) = field_bytes(bytes)?.filter(|length| *length <= bytes.len()) {
            let (whole, later) = bytes.split_at(length);
            self.field(whole)?;
            bytes = later;
        }
        self.cut.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn take_series(&mut self) -> Vec<SeriesData> {
        std::mem::take(&mut self.reply.series)
    }

    pub(super) fn finish(self) -> Result<RenderReply, ReplyError> {
        if self.cut.is_empty() { Ok(self.reply) } else { Err(Malformed.into()) }
    }

    fn field(&mut self, field: &[u8]) -> Result<(), ReplyError> {
        self.items += 1;
        let caps = Caps { bytes_max: usize::MAX, items_max: self.items_max };
        check_items(self.items, caps)?;
        let RenderReply { series, meta, folded } = &mut self.reply;
        read_items(field, caps, meta, |tag, message| {
            if tag == ITEM_TAG {
                series.push(read_series(message)?);
                return Ok(());
            }
            check_items(groups_in(message)?, caps)?;
            let folded = folded.get_or_insert_with(pb_v3::Folded::default);
            folded.merge(message).map_err(PbError::from)?;
            Ok(())
        })
    }
}

/// How long the first field of a message is, once its beginning tells.
fn field_bytes(message: &[u8]) -> Result<Option<usize>, Malformed> {
    let varint = |from: usize| {
        let bytes = message.get(from..).unwrap_or_default();
        let mut rest = bytes;
        match encoding::decode_varint(&mut rest) {
            Ok(number) => Ok(Some((number, from + bytes.len() - rest.len()))),
            Err(_cut) if bytes.len() < VARINT_BYTES_MAX => Ok(None),
            Err(_malformed) => Err(Malformed),
        }
    };
    let Some((key, after_key)) = varint(0)? else { return Ok(None) };
    match key & 7 {
        0 => Ok(varint(after_key)?.map(|(_, end)| end)),
        1 => Ok(Some(after_key + 8)),
        2 => match varint(after_key)? {
            None => Ok(None),
            Some((length, start)) => {
                let end = usize::try_from(length).ok().and_then(|length| start.checked_add(length));
                end.map(Some).ok_or(Malformed)
            }
        },
        5 => Ok(Some(after_key + 4)),
        _ => Err(Malformed),
    }
}

/// Reads a reply to a find.
pub(super) fn read_find(
    body: &[u8],
    caps: Caps,
) -> Result<(Vec<FindReply>, Option<pb_v3::Meta>), ReplyError> {
    let (mut replies, mut meta, mut matches) = (Vec::new(), None, 0);
    read_items(body, caps, &mut meta, |tag, message| {
        if tag != ITEM_TAG {
            return Ok(());
        }
        let reply = read_found(message, caps.items_max.saturating_sub(matches))?;
        matches += reply.matches.len();
        replies.push(reply);
        Ok(())
    })?;
    Ok((replies, meta))
}

/// Hands out the items of a reply, or of a part of one, by their field numbers, and fills in its meta.
fn read_items(
    body: &[u8],
    caps: Caps,
    meta: &mut Option<pb_v3::Meta>,
    mut item: impl FnMut(u32, &[u8]) -> Result<(), ReplyError>,
) -> Result<(), ReplyError> {
    for (at, field) in Fields::new(body).enumerate() {
        check_items(at + 1, caps)?;
        match field? {
            (tag @ (ITEM_TAG | FOLDED_TAG), FieldValue::Bytes(message)) => item(tag, message)?,
            (META_TAG, FieldValue::Bytes(message)) => {
                let meta = meta.get_or_insert_with(pb_v3::Meta::default);
                meta.merge(message).map_err(PbError::from)?;
            }
            (ITEM_TAG | META_TAG | FOLDED_TAG, _) => return Err(Malformed.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Ranges and groups of a fold: empty ones take two bytes there and hundreds here.
fn groups_in(folded: &[u8]) -> Result<usize, Malformed> {
    let mut groups = 0;
    for field in Fields::new(folded) {
        if let (1, FieldValue::Bytes(range)) = field? {
            groups += 1 + Fields::new(range).count();
        }
    }
    Ok(groups)
}

fn read_series(message: &[u8]) -> Result<SeriesData, ReplyError> {
    let (mut name, mut expression, mut consolidation_func) = ("", "", "");
    let (mut start, mut step, mut x_files_factor) = (0, 0, 0.0);
    let mut values = Vec::new();
    for field in Fields::new(message) {
        match field? {
            (1, FieldValue::Bytes(bytes)) => name = text(bytes)?,
            (2, FieldValue::Bytes(bytes)) => expression = text(bytes)?,
            (3, FieldValue::Bytes(bytes)) => consolidation_func = text(bytes)?,
            (4, FieldValue::Varint(number)) => start = number.cast_signed(),
            (6, FieldValue::Varint(number)) => step = number.cast_signed(),
            (7, FieldValue::Fixed32(bytes)) => x_files_factor = f32::from_le_bytes(bytes),
            (VALUES_TAG, FieldValue::Bytes(bytes)) => packed::read(bytes, &mut values)?,
            (VALUES_TAG, FieldValue::Fixed64(bytes)) => values.push(f64::from_le_bytes(bytes)),
            (1..=4 | 6 | 7 | VALUES_TAG, _) => return Err(Malformed.into()),
            _ => {}
        }
    }
    let mut series = series(name.to_owned(), expression.to_owned(), (start, step), values)?;
    series.consolidation = consolidation(consolidation_func);
    series.x_files_factor = x_files_factor;
    Ok(series)
}

fn read_found(message: &[u8], matches_max: usize) -> Result<FindReply, ReplyError> {
    let mut reply = FindReply::default();
    for field in Fields::new(message) {
        match field? {
            (1, FieldValue::Bytes(bytes)) => reply.query = text(bytes)?.to_owned(),
            (2, FieldValue::Bytes(bytes)) => {
                // A match without anything takes two bytes there and fifty here.
                check_items(
                    reply.matches.len() + 1,
                    Caps { bytes_max: 0, items_max: matches_max },
                )?;
                reply.matches.push(read_match(bytes)?);
            }
            (1 | 2, _) => return Err(Malformed.into()),
            _ => {}
        }
    }
    Ok(reply)
}

fn read_match(message: &[u8]) -> Result<FindMatch, Malformed> {
    let (mut path, mut is_leaf) = ("", false);
    for field in Fields::new(message) {
        match field? {
            (1, FieldValue::Bytes(bytes)) => path = text(bytes)?,
            (2, FieldValue::Varint(flag)) => is_leaf = flag != 0,
            (1 | 2, _) => return Err(Malformed),
            _ => {}
        }
    }
    Ok(found(path.to_owned(), is_leaf))
}

pub(super) fn info(infos: &[InfoReply]) -> Vec<u8> {
    let metrics = infos.iter().map(info_response).collect();
    pb_v3::MultiMetricsInfoResponse { metrics }.encode_to_vec()
}

pub(super) fn parse_info(body: &[u8], caps: Caps) -> Result<Vec<InfoReply>, ReplyError> {
    let reply: pb_v3::MultiMetricsInfoResponse = pb::decode(body, caps)?;
    Ok(reply.metrics.into_iter().map(from_info_response).collect())
}

fn info_response(info: &InfoReply) -> pb_v3::MetricsInfoResponse {
    let retention = |r: &Retention| pb_v3::Retention {
        seconds_per_point: r.seconds_per_point,
        number_of_points: r.points,
    };
    pb_v3::MetricsInfoResponse {
        name: info.name.clone(),
        consolidation_func: info.consolidation.as_str().to_owned(),
        max_retention: info.max_retention_s,
        x_files_factor: info.x_files_factor,
        retentions: info.retentions.iter().map(retention).collect(),
    }
}

fn from_info_response(info: pb_v3::MetricsInfoResponse) -> InfoReply {
    let retention = |r: &pb_v3::Retention| Retention {
        seconds_per_point: r.seconds_per_point,
        points: r.number_of_points,
    };
    InfoReply {
        consolidation: consolidation(&info.consolidation_func),
        max_retention_s: info.max_retention,
        x_files_factor: info.x_files_factor,
        retentions: info.retentions.iter().map(retention).collect(),
        name: info.name,
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    str::from_utf8(bytes).or(Err(Malformed))
}
