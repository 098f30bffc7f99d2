//! Batches of lines, packed or not.

use super::{BATCH, HEAD_BYTES, LINES_BYTES_MAX, LinkError, fields, head, u32_at, u64_at};

/// Fields of a batch before the lines.
const FIELDS_BYTES: usize = 24;
/// An LZ4 block gives at most so many bytes for one.
const LZ4_RATIO_MAX: usize = 255;
/// What costs little and still saves most on lines.
const ZSTD_LEVEL: i32 = 1;

/// How the lines of a batch are packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Packing {
    /// As they are.
    #[default]
    None,
    /// One block of LZ4.
    Lz4,
    /// One frame of zstd.
    Zstd,
}

impl Packing {
    /// The words of a setting, in the order of the variants.
    pub const WORDS: &[&str] = &["none", "lz4", "zstd"];

    /// What such a word means; none for any other.
    #[must_use]
    pub fn from_word(word: &str) -> Self {
        match word {
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => Self::None,
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Lz4 => 1,
            Self::Zstd => 2,
        }
    }

    fn of(number: u8) -> Option<Self> {
        [Self::None, Self::Lz4, Self::Zstd].into_iter().find(|one| one.number() == number)
    }
}

/// Lines behind one number, up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch<'a> {
    /// The number before.
    pub after: u64,
    /// With this batch the receiver has all up to here.
    pub number: u64,
    /// How many lines it is said to have.
    pub lines: u32,
    packing: Packing,
    /// Bytes of the lines, unpacked.
    bytes: usize,
    packed: &'a [u8],
}

impl<'a> Batch<'a> {
    pub(super) fn of_body(packing: u8, body: &'a [u8]) -> Result<Self, LinkError> {
        let (fixed, packed) = fields::<FIELDS_BYTES>(body, "batch")?;
        let malformed = LinkError::Malformed { what: "batch" };
        let packing = Packing::of(packing).ok_or(malformed.clone())?;
        let bytes = usize::try_from(u32_at(fixed, 20)).unwrap_or(usize::MAX);
        if bytes > LINES_BYTES_MAX {
            return Err(LinkError::TooLong { what: "batch", bytes, max: LINES_BYTES_MAX });
        }
        let (after, number, lines) = (u64_at(fixed, 0), u64_at(fixed, 8), u32_at(fixed, 16));
        let batch = Self { after, number, lines, packing, bytes, packed };
        let is_whole = packing != Packing::None || bytes == packed.len();
        if after < number && is_whole { Ok(batch) } else { Err(malformed) }
    }
}

/// Unpacks batches into memory that it keeps for the next one.
#[derive(Debug, Default)]
pub struct Unpacker {
    scratch: Vec<u8>,
}

impl Unpacker {
    /// The lines of a batch.
    ///
    /// # Errors
    /// What is packed is not what the batch says.
    pub fn lines<'b>(&'b mut self, batch: &Batch<'b>) -> Result<&'b [u8], LinkError> {
        let Batch { packing, bytes, packed, .. } = *batch;
        if packing == Packing::None {
            return Ok(packed);
        }
        if packing == Packing::Lz4 && bytes > packed.len().saturating_mul(LZ4_RATIO_MAX) {
            return Err(LinkError::Packed);
        }
        self.scratch.resize(bytes, 0);
        let unpacked = match packing {
            Packing::Lz4 => lz4_flex::block::decompress_into(packed, &mut self.scratch).ok(),
            _ => zstd::bulk::decompress_to_buffer(packed, self.scratch.as_mut_slice()).ok(),
        };
        if unpacked == Some(bytes) { Ok(&self.scratch) } else { Err(LinkError::Packed) }
    }
}

pub(super) fn batch_fields(
    after: u64,
    number: u64,
    lines: u32,
    bytes: usize,
) -> [u8; FIELDS_BYTES] {
    let mut fields = [0; FIELDS_BYTES];
    fields[..8].copy_from_slice(&after.to_le_bytes());
    fields[8..16].copy_from_slice(&number.to_le_bytes());
    fields[16..20].copy_from_slice(&lines.to_le_bytes());
    let bytes = u32::try_from(bytes).expect("batches are bounded");
    fields[20..].copy_from_slice(&bytes.to_le_bytes());
    fields
}

/// What stands before the lines of a batch that is not packed; the pieces, at most [`LINES_BYTES_MAX`] in all, follow as
/// they are.
pub fn plain_head<'a>(
    after: u64,
    number: u64,
    lines: u32,
    pieces: impl Iterator<Item = &'a [u8]> + Clone,
) -> [u8; HEAD_BYTES + FIELDS_BYTES] {
    let bytes = pieces.clone().map(<[u8]>::len).sum();
    let fields = batch_fields(after, number, lines, bytes);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&fields);
    pieces.for_each(|piece| crc.update(piece));
    let mut whole = [0; HEAD_BYTES + FIELDS_BYTES];
    let head = head(BATCH, Packing::None.number(), FIELDS_BYTES + bytes, crc.finalize());
    whole[..HEAD_BYTES].copy_from_slice(&head);
    whole[HEAD_BYTES..].copy_from_slice(&fields);
    whole
}

/// Appends a batch with its lines, at most [`LINES_BYTES_MAX`]; they are left as they are where packing makes them no shorter.
pub fn pack(
    after: u64,
    number: u64,
    count: u32,
    lines: &[u8],
    packing: Packing,
    into: &mut Vec<u8>,
) {
    let packed = match packing {
        Packing::None => None,
        Packing::Lz4 => Some(lz4_flex::block::compress(lines)),
        Packing::Zstd => zstd::bulk::compress(lines, ZSTD_LEVEL).ok(),
    };
    let Some(packed) = packed.filter(|packed| packed.len() < lines.len()) else {
        into.extend_from_slice(&plain_head(after, number, count, std::iter::once(lines)));
        into.extend_from_slice(lines);
        return;
    };
    let fields = batch_fields(after, number, count, lines.len());
    let mut crc = crc32fast::Hasher::new();
    crc.update(&fields);
    crc.update(&packed);
    let body_bytes = FIELDS_BYTES + packed.len();
    into.extend_from_slice(&head(BATCH, packing.number(), body_bytes, crc.finalize()));
    into.extend_from_slice(&fields);
    into.extend_from_slice(&packed);
}
