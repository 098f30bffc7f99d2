//! Points as bytes: few of them, and no branch that the data decide where it can be helped.
//!
//! The bytes: docs/formats/journal.md.

use super::Point;
use crate::series::SeriesId;

/// Count and base.
const HEAD_BYTES: usize = 8;
/// What one point takes at most: tag, id, timestamp, value.
pub(super) const POINT_BYTES_MAX: usize = 1 + 4 + 4 + 8;
/// What one point takes at least: tag and id.
const POINT_BYTES_MIN: usize = 2;
/// The fields are stored whole and overlap the room of the next: 8 bytes from the last possible value on.
const ROOM_BYTES: usize = 24;
/// Value kinds from here on are thousandths.
const THOUSANDTHS: u8 = 8;
const KIND_MAX: u8 = 14;
/// Bytes of a timestamp difference by its bits in the tag.
const TIMESTAMP_BYTES: [usize; 4] = [0, 1, 2, 4];
/// Keeps the lowest bytes, by their number.
const LOW_BYTES: [u64; 9] = {
    let mut masks = [u64::MAX; 9];
    let mut bytes = 0;
    while bytes < 8 {
        masks[bytes] = (1 << (8 * bytes)) - 1;
        bytes += 1;
    }
    masks
};

/// Appends a points record's body.
#[expect(clippy::cast_possible_truncation, reason = "a record has few points, the caller cuts")]
pub(super) fn encode(points: &[Point], into: &mut Vec<u8>) {
    let base = points.first().map_or(0, |point| point.1);
    into.extend_from_slice(&(points.len() as u32).to_le_bytes());
    into.extend_from_slice(&base.to_le_bytes());
    let mut at = into.len();
    into.resize(at + points.len() * POINT_BYTES_MAX + ROOM_BYTES, 0);
    let (mut id_before, mut timestamp_before) = (0, base);
    for &(SeriesId(id), timestamp, value) in points {
        let room: &mut [u8; ROOM_BYTES] =
            into[at..].first_chunk_mut().expect("there is room for all points and once more");
        let id_difference = zigzag(id.wrapping_sub(id_before));
        let timestamp_difference = zigzag(timestamp.wrapping_sub(timestamp_before));
        at += encode_point(id_difference, timestamp_difference, value, room);
        (id_before, timestamp_before) = (id, timestamp);
    }
    into.truncate(at);
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 8 bytes of a word")]
fn encode_point(id: u32, timestamp: u32, value: f64, room: &mut [u8; ROOM_BYTES]) -> usize {
    // The number of bytes of `id | 1` spares a case for zero.
    let id_bytes = 4 - (id | 1).leading_zeros() as usize / 8;
    let timestamp_class = match timestamp {
        0 => 0,
        1..=0xFF => 1,
        0x100..=0xFFFF => 2,
        _ => 3,
    };
    let (kind, low, value_bytes) = encode_value(value);
    room[0] = kind | ((id_bytes - 1) as u8) << 4 | timestamp_class << 6;
    room[1..5].copy_from_slice(&id.to_le_bytes());
    let at = 1 + id_bytes;
    room[at..at + 4].copy_from_slice(&timestamp.to_le_bytes());
    let at = at + TIMESTAMP_BYTES[usize::from(timestamp_class)];
    room[at..at + 8].copy_from_slice(&low.to_le_bytes());
    at + value_bytes
}

/// Kind, the bytes in the lowest part of the word, and how many.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "at most 8 bytes of a word")]
#[expect(clippy::cast_precision_loss, reason = "the result is compared with the value")]
fn encode_value(value: f64) -> (u8, u64, usize) {
    let bits = value.to_bits();
    let zeros = bits.trailing_zeros() / 8;
    let leading = 8 - zeros as usize;
    if leading > 3 {
        let scaled = value * 1000.0;
        let thousandths = (scaled + 0.5f64.copysign(scaled)) as i64;
        let zigzag = ((thousandths << 1) ^ (thousandths >> 63)) as u64;
        let bytes = 8 - (zigzag | 1).leading_zeros() as usize / 8;
        if bytes <= 6 && bytes < leading && (thousandths as f64 / 1000.0).to_bits() == bits {
            return (THOUSANDTHS + bytes as u8, zigzag, bytes);
        }
    }
    // A shift by all 64 bits, for zero, is none at all; its bits are zero anyway.
    (leading as u8, bits.wrapping_shr(8 * zeros), leading)
}

/// Appends the points of a body to `into`; `None` if it is not one, and then some may have been appended.
pub(super) fn decode(body: &[u8], into: &mut Vec<Point>) -> Option<()> {
    let (head, mut rest) = body.split_first_chunk::<HEAD_BYTES>()?;
    let [count, base] =
        [0, 4].map(|at| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    let count = usize::try_from(count).ok()?;
    if count > rest.len() / POINT_BYTES_MIN {
        return None;
    }
    into.reserve(count);
    let (mut id, mut timestamp) = (0u32, base);
    for _ in 0..count {
        let mut copy = [0; ROOM_BYTES];
        let room = rest.first_chunk::<ROOM_BYTES>().unwrap_or_else(|| {
            // The last points have less room behind them than a whole word.
            copy[..rest.len()].copy_from_slice(rest);
            &copy
        });
        let (differences, value, bytes) = decode_point(room)?;
        rest = rest.get(bytes..)?;
        id = id.wrapping_add(unzigzag(differences[0]));
        timestamp = timestamp.wrapping_add(unzigzag(differences[1]));
        into.push((SeriesId(id), timestamp, value));
    }
    Some(())
}

/// The differences of id and timestamp, the value, and how many bytes they took.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "six bytes fit")]
#[expect(clippy::cast_possible_truncation, reason = "the mask leaves four bytes at most")]
fn decode_point(room: &[u8; ROOM_BYTES]) -> Option<([u32; 2], f64, usize)> {
    let tag = room[0];
    let kind = tag & 15;
    let id_bytes = usize::from(tag >> 4 & 3) + 1;
    let timestamp_bytes = TIMESTAMP_BYTES[usize::from(tag >> 6)];
    let id = word(room, 1) & LOW_BYTES[id_bytes];
    let at = 1 + id_bytes;
    let timestamp = word(room, at) & LOW_BYTES[timestamp_bytes];
    let at = at + timestamp_bytes;
    let (value, value_bytes) = if kind <= THOUSANDTHS {
        let bytes = usize::from(kind);
        let leading = word(room, at) & LOW_BYTES[bytes];
        // For no bytes at all the word is zero, whatever the shift.
        (f64::from_bits(leading.wrapping_shl(64 - 8 * u32::from(kind))), bytes)
    } else if kind <= KIND_MAX {
        let bytes = usize::from(kind - THOUSANDTHS);
        let zigzag = word(room, at) & LOW_BYTES[bytes];
        let thousandths = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
        (thousandths as f64 / 1000.0, bytes)
    } else {
        return None;
    };
    Some(([id as u32, timestamp as u32], value, at + value_bytes))
}

#[inline]
fn word(room: &[u8; ROOM_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(*room[at..].first_chunk().expect("fields end 8 bytes before the room does"))
}

#[inline]
fn zigzag(difference: u32) -> u32 {
    let signed = difference.cast_signed();
    ((signed << 1) ^ (signed >> 31)).cast_unsigned()
}

#[inline]
fn unzigzag(word: u32) -> u32 {
    (word >> 1) ^ (word & 1).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(value: f64) -> usize {
        let mut bytes = Vec::new();
        encode(&[(SeriesId(0), 60, value)], &mut bytes);
        let mut back = Vec::new();
        decode(&bytes, &mut back).unwrap();
        assert_eq!(back[0].2.to_bits(), value.to_bits(), "{value}");
        bytes.len() - HEAD_BYTES - POINT_BYTES_MIN
    }

    #[test]
    fn every_double_comes_back_and_the_usual_ones_are_short() {
        let sizes = [0.0, 1.0, 42.0, -0.0, 12.34, -0.001, 1234.567, 99.5, 1e6].map(bytes_of);
        assert_eq!(sizes, [0, 2, 2, 1, 2, 1, 3, 3, 4]);
        let sizes = [f64::INFINITY, f64::NAN, f64::MIN_POSITIVE, 1.0 / 3.0, f64::MAX].map(bytes_of);
        assert_eq!(sizes, [2, 2, 2, 8, 8]);
        bytes_of(f64::from_bits(0x7FF8_0000_0000_0001));
        bytes_of(5e-324);
    }

    #[test]
    fn ids_and_timestamps_may_jump_anywhere() {
        let points = [
            (SeriesId(u32::MAX), 0, 1.0),
            (SeriesId(0), u32::MAX, 2.0),
            (SeriesId(1 << 31), 1 << 31, 3.0),
            (SeriesId(1 << 31), (1 << 31) + 200, 4.0),
            (SeriesId(7), (1 << 31) + 140, 5.0),
        ];
        let (mut bytes, mut back) = (Vec::new(), Vec::new());
        encode(&points, &mut bytes);
        assert_eq!(decode(&bytes, &mut back), Some(()));
        assert_eq!(back, points);
    }

    #[test]
    fn a_count_is_believed_only_as_far_as_there_are_bytes() {
        let mut back = Vec::new();
        assert_eq!(decode(&[0xFF; 100], &mut back), None);
        assert_eq!(decode(&[2, 0, 0, 0, 0, 0, 0, 0, 0, 0], &mut back), None);
        assert!(back.capacity() < 100);
    }
}
