//! Headers, frames and records as bytes. The bytes: docs/formats/journal.md.

use crate::Record;

const VERSION: u32 = 1;
/// The header of a segment.
pub const HEADER_BYTES: usize = 40;
/// Never part of a text, which is UTF-8.
const MARK: [u8; 4] = [0xFF, 0x4A, 0x4E, 0xFE];
/// What stands before the body of a frame.
pub(crate) const FRAME_HEAD_BYTES: usize = 24;
/// Longest body that a reader takes.
pub(crate) const BODY_BYTES_MAX: usize = 1 << 20;
/// Kind and length.
const RECORD_HEAD_BYTES: usize = 5;
/// Positions stay below; so much is never reached by counting.
pub(crate) const NUMBER_END: u64 = 1 << 62;

/// The rest of a frame makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Senseless;

/// What the first bytes of a segment say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) segment: u64,
    pub(crate) first_frame: u64,
    pub(crate) created_s: u32,
}

/// What the first bytes of a file may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderState {
    Sound(Header),
    Damaged,
    /// Sound, but of a version that this program does not know.
    Foreign,
}

impl Header {
    pub(crate) fn encode(self, magic: [u8; 8]) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&magic);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.segment.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.first_frame.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.created_s.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_BYTES], magic: [u8; 8]) -> HeaderState {
        let sound = bytes[..8] == magic && u32_at(bytes, 36) == crc32fast::hash(&bytes[..36]);
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
pub(crate) struct FrameHead {
    pub(crate) number: u64,
    pub(crate) body_bytes: usize,
    body_crc: u32,
}

impl FrameHead {
    /// The head that stands at the first byte, if one does.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
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
    pub(crate) fn holds(&self, body: &[u8]) -> bool {
        crc32fast::hash(body) == self.body_crc
    }
}

/// Room for the head of a frame that is being filled.
pub(crate) fn begin_frame(into: &mut Vec<u8>) {
    into.extend_from_slice(&[0; FRAME_HEAD_BYTES]);
}

/// Writes number and length of the frame that starts at `start` and ends with `bytes`.
pub(crate) fn end_frame(bytes: &mut [u8], start: usize, number: u64) {
    let body_bytes = bytes.len() - start - FRAME_HEAD_BYTES;
    let body_bytes = u32::try_from(body_bytes).expect("a frame is closed long before");
    let head = &mut bytes[start..start + FRAME_HEAD_BYTES];
    head[..4].copy_from_slice(&MARK);
    head[4..8].copy_from_slice(&body_bytes.to_le_bytes());
    head[8..16].copy_from_slice(&number.to_le_bytes());
}

/// Computes the sums of all frames in `bytes`.
pub(crate) fn seal(mut bytes: &mut [u8]) {
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
pub(crate) fn next_mark(bytes: &[u8]) -> usize {
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

/// Appends a record: its kind, its length, its fields.
pub(crate) fn encode_record(record: impl Record, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(&[0; RECORD_HEAD_BYTES]);
    into[start] = record.kind();
    record.encode(into);
    let length = u32::try_from(into.len() - start - RECORD_HEAD_BYTES);
    let length = length.expect("a record is bounded");
    into[start + 1..start + RECORD_HEAD_BYTES].copy_from_slice(&length.to_le_bytes());
}

/// The kinds and fields of the records in `body`, which ends with an error where it makes no sense.
pub fn records(mut body: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), Senseless>> {
    std::iter::from_fn(move || {
        if body.is_empty() {
            return None;
        }
        let Some((kind, fields, rest)) = split_record(body) else {
            body = &[];
            return Some(Err(Senseless));
        };
        body = rest;
        Some(Ok((kind, fields)))
    })
}

fn split_record(body: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (head, rest) = body.split_first_chunk::<RECORD_HEAD_BYTES>()?;
    let length = usize::try_from(u32_at(head, 1)).ok()?;
    let (fields, rest) = rest.split_at_checked(length)?;
    Some((head[0], fields, rest))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("fields lie inside"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("fields lie inside"))
}
