//! Records as bytes. The bytes: docs/formats/journal.md.

use super::{Point, Record, SenderMark, points};
use crate::series::SeriesId;

/// Points of one record: a few dozen KiB.
const RECORD_POINTS_MAX: usize = 4096;

impl segments::Record for Record<'_> {
    fn kind(&self) -> u8 {
        match self {
            Self::Name { .. } => 1,
            Self::Points(_) => 2,
            Self::EarlierPoints(_) => 3,
            Self::Sender(_) => 4,
            Self::Tombstone(_) => 5,
            Self::Activity { .. } => 6,
            Self::Hole { .. } => 7,
            Self::SourceOffset { .. } => 8,
            Self::Checkpoint { .. } => 9,
        }
    }

    fn encode(&self, into: &mut Vec<u8>) {
        match *self {
            Self::Name { id, name } => put(into, [&id.0.to_le_bytes()[..], name.as_bytes()]),
            Self::Points(points) | Self::EarlierPoints(points) => points::encode(points, into),
            Self::Sender(SenderMark { sender, batch }) => {
                put(into, [&sender.to_le_bytes(), &batch.to_le_bytes()]);
            }
            Self::Tombstone(id) => put(into, [&id.0.to_le_bytes()]),
            Self::Activity { id, first_hour, last_hour } => {
                put(into, [id.0, first_hour, last_hour].map(u32::to_le_bytes).each_ref());
            }
            Self::Hole { from_s, until_s } => {
                put(into, [&from_s.to_le_bytes(), &until_s.to_le_bytes()]);
            }
            Self::SourceOffset { source, part, offset } => {
                put(into, [&part.to_le_bytes()[..], &offset.to_le_bytes(), source.as_bytes()]);
            }
            Self::Checkpoint { covered } => put(into, [&covered.0.to_le_bytes()]),
        }
    }

    fn items(&self) -> u64 {
        match self {
            Self::Points(points) => points.len() as u64,
            _ => 0,
        }
    }

    fn in_pieces(self, each: &mut dyn FnMut(Self)) {
        match self {
            Self::Points(points) => {
                points.chunks(RECORD_POINTS_MAX).for_each(|piece| each(Self::Points(piece)));
            }
            Self::EarlierPoints(points) => {
                // Each piece goes before what was read so far: the last one comes first.
                let pieces = points.rchunks(RECORD_POINTS_MAX);
                pieces.for_each(|piece| each(Self::EarlierPoints(piece)));
            }
            _ => each(self),
        }
    }
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
    body: &[u8],
    scratch: &mut Vec<Point>,
    each: &mut dyn FnMut(Record<'_>),
) -> Unread {
    let mut unread = Unread::default();
    for record in segments::records(body) {
        let Ok((kind, fields)) = record else {
            unread.senseless += 1;
            break;
        };
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
        9 => Record::Checkpoint { covered: segments::Position(u64_of(0)?) },
        _ => return None,
    })
}
