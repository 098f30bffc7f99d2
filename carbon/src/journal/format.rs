//! Headers, frames and records as bytes. The bytes: docs/formats/journal.md.

use super::{Point, Record, SenderMark, points};
use crate::series::SeriesId;

const MAGIC: [u8; 8] = *b"PLUMJRNL";
const VERSION: u32 = 1;
/// The header of a segment.
pub(super) const HEADER_BYTES: usize = 40;
/// Never part of a text, which is UTF-8.
const MARK: [u8; 4] = [0xFF, 0x4A, 0x4E, 0xFE];
/// What stands before the body of a frame.
pub(super) const FRAME_HEAD_BYTES: usize = 24;
/// Longest body that a reader takes.
pub(super) const BODY_BYTES_MAX: usize = 1 << 20;
/// Kind and length.
const RECORD_HEAD_BYTES: usize = 5;
/// Points of one record: with this many a frame that is nearly full keeps its limit.
pub(super) const RECORD_POINTS_MAX: usize = 4096;
/// Positions stay below; so much is never reached by counting.
pub(super) const NUMBER_END: u64 = 1 << 62;

/// What the first bytes of a segment say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) segment: u64,
    pub(super) first_frame: u64,
    pub(super) created_s: u32,
}

/// What the first bytes of a file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderState {
    Sound(Header),
    Damaged,
    /// Sound, but of a version that this program does not know.
    Foreign,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.segment.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_frame.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.created_s.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> HeaderState {
        let sound = bytes[..8] == MAGIC && u32_at(bytes, 36) == crc32fast::hash(&bytes[..36]);
        let first_frame = u64_at(bytes, 24);
        if !sound {
            HeaderState::Damaged
        } else if u32_at(bytes, 8) != VERSION || first_frame >= NUMBER_END {
            HeaderState::Foreign
        } else {
            let (segment, created_s) = (u64_at(bytes, 16), u32_at(bytes, 32));
            HeaderState::Sound(Self { segment, first_frame, created_s })
        }
    }
}

/// The head of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    pub(super) number: u64,
    pub(super) body_bytes: usize,
    body_crc: u32,
}

impl FrameHead {
    /// The head that stands at the first byte, if one does.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<FRAME_HEAD_BYTES>()?;
        if head[..4] != MARK || u32_at(head, 20) != crc32fast::hash(&head[4..20]) {
            return None;
        }
        let body_bytes = usize::try_from(u32_at(head, 4)).ok()?;
        let number = u64_at(head, 8);
        let sound = body_bytes <= BODY_BYTES_MAX && number < NUMBER_END;
        sound.then_some(Self { number, body_bytes, body_crc: u32_at(head, 16) })
    }

    /// Whether `body` is what was written.
    pub(super) fn holds(&self, body: &[u8]) -> bool {
        crc32fast::hash(body) == self.body_crc
    }
}

/// Room for the head of a frame that is being filled.
pub(super) fn begin_frame(into: &mut Vec<u8>) {
    into.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
}

/// Writes number and length of the frame that starts at `start` and ends with `bytes`.
pub(super) fn end_frame(bytes: &mut [u8], start: usize, number: u64) {
    let body_bytes = bytes.len() - start - FRAME_HEAD_BYTES;
    let body_bytes = u32::try_from(body_bytes).expect("a frame is closed long before");
    let head = &mut bytes[start..start + FRAME_HEAD_BYTES];
    head[..4].copy_from_slice(&MARK);
    head[4..8].copy_from_slice(&body_bytes.to_le_bytes());
    head[8..16].copy_from_slice(&number.to_le_bytes());
}

/// Computes the sums of all frames in `bytes`.
pub(super) fn seal(mut bytes: &mut [u8]) {
    while let Some((head, rest)) = bytes.split_first_chunk_mut::<FRAME_HEAD_BYTES>() {
        let body_bytes = usize::try_from(u32_at(head, 4)).expect("lengths are 32 bits");
        let (body, rest) = rest.split_at_mut(body_bytes);
        head[16..20].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
        let crc = crc32fast::hash(&head[4..20]);
        head[20..].copy_from_slice(&crc.to_le_bytes());
        bytes = rest;
    }
}

/// Where the next mark may stand, from the second byte on; the length if nowhere.
pub(super) fn next_mark(bytes: &[u8]) -> usize {
    let mut at = 1;
    let first = |rest: &[u8]| rest.iter().position(|&byte| byte == MARK[0]);
    while let Some(found) = bytes.get(at..).and_then(first) {
        at += found;
        let candidate = &bytes[at..bytes.len().min(at + MARK.len())];
        if MARK.starts_with(candidate) {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// Appends a record; points are at most [`RECORD_POINTS_MAX`].
pub(super) fn encode_record(record: &Record<'_>, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(&[0; RECORD_HEAD_BYTES]);
    let kind: u8 = match *record {
        Record::Name { id, name } => {
            put(into, [&id.0.to_le_bytes()[..], name.as_bytes()]);
            1
        }
        Record::Points(points) => {
            points::encode(points, into);
            2
        }
        Record::EarlierPoints(points) => {
            points::encode(points, into);
            3
        }
        Record::Sender(SenderMark { sender, batch }) => {
            put(into, [&sender.to_le_bytes(), &batch.to_le_bytes()]);
            4
        }
        Record::Tombstone(id) => {
            put(into, [&id.0.to_le_bytes()]);
            5
        }
        Record::Activity { id, first_hour, last_hour } => {
            put(into, [id.0, first_hour, last_hour].map(u32::to_le_bytes).each_ref());
            6
        }
        Record::Hole { from_s, until_s } => {
            put(into, [&from_s.to_le_bytes(), &until_s.to_le_bytes()]);
            7
        }
        Record::SourceOffset { source, part, offset } => {
            put(into, [&part.to_le_bytes()[..], &offset.to_le_bytes(), source.as_bytes()]);
            8
        }
        Record::Checkpoint { covered } => {
            put(into, [&covered.0.to_le_bytes()]);
            9
        }
    };
    let length = u32::try_from(into.len() - start - RECORD_HEAD_BYTES);
    let length = length.expect("points and texts are bounded");
    into[start] = kind;
    into[start + 1..start + RECORD_HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
}

fn put<const N: usize, B: AsRef<[u8]> + ?Sized>(into: &mut Vec<u8>, fields: [&B; N]) {
    fields.iter().for_each(|field| into.extend_from_slice(field.as_ref()));
}

/// What the records of a body could not say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unread {
    /// Records of kinds that this program does not know.
    pub(super) unknown: u64,
    /// Bodies whose rest makes no sense.
    pub(super) senseless: u64,
}

/// Hands the records of a body to `each`; points lie in `scratch` meanwhile.
pub(super) fn decode_records(
    mut body: &[u8],
    scratch: &mut Vec<Point>,
    each: &mut dyn FnMut(Record<'_>),
) -> Unread {
    let mut unread = Unread::default();
    while !body.is_empty() {
        let Some((kind, fields, rest)) = split_record(body) else {
            unread.senseless += 1;
            break;
        };
        body = rest;
        if !(1..=9).contains(&kind) {
            unread.unknown += 1;
            continue;
        }
        let Some(record) = decode_record(kind, fields, scratch) else {
            unread.senseless += 1;
            break;
        };
        each(record);
    }
    unread
}

fn split_record(body: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = body.split_first_chunk::<RECORD_HEAD_BYTES>()?;
    let length = usize::try_from(u32_at(head, 1)).ok()?;
    let (fields, rest) = rest.split_at_checked(length)?;
    Some((head[0], fields, rest))
}

fn decode_record<'a>(
    kind: u8,
    fields: &'a [u8],
    scratch: &'a mut Vec<Point>,
) -> Option<Record<'a>> {
    let u32_of =
        |at| fields.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u32::from_le_bytes);
    let u64_of =
        |at| fields.get(at..).and_then(|rest| rest.first_chunk()).copied().map(u64::from_le_bytes);
    let text_of = |at| fields.get(at..).and_then(|rest| std::str::from_utf8(rest).ok());
    Some(match kind {
        1 => Record::Name { id: SeriesId(u32_of(0)?), name: text_of(4)? },
        2 | 3 => {
            scratch.clear();
            points::decode(fields, scratch)?;
            if kind == 2 { Record::Points(scratch) } else { Record::EarlierPoints(scratch) }
        }
        4 => Record::Sender(SenderMark { sender: u64_of(0)?, batch: u64_of(8)? }),
        5 => Record::Tombstone(SeriesId(u32_of(0)?)),
        6 => Record::Activity {
            id: SeriesId(u32_of(0)?),
            first_hour: u32_of(4)?,
            last_hour: u32_of(8)?,
        },
        7 => Record::Hole { from_s: u64_of(0)?.cast_signed(), until_s: u64_of(8)?.cast_signed() },
        8 => Record::SourceOffset { part: u32_of(0)?, offset: u64_of(4)?, source: text_of(12)? },
        9 => Record::Checkpoint { covered: super::Position(u64_of(0)?) },
        _ => return None,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("fields lie inside"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("fields lie inside"))
}
